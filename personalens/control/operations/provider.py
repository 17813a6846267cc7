"""The service ``personalize``: one class, one method an operation, named as boto3 names it."""

from __future__ import annotations

from personalens.control.operations.batch_jobs import BatchJobOperations
from personalens.control.operations.campaigns import CampaignOperations
from personalens.control.operations.dataset_groups import (
    DatasetGroupOperations,
    DatasetOperations,
    EventTrackerOperations,
    SchemaOperations,
)
from personalens.control.operations.dataset_jobs import (
    DeletionJobOperations,
    ExportJobOperations,
    ImportJobOperations,
)
from personalens.control.operations.filters import FilterOperations
from personalens.control.operations.metric_attributions import MetricAttributionOperations
from personalens.control.operations.recipes import RecipeOperations
from personalens.control.operations.recommenders import RecommenderOperations
from personalens.control.operations.solutions import SolutionOperations, SolutionVersionOperations


class PersonalizeProvider(
    SchemaOperations,
    DatasetGroupOperations,
    DatasetOperations,
    EventTrackerOperations,
    ImportJobOperations,
    ExportJobOperations,
    DeletionJobOperations,
    RecipeOperations,
    SolutionOperations,
    SolutionVersionOperations,
    CampaignOperations,
    RecommenderOperations,
    FilterOperations,
    MetricAttributionOperations,
    BatchJobOperations,
):
    """Answers the control plane's operations from one home, region and account."""
