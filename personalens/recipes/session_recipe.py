"""Recipes that read sessions: which network they train, when training stops, new items, files.

A recipe of this family is put together of parts: its config says which network it trains
(:mod:`personalens.recipes.session_model` builds and asks it) and which events it learns from;
class attributes say whether it reads metadata and whether it explores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
import pandas as pd

from personalens.datasets.interactions import Interactions
from personalens.datasets.metadata import Metadata
from personalens.progress import Progress, ProgressEvent, ignore_progress
from personalens.recipes.base import History, Recipe, RecipeConfig
from personalens.recipes.exploration import ItemExposure, exploration_bonus
from personalens.recipes.training_tables import newest_events, training_tables
from personalens.training.options import TrainingOptions

if TYPE_CHECKING:  # torch is loaded when training or serving starts, not when recipes are listed
    from personalens.recipes.session_model import Reading, SessionModel
    from personalens.training.trainer import Trainer


class Lesson(NamedTuple):
    """What a model learns from: events, and, where it reads them, metadata of items and users, one
    row for each code."""

    events: Interactions
    items: Metadata | None
    users: Metadata | None


class SessionRecipe(Recipe):
    """Train a :class:`~personalens.recipes.session_model.SessionModel` until it is at its best.

    The ``Config`` of a recipe of this family has three members beside its hyperparameters:
    ``builder()`` returns a :class:`~personalens.recipes.session_model.NetworkBuilder`,
    ``training_events(interactions)`` the events to learn from, and ``weighs_recent`` says whether
    new users see a lift of what is more popular lately than it used to be.

    Parameters
    ----------
    config, seed, device, **hyperparameters
        As in every recipe.
    training
        Epochs, batches, rates. Default: ``TrainingOptions.from_environment()``.

    Attributes
    ----------
    best_epochs_
        Passes over the data that did best on the held-out events.
    training_log_
        One dict per epoch of the search: epoch, loss, ndcg_at_10 on the held-out events, seconds;
        of a refit: epoch, loss, seconds.
    model_
        The reader of events and the trained network.
    newcomer_lift_
        (items,) added to the scores of an empty history.
    exposure_
        How much is known of each item: its events, impressions and age. Of a recipe that explores.

    Notes
    -----
    The newest events of some users are held out; they tell how many epochs are best. A second model
    is trained on everything for as many.
    """

    has_scores = True
    reads_metadata: ClassVar[bool] = False
    """Whether it learns from the metadata of items and users and from the context of events."""
    adds_items: ClassVar[bool] = False
    """Whether :meth:`update` takes in new items without a new training."""

    def __init__(
        self,
        config: RecipeConfig | None = None,
        *,
        seed: int = 0,
        device: str = "auto",
        training: TrainingOptions | None = None,
        **hyperparameters: Any,
    ):
        super().__init__(config, seed=seed, device=device, **hyperparameters)
        self.training = TrainingOptions.from_environment() if training is None else training
        self._known_epochs: int | None = None

    # -- what a recipe's author may write ----------------------------------------------------------

    def _take_stock(self, interactions: Interactions, items: Metadata | None) -> None:
        """Count what is counted and not trained; also when items are added."""
        if self.explores:
            self.exposure_ = ItemExposure.count(interactions, items)

    def _tune(self, model: SessionModel, lesson: Lesson, held_out: np.ndarray) -> None:
        """Find what else there is to find with a model that has not seen some of the lesson's
        events, (n,) bool. Default: nothing."""

    def _take_findings(self, searched: Self) -> None:
        """Take over what the search of another fit has found."""
        self.best_epochs_ = searched.best_epochs_

    def _complete(self, model: SessionModel) -> None:
        """Keep a trained model, with all that was found."""
        model.network.eval()
        self.model_ = model

    # -- training ----------------------------------------------------------------------------------

    def _fit(
        self,
        interactions: Interactions,
        items: Metadata | None,
        users: Metadata | None,
        progress: Progress,
        refit: bool,
    ) -> None:
        lesson = self._prepare(interactions, items, users)
        self._complete(self._train(lesson, progress, refit=refit))

    def _prepare(
        self, interactions: Interactions, items: Metadata | None, users: Metadata | None
    ) -> Lesson:
        """Count what needs no training, and return what the training learns from."""
        self._take_stock(interactions, items)
        events = self.config.training_events(interactions)
        self.newcomer_lift_ = self._newcomer_lift(events)
        if not self.reads_metadata:
            return Lesson(events, None, None)
        if self.explores and items is None:
            items = Metadata(interactions.items, {})  # an item that is new still needs a vector
        return Lesson(events, items, users)

    def _newcomer_lift(self, events: Interactions) -> np.ndarray:
        from personalens.training.start_values import recent_lift

        if not self.config.weighs_recent:
            return np.zeros(len(events.items), np.float32)
        return recent_lift(events.item_codes, events.timestamps, len(events.items))

    def _train(
        self,
        lesson: Lesson,
        progress: Progress,
        *,
        refit: bool = False,
        companion: Trainer | None = None,
    ) -> SessionModel:
        """Train for the epochs that are known, or for those that do best on held-out events; return
        the model of all events, or, without ``refit``, the one that has not seen the held-out.

        A ``companion`` goes through the same epochs.
        """
        from personalens.training.trainer import Reporter, train
        from personalens.training.trainer import newest_events as newest

        events = lesson.events
        held_out = np.zeros(len(events), bool)
        if self._known_epochs is None:
            held_out = newest(events.offsets, np.random.default_rng(self.seed))
        validate, stage = None, "training on all events"
        model, trainer = self._begin(lesson._replace(events=events.select(~held_out)))
        searched = model
        if held_out.any():
            stage = "training, the newest events held out"
            validate = model.validation(events, held_out, lesson.users)
            if refit:
                model, companion = self._begin(lesson)
        reporter = Reporter(progress, stage, self._known_epochs or self.training.max_epochs)
        self.best_epochs_ = train(
            trainer,
            reporter,
            validate=validate,
            patience=self.training.patience,
            companion=companion,
        )
        self.training_log_ = reporter.log
        if held_out.any():
            searched.network.eval()
            self._tune(searched, lesson, held_out)
        return model

    def _begin(self, lesson: Lesson) -> tuple[SessionModel, Trainer]:
        """Return an untrained model, and what trains it."""
        from personalens.recipes.session_model import SessionModel
        from personalens.training.devices import choose_device

        rng = np.random.default_rng(self.seed)
        model = SessionModel.begin(
            lesson.events,
            self.config.builder(),
            rng,
            items=lesson.items,
            users=lesson.users,
            reads_context=self.reads_metadata,
        )
        model.network.to(choose_device(self.device))
        return model, model.trainer(lesson.events, self.training, rng, lesson.users)

    def _untrained(self) -> Self:
        return type(self)(self.config, seed=self.seed, device=self.device, training=self.training)

    def refit(
        self,
        interactions: Interactions | pd.DataFrame,
        *,
        items: Metadata | pd.DataFrame | None = None,
        users: Metadata | pd.DataFrame | None = None,
        progress: Progress = ignore_progress,
    ) -> Self:
        """Return a new model trained on other data for the number of epochs that this fit found."""
        self._check_fitted()
        fresh = self._untrained()
        fresh._known_epochs = self.best_epochs_
        fresh._take_findings(self)
        return fresh.fit(interactions, items=items, users=users, progress=progress)

    def fit_and_refit(
        self,
        interactions: Interactions | pd.DataFrame,
        everything: Interactions | pd.DataFrame,
        *,
        items: Metadata | pd.DataFrame | None = None,
        users: Metadata | pd.DataFrame | None = None,
        progress: Progress = ignore_progress,
    ) -> Self:
        """Fit on a part of the data and return a new model of all of them.

        As ``fit(interactions, refit=False)`` followed by ``refit(everything)``, but the two
        trainings run side by side where there are two cores.
        """
        final = self._untrained()
        with (
            final._learning(everything, items, users) as all_tables,
            self._learning(interactions, items, users) as tables,
        ):
            lesson = final._prepare(*all_tables)
            train_side_by_side(self, self._prepare(*tables), final, lesson, progress)
        return final

    # -- new items ---------------------------------------------------------------------------------

    def update(
        self,
        interactions: Interactions | pd.DataFrame,
        *,
        items: Metadata | pd.DataFrame | None = None,
        users: Metadata | pd.DataFrame | None = None,
        progress: Progress = ignore_progress,
    ) -> Self:
        """Return a model of the items and events of now with the weights of this one; a refit where
        the recipe does not add items.

        New items get the vector that their metadata give them, the others keep theirs. Histories,
        and whatever is only counted (exposure, what is popular lately), are those of the new
        tables. A model that was trained without metadata cannot read any: it passes over items
        without events.

        Amazon Personalize: CreateSolutionVersion with trainingMode UPDATE, and automatic updates.
        """
        if not self.adds_items:
            return self.refit(interactions, items=items, users=users, progress=progress)
        self._check_fitted()
        progress(ProgressEvent("adding new items", fraction=0.0))
        items = None if self.model_.fields is None else items
        tables = training_tables(interactions, items, users, has_cold_items=True)
        events = tables.interactions
        fresh = self._untrained()
        fresh.items_, fresh.interactions_ = events.items, newest_events(events, self.history_limit)
        fresh.users_ = self.users_ if tables.users is None else tables.users
        fresh.model_ = self.model_.with_items(self.items_.encode(events.items.ids), tables.items)
        fresh._take_findings(self)
        fresh.training_log_ = self.training_log_
        fresh.newcomer_lift_ = fresh._newcomer_lift(events)
        fresh._take_stock(events, tables.items)
        progress(ProgressEvent("adding new items", fraction=1.0))
        return fresh

    def recount(self, interactions: Interactions, items: Metadata | None) -> None:
        """Count the exposure of the items again, by events of which the model has learned only a
        part: what was shown or had meanwhile needs less exploring. Items that the model does not
        know are passed over.

        Amazon Personalize: automatic updates take in "new interactions and impressions".
        """
        self._check_fitted()
        tables = training_tables(interactions, items, None, has_cold_items=True)
        exposure = ItemExposure.count(tables.interactions, tables.items)
        codes = tables.interactions.items.encode(self.items_.ids)
        if (codes < 0).any():
            raise ValueError("the events and items must have all items that the model knows")
        self.exposure_ = exposure.select(codes)

    def explore(
        self,
        scores: np.ndarray,
        history: History,
        *,
        weight: float,
        cutoff_days: float,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Return a user's scores (items,) with the bonus of what is to be explored.

        See :func:`~personalens.recipes.exploration.exploration_bonus`. A weight of 0 changes
        nothing.
        """
        bonus = exploration_bonus(
            self.exposure_,
            self.model_.item_vectors,
            history.item_codes,
            weight=weight,
            cutoff_days=cutoff_days,
            rng=rng,
        )
        return scores + scores.std() * bonus if bonus.any() else scores

    # -- serving and files -------------------------------------------------------------------------

    def read(self, history: History, before: Reading | None = None) -> Reading | None:
        """Return the encoder's state after a history; see :meth:`Recipe.read`. One more event is
        one more step of a recurrence, and attention to what was kept for a transformer."""
        self._check_fitted()
        return self.model_.read(history, before)

    def _score(self, histories: Sequence[History]) -> np.ndarray:
        scores = self.model_.score(histories)
        newcomers = np.array([len(history) == 0 for history in histories])
        scores[newcomers] += self.newcomer_lift_
        return scores

    def _tensors(self) -> dict[str, Any]:
        arrays = self.model_.to_arrays() | {
            "newcomer_lift": self.newcomer_lift_,
            "best_epochs": np.array([self.best_epochs_], np.int64),
        }
        return arrays | {"exposure": vars(self.exposure_)} if self.explores else arrays

    def _restore(self, tensors: dict[str, Any]) -> None:
        from personalens.recipes.session_model import SessionModel
        from personalens.training.devices import choose_device

        self.model_ = SessionModel.from_arrays(len(self.items_), self.config.builder(), tensors)
        self.model_.network.to(choose_device(self.device))
        self.newcomer_lift_ = tensors["newcomer_lift"]
        self.best_epochs_ = int(tensors["best_epochs"][0])
        if self.explores:
            self.exposure_ = ItemExposure(**tensors["exposure"])


def train_side_by_side(
    measured: SessionRecipe,
    part: Lesson,
    final: SessionRecipe,
    everything: Lesson,
    progress: Progress = ignore_progress,
) -> None:
    """Train a model of a part of the data until it is at its best, and beside it, through the same
    epochs, one of everything."""
    model, companion = final._begin(everything)
    measured._complete(measured._train(part, progress, companion=companion))
    final._take_findings(measured)
    final.training_log_ = measured.training_log_
    final._complete(model)
