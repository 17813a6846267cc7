"""The service ``personalize``: one class, one method an operation, named as boto3 names it."""

from __future__ import annotations

from personalens.control.operations.batch_jobs import BatchJobOperations
from personalens.control.operations.campaigns import CampaignOperations
from personalens.control.operations.data_deletion_jobs import DeletionJobOperations
from personalens.control.operations.dataset_export_jobs import ExportJobOperations
from personalens.control.operations.dataset_groups import DatasetGroupOperations
from personalens.control.operations.datasets import DatasetOperations
from personalens.control.operations.event_trackers import EventTrackerOperations
from personalens.control.operations.filters import FilterOperations
from personalens.control.operations.import_jobs import ImportJobOperations
from personalens.control.operations.metric_attributions import MetricAttributionOperations
from personalens.control.operations.recipes import RecipeOperations
from personalens.control.operations.recommenders import RecommenderOperations
from personalens.control.operations.schemas import SchemaOperations
from personalens.control.operations.solution_versions import SolutionVersionOperations
from personalens.control.operations.solutions import SolutionOperations
from personalens.control.operations.tags import TagOperations
from personalens.storage.service_context import ServiceContext


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
