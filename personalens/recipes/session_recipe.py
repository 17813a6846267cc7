"""What recipes that read sessions have in common: when training stops, refits, serving, files."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd

from personalens.datasets.interactions import Interactions
from personalens.datasets.metadata import Metadata
from personalens.progress import Progress, ignore_progress
from personalens.recipes.base import History, Recipe, RecipeConfig
from personalens.training.options import TrainingOptions

if TYPE_CHECKING:  # torch is loaded when training or serving starts, not when recipes are listed
    from personalens.recipes.session_model import (
        Reading,
        SessionModel,
        SessionShape,
        SideInformation,
    )
    from personalens.training.trainer import Trainer


class SessionRecipe(Recipe):
    """Train a :class:`~personalens.recipes.session_model.SessionModel` until it is at its best.

    A recipe of this family says what its network looks like (``_shape``), whether it weighs what
    is recent (``_weighs_recent``), whom it learns from (``_training_events``), and whether it
    ``reads_metadata``.

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

    Notes
    -----
    How many epochs are best, the newest events of some users tell, which are held out; a second
    model is trained on everything for as many.
    """

    has_scores = True
    reads_metadata: ClassVar[bool] = False
    """Whether it learns from the metadata of items and users and from the context of events."""

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
        self._side: SideInformation | None = None
        self._known_epochs: int | None = None
        self._companion: Trainer | None = None  # trains through the same epochs as this model
        # Trains another model, and beside it the one whose trainer it is given.
        self._lead: Callable[[Trainer], SessionRecipe] | None = None

    # -- what a recipe's author writes -------------------------------------------------------

    @abstractmethod
    def _shape(self) -> SessionShape:
        """Return what reads the histories."""

    def _weighs_recent(self) -> bool:
        """Whether new users see a lift of what is more popular lately than it used to be."""
        return True

    def _training_events(self, interactions: Interactions) -> Interactions:
        """Return the events to learn from."""
        return interactions

    def _tune(self, model: SessionModel, events: Interactions, held_out: np.ndarray) -> None:
        """Find what else there is to find with a model that has not seen some of the events,
        (n,) bool. Default: nothing."""

    def _take_findings(self, searched: Self) -> None:
        """Take over what the search of another fit has found."""
        self.best_epochs_ = searched.best_epochs_

    # -- training ----------------------------------------------------------------------------

    def _fit(
        self,
        interactions: Interactions,
        items: Metadata | None,
        users: Metadata | None,
        progress: Progress,
        refit: bool,
    ) -> None:
        events = self._training_events(interactions)
        self._side = self._beside(items, users)
        self.newcomer_lift_ = self._newcomer_lift(events)
        if self._lead is None:
            self.model_ = self._train(events, progress, refit)
        else:
            self.model_, trainer = self._begin(events)
            leader = self._lead(trainer)
            self._take_findings(leader)
            self.training_log_ = leader.training_log_
        self._side = None
        self.model_.network.eval()

    def _beside(self, items: Metadata | None, users: Metadata | None) -> SideInformation:
        from personalens.recipes.session_model import SideInformation

        if not self.reads_metadata:
            return SideInformation()
        return SideInformation(items, users, context=True)

    def _newcomer_lift(self, events: Interactions) -> np.ndarray:
        from personalens.training.start_values import recent_lift

        if not self._weighs_recent():
            return np.zeros(len(events.items), np.float32)
        return recent_lift(events.item_codes, events.timestamps, len(events.items))

    def _train(self, events: Interactions, progress: Progress, refit: bool) -> SessionModel:
        """Train for the epochs that are known, or for those that do best on held-out events; return
        the model of all events, or, without ``refit``, the one that has not seen the held-out."""
        from personalens.training.loop import Reporter, train
        from personalens.training.validation import newest_events

        held_out = np.zeros(len(events), bool)
        if self._known_epochs is None:
            held_out = newest_events(events.offsets, np.random.default_rng(self.seed))
        validate, companion, stage = None, self._companion, "training on all events"
        model, trainer = self._begin(events.select(~held_out))
        searched = model
        if held_out.any():
            stage = "training, the newest events held out"
            validate = model.validation(events, held_out, self._side.users)
            if refit:
                model, companion = self._begin(events)
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
            self._tune(searched, events, held_out)
        return model

    def _begin(self, events: Interactions) -> tuple[SessionModel, Trainer]:
        from personalens.recipes.session_model import SessionModel
        from personalens.training.devices import choose_device

        rng = np.random.default_rng(self.seed)
        model = SessionModel.begin(events, self._shape(), rng, self._side)
        model.network.to(choose_device(self.device))
        return model, model.trainer(events, self.training, rng, self._side.users)

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
        """Fit on a part of the data and return a new model of all of them, trained side by side.

        As ``fit(interactions, refit=False)`` followed by ``refit(everything)``, but the two
        trainings run side by side where there are two cores.
        """
        final = self._untrained()

        def lead(companion: Trainer) -> SessionRecipe:
            self._companion = companion
            try:
                return self.fit(
                    interactions, items=items, users=users, progress=progress, refit=False
                )
            finally:
                self._companion = None

        final._lead = lead
        try:
            return final.fit(everything, items=items, users=users)
        finally:
            final._lead = None

    def _untrained(self) -> Self:
        return type(self)(self.config, seed=self.seed, device=self.device, training=self.training)

    # -- serving and files -------------------------------------------------------------------

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

    def _tensors(self) -> dict[str, np.ndarray]:
        return {
            **self.model_.to_arrays(),
            "newcomer_lift": self.newcomer_lift_,
            "best_epochs": np.array([self.best_epochs_], np.int64),
        }

    def _restore(self, tensors: dict[str, np.ndarray]) -> None:
        from personalens.recipes.session_model import SessionModel
        from personalens.training.devices import choose_device

        self.model_ = SessionModel.from_arrays(len(self.items_), self._shape(), tensors)
        self.model_.network.to(choose_device(self.device))
        self.newcomer_lift_ = tensors["newcomer_lift"]
        self.best_epochs_ = int(tensors["best_epochs"][0])
