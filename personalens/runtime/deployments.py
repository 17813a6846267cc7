"""Which model answers for a campaign or a recommender, right now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personalens.arns import dataset_arn, parse
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
    trained
        Members that tell what the model was trained on: ``eventType``, ``solutionConfig``, and up
        to which event of the log.
    """

    campaign_arn: str
    solution_version_arn: str
    dataset_group_arn: str
    model: Recipe
    config: Mapping[str, Any] = field(default_factory=dict)
    trained: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stream(self) -> str:
        """The ARN of the dataset whose events this model reads, known to the event log by it."""
        of_actions = self.model.recipe_type == "PERSONALIZED_ACTIONS"
        kind = "ACTION_INTERACTIONS" if of_actions else "INTERACTIONS"
        return _dataset_of_group(self.dataset_group_arn, kind)


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
        self._trained: dict[str, Mapping[str, Any]] = {}

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
        trained = self._of_version(version_arn) if kind == CAMPAIGN else body
        return Deployment(arn, version_arn, group_arn, model, config, trained)

    def _of_version(self, arn: str) -> Mapping[str, Any]:
        """Return the members of a solution version, which an ACTIVE one keeps for ever."""
        if arn not in self._trained:
            self._trained[arn] = self._context.store.require(arn).body
        return self._trained[arn]

    def _load(self, folder: Path) -> Recipe:
        return load_model(folder, self._context.recipes())


@lru_cache(maxsize=1024)  # asked for in every request
def _dataset_of_group(group_arn: str, dataset_type: str) -> str:
    group = parse(group_arn)
    return dataset_arn(group.name, dataset_type, region=group.region, account=group.account)
