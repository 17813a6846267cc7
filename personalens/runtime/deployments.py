"""Which model answers for a campaign or a recommender, right now."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personalens.control.model_artifacts import (
    MODEL,
    load_model,
    recommender_folder,
    version_folder,
)
from personalens.recipes.base import Recipe
from personalens.runtime.model_cache import ModelCache
from personalens.service_errors import ResourceNotFoundException

if TYPE_CHECKING:
    from personalens.control.service_context import ServiceContext

CAMPAIGN, RECOMMENDER = "campaign", "recommender"


@dataclass(frozen=True)
class Deployment:
    """A campaign or a recommender as it serves at this moment.

    Attributes
    ----------
    campaign_arn, solution_version_arn, dataset_group_arn
        Who is asked, which version answers (of a recommender, its ARN and the name of its model),
        and to which group both belong.
    model
        The trained recipe.
    config
        ``campaignConfig`` or ``recommenderConfig``.
    """

    campaign_arn: str
    solution_version_arn: str
    dataset_group_arn: str
    model: Recipe
    config: dict[str, Any] = field(default_factory=dict)


class Deployments:
    """The campaigns and recommenders of one region and account, with their models in memory.

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

    def require(self, arn: str, kind: str = CAMPAIGN) -> Deployment:
        """Return the deployment behind a campaign or a recommender that is ACTIVE.

        Raises
        ------
        ResourceNotFoundException
            If there is none, it is not ACTIVE, or its model is gone from the disk.
        """
        found = self._context.store.require(arn, kind)
        if found.status != "ACTIVE":
            reason = f" {found.failure_reason}" if found.failure_reason else ""
            raise ResourceNotFoundException(
                f"{kind.capitalize()} {arn} is {found.status}, and only an ACTIVE one answers."
                f"{reason}"
            )
        body, home = found.body, self._context.home
        if kind == CAMPAIGN:
            version_arn, group_arn = body["solutionVersionArn"], body["_datasetGroupArn"]
            folder, config = version_folder(home, version_arn), body.get("campaignConfig", {})
        else:
            version_arn, group_arn = f"{arn}/{body[MODEL]}", body["datasetGroupArn"]
            folder, config = recommender_folder(home, arn, body[MODEL]), body["recommenderConfig"]
        try:
            model = self._models.get(folder, self._load)
        except (FileNotFoundError, ImportError) as error:
            if self._context.store.require(arn, kind).body.get(MODEL) != body.get(MODEL):
                return self.require(arn, kind)  # it was trained anew in this moment
            raise ResourceNotFoundException(
                f"{kind.capitalize()} {arn} cannot serve: {error}"
            ) from error
        return Deployment(arn, version_arn, group_arn, model, config)

    def _load(self, folder: Path) -> Recipe:
        return load_model(folder, self._context.recipes())
