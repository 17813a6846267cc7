"""What every recipe has in common: typed hyperparameters, fit, score, recommend, save, load.

A recipe's author writes a config class and ``_fit``, ``_score`` (or ``_score_related``),
``_tensors`` and ``_restore``; identifiers, unknown users and items, empty histories, top-k and the
file format are handled here. Class attributes say what else the service may ask of the recipe.
"""

from __future__ import annotations

import inspect
import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd

from personalens.datasets.id_maps import IdMap, id_list, one_id
from personalens.datasets.interactions import (
    USER_ID,
    History,
    Interactions,
    histories_by_id,
    histories_of,
)
from personalens.datasets.metadata import Metadata
from personalens.evaluation.holdouts import Holdout, service_holdout
from personalens.evaluation.offline_report import solution_metrics
from personalens.progress import Progress, ignore_progress, within
from personalens.recipes.hyperparameters import RecipeConfig, hyperparameter
from personalens.recipes.objective import Objective
from personalens.recipes.ranked_table import RANK, SCORE, ranked_table, ranking_table
from personalens.recipes.saved_models import (
    from_artifact,
    read_artifact,
    to_artifact,
    write_artifact,
)
from personalens.recipes.training_tables import (
    TrainingTables,
    newest_events,
    training_tables,
    without_users,
)
from personalens.training.options import TrainingOptions

__all__ = ["RANK", "SCORE", "History", "Recipe", "RecipeConfig", "RecipeType", "hyperparameter"]

_NONE = np.zeros(0, np.int32)


class Recipe(ABC):
    """Base of all recipes.

    Parameters
    ----------
    config
        The recipe's config; or give its fields as keyword arguments.
    seed
        Same data, config and seed give the same model on the same machine.
    device
        "auto", "cpu" or "cuda". The CPU is always right.

    Attributes
    ----------
    items_
        Vocabulary of the model: the items that occur in the training interactions, and with
        ``has_cold_items`` those of the items table too.
    users_
        What was known of the users at training, if the recipe ``keeps_users``; else None.
    objective_
        What :meth:`optimize_for` was asked for; else None.
    interactions_
        The newest ``history_limit`` training events of each user: the histories that ``recommend``
        starts from.
    training_log_
        One dict per epoch (epoch, loss, validation figure, seconds); empty without epochs.
    """

    # -- what it is --------------------------------------------------------------------------

    name: ClassVar[str]
    """The service's recipe name, such as ``aws-hrnn``."""
    recipe_type: ClassVar[RecipeType]
    description: ClassVar[str]
    """What DescribeRecipe says of it; left out: the first paragraph of the docstring."""
    dataset_types: ClassVar[tuple[str, ...]] = ("Interactions", "Items", "Users")
    """The data that it reads, as far as the dataset group has them."""
    Config: ClassVar[type[RecipeConfig]] = RecipeConfig

    # -- what it learns from, and what a model knows -----------------------------------------

    has_scores: ClassVar[bool] = False
    """Whether GetRecommendations carries scores: a softmax of ``score`` over the catalogue."""
    has_cold_items: ClassVar[bool] = False
    """Whether items without a single interaction, known by their metadata, belong to the model."""
    needs_events: ClassVar[bool] = True
    """Whether a fit without a single interaction is refused."""
    keeps_context: ClassVar[bool] = False
    """Whether the histories in a model have the events' context, such as DEVICE."""
    keeps_users: ClassVar[bool] = False
    """Whether a model knows the users' metadata, which ``history`` then hands on."""
    needs_user: ClassVar[bool] = False
    """Whether a request must name a user even where the type of recipe needs none."""
    trains_on: ClassVar[str | None] = None
    """The one event type that it learns from; None: all."""
    history_limit: ClassVar[int] = 1000
    """Events of each user that a trained model keeps. Training sees them all."""

    # -- what the service may ask of it ------------------------------------------------------

    needs_items: ClassVar[bool] = False
    """Whether a recommender of it is refused, and AutoML passes it by, without an Items dataset."""
    weighs_events: ClassVar[bool] = False
    """Whether a solution may have an ``eventsConfig``: the weights are the ``event_weights`` of the
    interactions."""
    takes_objective: ClassVar[bool] = False
    """Whether a solution may have an ``optimizationObjective``: see :meth:`optimize_for`."""
    explores: ClassVar[bool] = False
    """Whether recommendations are made of what :meth:`explore` returns."""
    takes_exploration: ClassVar[bool] = False
    """Whether an ``itemExplorationConfig`` may say how much it explores."""
    takes_influence: ClassVar[bool] = False
    """Whether a ``rankingInfluence`` may be given: a method ``influenced`` heeds it."""
    tells_metadata: ClassVar[bool] = False
    """Whether each campaign answers with metadata, without being enabled for that."""
    has_themes: ClassVar[bool] = False
    """Whether a batch inference job can give its lists themes."""
    segments_by: ClassVar[Literal["itemId", "itemAttributes"]] = "itemId"
    """What a line of a batch segment job asks by."""
    takes_updates: ClassVar[bool] = False
    """Whether CreateSolutionVersion takes trainingMode UPDATE: see :meth:`update`."""
    updated_every: ClassVar[float | None] = None
    """Seconds between automatic updates of what serves, by :meth:`update`; None: there are none."""
    updated_on_request: ClassVar[bool] = False
    """Whether a version is updated automatically only if its solution has
    ``performIncrementalUpdate``, which other recipes refuse."""

    training: TrainingOptions | None = None
    """How it is trained, if that takes epochs; ``checkpoint_folder`` among them lets a killed
    training go on."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "description" not in vars(cls):
            first = (inspect.getdoc(cls) or "").partition("\n\n")[0]
            cls.description = " ".join(first.split())

    def __init__(
        self,
        config: RecipeConfig | None = None,
        *,
        seed: int = 0,
        device: str = "auto",
        **hyperparameters: Any,
    ):
        if config is not None and hyperparameters:
            raise TypeError("give a config or hyperparameters, not both")
        self.config = config if config is not None else self.Config(**hyperparameters)
        self.seed = seed
        self.device = device
        self.items_: IdMap | None = None
        self.interactions_: Interactions | None = None
        self.users_: Metadata | None = None
        self.objective_: Objective | None = None
        self.training_log_: list[dict[str, float]] = []

    # -- what a recipe's author writes -------------------------------------------------------

    @abstractmethod
    def _fit(
        self,
        interactions: Interactions,
        items: Metadata | None,
        users: Metadata | None,
        progress: Progress,
        refit: bool,
    ) -> None:
        """Learn. ``interactions`` is not empty; every user, and without ``has_cold_items`` every
        item, of its vocabularies occurs. ``items`` has one row for each item of the vocabulary,
        ``users`` one for each user."""

    def _score(self, histories: Sequence[History]) -> np.ndarray:
        """Return (len(histories), len(items_)) floats: higher is better. An empty history is a new
        user. May be a read-only view. Required unless ``recipe_type`` is RELATED_ITEMS."""
        raise NotImplementedError(f"{self.name} does not score users")

    def _score_related(self, item_codes: np.ndarray) -> np.ndarray:
        """Return (len(item_codes), len(items_)) floats: higher is more related; -inf leaves out.
        A code of -1 is an unknown item. Required for RELATED_ITEMS."""
        raise NotImplementedError(f"{self.name} does not score related items")

    @abstractmethod
    def _tensors(self) -> dict[str, Any]:
        """Return what ``_restore`` needs, as arrays by name; a dict of arrays may stand for one."""

    @abstractmethod
    def _restore(self, tensors: dict[str, Any]) -> None:
        """Take back what ``_tensors`` gave; ``items_`` and ``interactions_`` are set already."""

    # -- what everybody calls ----------------------------------------------------------------

    def fit(
        self,
        interactions: Interactions | pd.DataFrame,
        *,
        items: Metadata | pd.DataFrame | None = None,
        users: Metadata | pd.DataFrame | None = None,
        progress: Progress = ignore_progress,
        refit: bool = True,
    ) -> Self:
        """Train and return self.

        Parameters
        ----------
        interactions
            Events; a table with USER_ID, ITEM_ID, TIMESTAMP is accepted too.
        items, users
            Metadata, or tables with ITEM_ID or USER_ID and further columns, in which strings are
            categories; used by recipes that take them.
        progress
            Called with each report; may raise :class:`~personalens.progress.Cancelled`.
        refit
            For recipes that stop early on a validation hold-out: whether to train once more on
            everything for the number of epochs found.

        Raises
        ------
        ValueError
            If there are no interactions.

        Notes
        -----
        A fit that fails or is cancelled leaves the object untrained.
        """
        with self._learning(interactions, items, users) as tables:
            self._fit(*tables, progress, refit)
        return self

    @contextmanager
    def _learning(
        self,
        interactions: Interactions | pd.DataFrame,
        items: Metadata | pd.DataFrame | None,
        users: Metadata | pd.DataFrame | None,
    ) -> Iterator[TrainingTables]:
        """Yield what :meth:`_fit` learns from. What is done in the block leaves the object trained,
        or, if it fails, untrained."""
        tables = training_tables(
            interactions,
            items,
            users,
            has_cold_items=self.has_cold_items,
            needs_events=self.needs_events,
        )
        events, known_users = tables.interactions, tables.users
        self.training_log_ = []
        self.items_, self.interactions_ = events.items, events
        self.users_ = known_users if self.keeps_users else None
        try:
            of_users = None if known_users is None else known_users.align(events.users)
            yield TrainingTables(self.training_events(events), tables.items, of_users)
        except BaseException:
            self.items_ = self.interactions_ = self.users_ = None
            self.training_log_ = []
            raise
        if not self.keeps_context:
            events = replace(events, context={})
        self.interactions_ = newest_events(events, self.history_limit)

    def refit(self, interactions: Interactions | pd.DataFrame, **tables: Any) -> Self:
        """Return a new model of the same kind trained on other data, reusing what this fit found
        (the number of epochs, say) instead of searching again; ``tables`` and ``progress`` as in
        :meth:`fit`. Default: a plain fit."""
        fresh = type(self)(self.config, seed=self.seed, device=self.device)
        return fresh.fit(interactions, **tables)

    def update(self, interactions: Interactions | pd.DataFrame, **options: Any) -> Self:
        """Return a model that has the items of now, for little work; takes what :meth:`refit` does.
        Default: a :meth:`refit`.

        Amazon Personalize: trainingMode UPDATE of CreateSolutionVersion, and automatic updates.
        """
        return self.refit(interactions, **options)

    def recount(self, interactions: Interactions, items: Metadata | None) -> None:
        """Take note of the events of now after an automatic update of a model that explores: what
        was shown meanwhile needs less exploring. Default: nothing."""
        return None

    def fit_and_refit(
        self,
        interactions: Interactions | pd.DataFrame,
        everything: Interactions | pd.DataFrame,
        *,
        progress: Progress = ignore_progress,
        **tables: Any,
    ) -> Self:
        """Fit on a part of the data, and return a new model of all of them: a solution version is
        measured by the first and serves with the second. Default: a fit, then a refit; a recipe
        that can train both side by side overrides it."""
        first = within(progress, 0.0, 0.5, "training without the hold-out")
        self.fit(interactions, progress=first, refit=False, **tables)
        second = within(progress, 0.5, 1.0, "training on all data")
        return self.refit(everything, progress=second, **tables)

    def score(self, histories: Sequence[History]) -> np.ndarray:
        """Return (len(histories), len(items_)) floats, higher is better. Do not write to them."""
        self._check_fitted()
        scores = self._checked(self._score(histories) if len(histories) else None, len(histories))
        return scores if self.objective_ is None else scores + self.objective_.bonus

    def explore(
        self,
        scores: np.ndarray,
        history: History,
        *,
        weight: float,
        cutoff_days: float,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Return a user's scores, (items,), with what is to be explored raised: by ``weight``, 0 to
        1, and only items younger than ``cutoff_days``. Required where the recipe ``explores``."""
        raise NotImplementedError(f"{self.name} does not explore")

    def optimize_for(self, items: Metadata, attribute: str, sensitivity: str) -> None:
        """Rank items with more of a numeric attribute higher from now on: see
        :class:`~personalens.recipes.objective.Objective`, also for the sensitivities."""
        self._check_fitted()
        values = items.align(self.items_).fields[attribute].values
        self.objective_ = Objective.of(values, sensitivity)

    def score_related(self, item_codes: np.ndarray) -> np.ndarray:
        """Return (len(item_codes), len(items_)) floats; code -1 is an unknown item."""
        self._check_fitted()
        codes = np.asarray(item_codes, dtype=np.int32)
        return self._checked(self._score_related(codes) if len(codes) else None, len(codes))

    @classmethod
    def training_events(cls, interactions: Interactions) -> Interactions:
        """Return the events that it learns from. Default: all."""
        return interactions

    @classmethod
    def hold_out(cls, interactions: Interactions, *, seed: int = 0) -> Holdout:
        """Return the split on which GetSolutionMetrics measures this recipe: fit its ``train``
        part, then :meth:`measure`. Default: 10 % of the users, by their newest events."""
        return service_holdout(interactions, seed)

    def measure(self, holdout: Any, *, catalogue_size: int | None = None) -> dict[str, float]:
        """Return the figures of GetSolutionMetrics on what :meth:`hold_out` returned, by the names
        that the service has for this kind of recipe."""
        return solution_metrics(self, holdout, catalogue_size=catalogue_size)

    def history(self, user_id: str) -> History:
        """Return a user's training history, with what is known of them; an unknown user has an
        empty one."""
        self._check_fitted()
        user_id = one_id(user_id, "user_id")
        code = self.interactions_.users.code(user_id)
        past = History.empty() if code < 0 else histories_of(self.interactions_, [code])[0]
        return past if self.users_ is None else replace(past, user=self.users_.row(user_id))

    def histories(self, user_ids: Sequence[str]) -> list[History]:
        """Return the :meth:`history` of each of several users, in less time."""
        self._check_fitted()
        return histories_by_id(self.interactions_, user_ids, users=self.users_)

    def read(self, history: History, before: Any = None) -> Any:
        """Return what the model keeps of reading a history, for ``History.reading``: such a history
        is scored without being read again. ``before`` is what was kept when the history was
        shorter: reading goes on from there.

        None, the default, for a model that keeps nothing: ``score`` reads the whole each time.
        """
        return None

    def forget_users(self, user_ids: Collection[str]) -> bool:
        """Forget these users' histories and metadata; return whether any of them was known.

        From now on they are unknown users. A recipe that keeps more of a user extends this.

        Amazon Personalize: CreateDataDeletionJob.
        """
        self._check_fitted()
        known = (self.interactions_.users.encode(id_list(user_ids, "user_ids")) >= 0).any()
        if known:
            self.interactions_ = without_users(self.interactions_, user_ids)
        if self.users_ is not None and (self.users_.ids.encode(user_ids) >= 0).any():
            self.users_, known = self.users_.without(user_ids), True
        return bool(known)

    def hidden_items(self, history: History) -> np.ndarray:
        """Return the codes of items that are never recommended to a user with this past: none,
        but for a domain's recipes."""
        return _NONE

    def recommend(
        self, users: Sequence[str], *, k: int = 25, exclude_seen: bool = False
    ) -> pd.DataFrame:
        """Return the best ``k`` items for each user: USER_ID, ITEM_ID, SCORE, RANK (from 1).

        Items that the user has had are kept, as in the service, unless ``exclude_seen``. An unknown
        user is a new user. One user is asked for as a list of one: ``recommend(["42"])``.
        """
        self._check_fitted()

        def scores_of(batch: list[str]) -> np.ndarray:
            histories = [self.history(user) for user in batch]
            scores = np.array(self.score(histories))
            for row, past in enumerate(histories):
                hidden = past.item_codes if exclude_seen else self.hidden_items(past)
                scores[row, hidden] = -np.inf
            return scores

        return ranked_table(USER_ID, users, scores_of, self.items_, k)

    def similar(self, items: Sequence[str], *, k: int = 25) -> pd.DataFrame:
        """Return the ``k`` items most related to each: QUERY_ITEM_ID, ITEM_ID, SCORE, RANK."""
        self._check_fitted()

        def scores_of(batch: list[str]) -> np.ndarray:
            return self.score_related(self.items_.encode(batch))

        return ranked_table("QUERY_ITEM_ID", items, scores_of, self.items_, k, argument="items")

    def rank(self, user: str, items: Sequence[str]) -> pd.DataFrame:
        """Return the given items in the order in which the user would want them.

        USER_ID, ITEM_ID, SCORE, RANK. An item named twice comes once; items that the model does not
        know follow at the end in the given order, with SCORE NaN. Amazon Personalize:
        GetPersonalizedRanking.
        """
        items = id_list(items, "items")
        scores = self.score([self.history(user)])[0]
        return ranking_table(user, items, scores, self.items_)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the model as config.json, ids.json and weights.safetensors; all or nothing.

        Raises
        ------
        FileExistsError
            If ``folder`` exists.
        """
        self._check_fitted()
        write_artifact(Path(folder), to_artifact(self))

    @classmethod
    def load(cls, folder: str | os.PathLike[str], *, device: str = "auto") -> Self:
        """Read a model that :meth:`save` wrote; its arrays are mapped, not copied.

        Raises
        ------
        FileNotFoundError
            If there is no model in the folder.
        ValueError
            If it holds another recipe's model.
        """
        return from_artifact(cls, read_artifact(Path(folder)), folder, device)

    # -- inside ------------------------------------------------------------------------------

    def _check_fitted(self) -> None:
        if self.items_ is None or self.interactions_ is None:
            raise RuntimeError(f"this {self.name} model has not been trained: call fit() first")

    def _checked(self, scores: np.ndarray | None, rows: int) -> np.ndarray:
        expected = (rows, len(self.items_))
        if scores is None:
            return np.zeros(expected, np.float32)
        if scores.shape != expected:
            raise ValueError(f"{type(self).__name__} scored {scores.shape}, expected {expected}")
        return scores


RecipeType = Literal[
    "USER_PERSONALIZATION",
    "POPULAR_ITEMS",
    "PERSONALIZED_RANKING",
    "RELATED_ITEMS",
    "USER_SEGMENTATION",
    "PERSONALIZED_ACTIONS",
]
