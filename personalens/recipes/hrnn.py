"""aws-hrnn: a recurrent network that reads a user's events in their order, sessions included."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from pydantic import model_validator

from personalens.datasets.interactions import Interactions
from personalens.datasets.metadata import Metadata
from personalens.recipes.base import History, Recipe, RecipeConfig, hyperparameter
from personalens.recipes.percentile_filtering import within_percentiles
from personalens.training.options import TrainingOptions
from personalens.training.progress import Progress, ignore_progress

if TYPE_CHECKING:  # torch is loaded when training or serving starts, not when recipes are listed
    from personalens.recipes.session_model import SessionModel, SessionShape
    from personalens.training.loop import Trainer

RECENT_DECAYS = (0.0, 0.8, 0.95)
"""The running means under ``recency_mask``: the last item, the last five or so, the last twenty."""


class HRNNConfig(RecipeConfig):
    """Hyperparameters of aws-hrnn, with the service's names, defaults and ranges."""

    hidden_dimension: int = hyperparameter(
        43, "Width of the recurrent state.", tunable=True, ge=32, le=256
    )
    bptt: int = hyperparameter(
        32,
        "Steps through which the recurrent layer's gradients flow back. The state itself is "
        "carried through the whole history.",
        tunable=True,
        ge=2,
        le=32,
    )
    recency_mask: bool = hyperparameter(
        True,
        "Whether newer events weigh more: a user's own, and, for new users, those of everybody. If "
        "false, all past events weigh the same.",
        tunable=True,
    )
    min_user_history_length_percentile: float = hyperparameter(
        0.0,
        "Users with histories shorter than this percentile do not train.",
        group="featureTransformation",
        ge=0.0,
        le=1.0,
    )
    max_user_history_length_percentile: float = hyperparameter(
        0.99,
        "Users with histories longer than this percentile do not train.",
        group="featureTransformation",
        ge=0.0,
        le=1.0,
    )

    @model_validator(mode="after")
    def _percentiles_in_order(self) -> Self:
        low, high = self.min_user_history_length_percentile, self.max_user_history_length_percentile
        if low > high:
            raise ValueError(
                f"min_user_history_length_percentile {low} is above "
                f"max_user_history_length_percentile {high}"
            )
        return self


class HRNN(Recipe):
    """Read a user's events in order and predict the next item.

    Each event becomes a vector: that of its item, plus one for each of its features, among them the
    pause before it and the levels of session that it begins
    (:class:`~personalens.recipes.event_reader.EventReader`). A gated recurrence follows their
    order, running means keep what came lately, and the sum of both is compared with every item's
    vector (:class:`~personalens.networks.session_network.SessionNetwork`). A user is nothing but
    their events: someone new, or a click of a second ago, needs no training.

    Training predicts every event of every user from those before it, among all items at once. Item
    vectors start from what stands near what in the histories, item biases from popularity, so that
    a few passes over the data are enough. How many, the newest events of some users tell, which are
    held out; a second model is trained on everything for as many.

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
    * A history begins with a start row, whose target is the user's first item. An empty history is
      that row alone: a new user is shown what others began with.
    * Long histories train in windows of 200 events, each led in by the 20 before; a request reads
      the newest 200.
    * ``bptt``: gradients in the recurrence stop after so many steps; the state is carried on. The
      weights are updated once per batch of whole windows, not once per ``bptt`` steps.
    * ``recency_mask``: running means with short memories, and for new users a lift of what is more
      popular lately than it used to be; without it one mean in which all of a user's events weigh
      the same, and no lift.
    * Up to 5,000 items the loss is the full softmax; beyond, the most popular items and a sample of
      the others stand for the catalogue (:mod:`personalens.training.losses`).

    Amazon Personalize: recipe aws-hrnn.

    References
    ----------
    Ma, Narayanaswamy, Lin and Ding, "Temporal-Contextual Recommendation in Real-Time", KDD 2020.
    Hidasi et al., "Session-based Recommendations with Recurrent Neural Networks", ICLR 2016.
    Klenitskiy and Vasilev, "Turning Dross Into Gold Loss: is BERT4Rec really better than SASRec?",
    RecSys 2023 (full softmax at every position).

    Examples
    --------
    Everybody goes through the same ten pages in their order, some not to the end:

    >>> visits = [(user, page) for user in range(40) for page in range(4 + user % 7)]
    >>> events = pd.DataFrame(visits, columns=["USER_ID", "ITEM_ID"])
    >>> events["TIMESTAMP"] = range(len(events))
    >>> model = HRNN().fit(events)
    >>> model.recommend(["0", "3", "somebody new"], k=1).ITEM_ID.tolist()
    ['4', '7', '0']
    """

    name = "aws-hrnn"
    recipe_type = "USER_PERSONALIZATION"
    Config = HRNNConfig
    has_scores = True

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
        self._companion: Trainer | None = None  # trains through the same epochs as this model
        self._lead: Callable[[Trainer], HRNN] | None = None  # trains a model, and this one beside

    # -- training ----------------------------------------------------------------------------

    def _fit(
        self,
        interactions: Interactions,
        items: Metadata | None,
        users: Metadata | None,
        progress: Progress,
        refit: bool,
    ) -> None:
        from personalens.training.start_values import recent_lift

        events = self._training_events(interactions)
        self.newcomer_lift_ = np.zeros(len(events.items), np.float32)
        if self.config.recency_mask:
            self.newcomer_lift_ = recent_lift(
                events.item_codes, events.timestamps, len(events.items)
            )
        if self._lead is None:
            self.model_ = self._train(events, progress, refit)
        else:
            self.model_, trainer = self._begin(events)
            leader = self._lead(trainer)
            self.best_epochs_, self.training_log_ = leader.best_epochs_, leader.training_log_
        self.model_.network.eval()

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
        if held_out.any():
            stage = "training, the newest events held out"
            validate = model.validation(events, held_out)
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
        return model

    def _begin(self, events: Interactions) -> tuple[SessionModel, Trainer]:
        from personalens.recipes.session_model import SessionModel
        from personalens.training.devices import choose_device

        rng = np.random.default_rng(self.seed)
        model = SessionModel.begin(events, self._shape(), rng)
        model.network.to(choose_device(self.device))
        return model, model.trainer(events, self.training, rng)

    def _shape(self) -> SessionShape:
        from personalens.recipes.session_model import RecurrentShape

        return RecurrentShape(
            hidden_size=self.config.hidden_dimension,
            truncate=self.config.bptt,
            decays=RECENT_DECAYS if self.config.recency_mask else (),
        )

    def _training_events(self, interactions: Interactions) -> Interactions:
        """Leave out users whose histories are extremely short or long."""
        kept = within_percentiles(
            np.diff(interactions.offsets),
            self.config.min_user_history_length_percentile,
            self.config.max_user_history_length_percentile,
        )
        return interactions.select(kept[interactions.user_codes])

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

        As ``fit(interactions, refit=False)`` followed by ``refit(everything)``, in little more than
        half the time where there are two cores.
        """
        final = self._untrained()

        def lead(companion: Trainer) -> HRNN:
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
