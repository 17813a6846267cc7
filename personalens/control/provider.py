"""The service ``personalize``: one class, one method an operation, named as boto3 names it."""

from __future__ import annotations

from personalens.control.batch_jobs import BatchJobOperations
from personalens.control.campaigns import CampaignOperations
from personalens.control.data_deletion_jobs import DeletionJobOperations
from personalens.control.dataset_export_jobs import ExportJobOperations
from personalens.control.dataset_groups import DatasetGroupOperations
from personalens.control.datasets import DatasetOperations
from personalens.control.event_trackers import EventTrackerOperations
from personalens.control.filters import FilterOperations
from personalens.control.import_jobs import ImportJobOperations
from personalens.control.metric_attributions import MetricAttributionOperations
from personalens.control.recipes import RecipeOperations
from personalens.control.recommenders import RecommenderOperations
from personalens.control.schemas import SchemaOperations
from personalens.control.service_context import ServiceContext
from personalens.control.solution_versions import SolutionVersionOperations
from personalens.control.solutions import SolutionOperations
from personalens.control.tags import TagOperations


class PersonalizeProvider(
    SchemaOperations,
    DatasetGroupOperations,
    DatasetOperations,
    ImportJobOperations,
    RecipeOperations,
    SolutionOperations,
    SolutionVersionOperations,
    CampaignOperations,
    RecommenderOperations,
    FilterOperations,
    MetricAttributionOperations,
    EventTrackerOperations,
    BatchJobOperations,
    ExportJobOperations,
    DeletionJobOperations,
    TagOperations,
):
    """Answers the control plane's operations from one home, region and account.

    Parameters
    ----------
    context
        Where the resources and the jobs are.
    """

    def __init__(self, context: ServiceContext):
        self.context = context
