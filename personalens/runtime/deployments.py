"""Which model answers for a campaign or a recommender, right now."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from personalens.arns import dataset_arn
from personalens.durable_files import DamagedFiles
from personalens.recipes.base import Recipe
from personalens.recipes.saved_models import OtherFormat
from personalens.runtime.model_cache import ModelCache
from personalens.service_errors import ResourceNotFoundException
from personalens.storage.model_folders import MODEL, load_model, recommender_folder, serving_folder
from personalens.storage.resource_states import solution_of

if TYPE_CHECKING:
    from personalens.storage.service_context import ServiceContext

CAMPAIGN, RECOMMENDER = "campaign", "recommender"


@dataclass(frozen=True)
class Deployment:
    """A campaign or a recommender as it serves at this moment.

    Attributes
    ----------
    campaign_arn, solution_version_arn, dataset_group_arn
        Who is asked, which model answers (the version's ARN, with what an automatic update added to
        it; of a recommender, its ARN and the name of its model), and to which group both belong.
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


class _Serving(NamedTuple):
    """What the catalogue says of a campaign or a recommender: the members of its
    :class:`Deployment`, and where the model is."""

    solution_version_arn: str
    dataset_group_arn: str
    config: Mapping[str, Any]
    trained: Mapping[str, Any]
    folder: Path


def _no_model() -> None:
    return None


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
    What the catalogue says of a campaign is kept until anybody writes to it, so an UpdateCampaign
    of another process counts from the next request on. The model is kept beyond that: it never
    changes.
    """

    def __init__(self, context: ServiceContext, models: ModelCache | None = None):
        self._context = context
        self._models = ModelCache() if models is None else models

    def require(self, arn: str, kind: str = CAMPAIGN) -> Deployment:
        """Return the deployment behind a campaign or a recommender that is ACTIVE.

        Raises
        ------
        ResourceNotFoundException
            If there is none, it is not ACTIVE, or its model is gone from the disk or damaged.
        """
        kept, key = self._context.store.catalogue.unchanged(), (self, arn, kind)
        serving, known = kept.get(key) or (self._serving(arn, kind), _no_model)
        version_arn, group_arn, config, trained, folder = serving
        model = known()
        if model is not None and self._models.touch(folder):
            return Deployment(arn, version_arn, group_arn, model, config, trained)
        try:
            model = self._models.get(folder, self._load)
        except (FileNotFoundError, ImportError, OtherFormat, DamagedFiles) as error:
            if self._serving(arn, kind).folder != folder:
                return self.require(arn, kind)  # it was trained anew in this moment
            raise ResourceNotFoundException(
                f"{kind.capitalize()} {arn} cannot serve: {error}"
            ) from error
        kept[key] = serving, weakref.ref(model)
        return Deployment(arn, version_arn, group_arn, model, config, trained)

    def _serving(self, arn: str, kind: str) -> _Serving:
        found = self._context.store.require(arn, kind)
        if found.status != "ACTIVE":
            reason = f" {found.failure_reason}" if found.failure_reason else ""
            raise ResourceNotFoundException(
                f"{kind.capitalize()} {arn} is {found.status}, and only an ACTIVE one answers."
                f"{reason}"
            )
        body, home = found.body, self._context.home
        if kind == CAMPAIGN:
            version = self._context.store.require(body["solutionVersionArn"])
            folder = serving_folder(home, version)
            return _Serving(
                f"{solution_of(version.arn)}/{folder.name}",
                body["_datasetGroupArn"],
                body.get("campaignConfig", {}),
                version.body,
                folder,
            )
        return _Serving(
            f"{arn}/{body[MODEL]}",
            body["datasetGroupArn"],
            body["recommenderConfig"],
            body,
            recommender_folder(home, arn, body[MODEL]),
        )

    def _load(self, folder: Path) -> Recipe:
        return load_model(folder, self._context.recipes())


_dataset_of_group = lru_cache(maxsize=1024)(dataset_arn)  # asked for in every request
