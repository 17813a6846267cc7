"""Which model answers for a campaign, right now."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personalens.control.model_artifacts import load_model, version_folder
from personalens.recipes.base import Recipe
from personalens.runtime.model_cache import ModelCache
from personalens.service_errors import ResourceNotFoundException

if TYPE_CHECKING:
    from personalens.control.service_context import ServiceContext

CAMPAIGN = "campaign"


@dataclass(frozen=True)
class Deployment:
    """A campaign as it serves at this moment.

    Attributes
    ----------
    campaign_arn, solution_version_arn, dataset_group_arn
        Who asks, which version answers, and to which group both belong.
    model
        The trained recipe.
    config
        ``campaignConfig``.
    """

    campaign_arn: str
    solution_version_arn: str
    dataset_group_arn: str
    model: Recipe
    config: dict[str, Any] = field(default_factory=dict)


class Deployments:
    """The campaigns of one region and account, with their models in memory.

    Parameters
    ----------
    context
        Whose campaigns.
    models
        The cache of loaded models; default: a new one.

    Notes
    -----
    A campaign's row is read again for every request (one look-up by its ARN, below 0.1
    milliseconds), so an UpdateCampaign of another process counts from the next request on. What is
    kept is the model, which never changes.
    """

    def __init__(self, context: ServiceContext, models: ModelCache | None = None):
        self._context = context
        self._models = ModelCache() if models is None else models

    def require(self, campaign_arn: str) -> Deployment:
        """Return the deployment behind a campaign that is ACTIVE.

        Raises
        ------
        ResourceNotFoundException
            If there is no such campaign, it is not ACTIVE, or its model is gone from the disk.
        """
        campaign = self._context.store.require(campaign_arn, CAMPAIGN)
        if campaign.status != "ACTIVE":
            reason = f" {campaign.failure_reason}" if campaign.failure_reason else ""
            raise ResourceNotFoundException(
                f"Campaign {campaign_arn} is {campaign.status}, and only an ACTIVE one answers."
                f"{reason}"
            )
        version_arn = campaign.body["solutionVersionArn"]
        folder = version_folder(self._context.home, version_arn)
        try:
            model = self._models.get(folder, self._load)
        except (FileNotFoundError, ImportError) as error:
            raise ResourceNotFoundException(
                f"Campaign {campaign_arn} cannot serve: {error}"
            ) from error
        config = campaign.body.get("campaignConfig", {})
        group_arn = campaign.body["_datasetGroupArn"]
        return Deployment(campaign_arn, version_arn, group_arn, model, config)

    def _load(self, folder: Path) -> Recipe:
        return load_model(folder, self._context.recipes())
