"""Which model answers for a campaign, a recommender or a batch job, right now."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from personalens.arns import dataset_arn
from personalens.durable_files import DamagedFiles
from personalens.recipes.base import Recipe
from personalens.recipes.saved_models import IDS_FILE, OtherFormat
from personalens.runtime.recent_values import RecentValues
from personalens.service_errors import ResourceNotFoundException
from personalens.storage.model_folders import MODEL, load_model, recommender_folder, serving_folder
from personalens.storage.resource_store import solution_of

if TYPE_CHECKING:
    from personalens.storage.service_context import ServiceContext

CAMPAIGN, RECOMMENDER = "campaign", "recommender"
KEPT_MODELS = 8


@dataclass(frozen=True)
class Deployment:
    """A campaign or a recommender as it serves at this moment, or a batch job.

    ``solution_version_arn`` names the model: the version's ARN with what an automatic update added
    to it, or a recommender's ARN with the name of its model. ``config`` is ``campaignConfig``,
    ``recommenderConfig`` or ``batchInferenceJobConfig``. ``trained`` has the members that tell what
    the model was trained on: ``eventType``, ``solutionConfig``, and the last event of the log.
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


class Question(NamedTuple):
    """What a request or a line of a batch asks."""

    user_id: str | None = None
    item_id: str | None = None
    item_list: Sequence[str] = ()
    """What is to be ranked."""
    context: Mapping[str, str] | None = None
    filter_arn: str | None = None
    filter_values: Mapping[str, str] | None = None


class _Serving(NamedTuple):
    """What the catalogue says of a campaign or a recommender: its :class:`Deployment`, but for the
    model, and where that is."""

    deploy: Callable[[Recipe], Deployment]
    folder: Path
    revision: Hashable


class Deployments:
    """The campaigns and recommenders of one region and account, with their models in memory.

    Notes
    -----
    What the catalogue says of a campaign is kept until anybody writes to it, so an UpdateCampaign
    of another process counts from the next request on. The model is kept beyond that: its folder
    changes only when it has to forget users, and then it is read again.
    """

    def __init__(self, context: ServiceContext):
        self._context = context
        self._models: RecentValues[Recipe] = RecentValues(KEPT_MODELS)

    def require(self, arn: str, kind: str = CAMPAIGN) -> Deployment:
        """Return the deployment behind a campaign or a recommender that is ACTIVE.

        It is not found, either, if its model is gone from the disk or damaged.
        """
        found = self._serving(arn, kind)
        model = self._models.get(found.folder, found.revision)
        if model is None:
            try:
                model = self._models.get_or_make(
                    found.folder, lambda: self._load(found.folder), found.revision
                )
            except (FileNotFoundError, ImportError, OtherFormat, DamagedFiles) as error:
                if self._read(arn, kind).folder != found.folder:
                    return self.require(arn, kind)  # another model took its place in this moment
                raise ResourceNotFoundException(
                    f"{kind.capitalize()} {arn} cannot serve: {error}"
                ) from error
        return found.deploy(model)

    def in_memory(self, arn: str, kind: str) -> Deployment | None:
        """Return what :meth:`require` does, or None if the model has to be read first."""
        found = self._serving(arn, kind)
        model = self._models.get(found.folder, found.revision)
        return None if model is None else found.deploy(model)

    def _serving(self, arn: str, kind: str) -> _Serving:
        kept, key = self._context.store.catalogue.unchanged(), (self, arn, kind)
        if key not in kept:
            kept[key] = self._read(arn, kind)
        return kept[key]

    def _read(self, arn: str, kind: str) -> _Serving:
        found = self._context.store.require(arn, kind)
        if found.status != "ACTIVE":
            reason = f" {found.failure_reason}" if found.failure_reason else ""
            raise ResourceNotFoundException(
                f"{kind.capitalize()} {arn} is {found.status}, and only an ACTIVE one answers."
                f"{reason}"
            )
        body, home = found.body, self._context.home
        if kind == RECOMMENDER:
            folder, trained = recommender_folder(home, arn, body[MODEL]), body
            name, group = f"{arn}/{body[MODEL]}", body["datasetGroupArn"]
            config = body["recommenderConfig"]
        else:
            version = self._context.store.require(body["solutionVersionArn"])
            folder, trained = serving_folder(home, version), version.body
            name, group = f"{solution_of(version.arn)}/{folder.name}", body["_datasetGroupArn"]
            config = body.get("campaignConfig", {})

        def deploy(model: Recipe) -> Deployment:
            return Deployment(arn, name, group, model, config, trained)

        return _Serving(deploy, folder, _revision(folder))

    def _load(self, folder: Path) -> Recipe:
        return load_model(folder, self._context.recipes())


def _revision(folder: Path) -> Hashable:
    """Return what differs after the file that is written last was replaced."""
    try:
        status = (folder / IDS_FILE).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


_dataset_of_group = lru_cache(maxsize=1024)(dataset_arn)  # asked for in every request
