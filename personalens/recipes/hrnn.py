"""aws-hrnn: a recurrent network that reads a user's events in their order, sessions included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from pydantic import model_validator

from personalens.datasets.histories import histories_of
from personalens.datasets.interactions import Interactions
from personalens.recipes.base import History, Recipe, RecipeConfig, hyperparameter
from personalens.recipes.event_reader import EventReader
from personalens.recipes.percentile_filtering import within_percentiles
from personalens.training.options import TrainingOptions
from personalens.training.progress import Progress, ignore_progress

if TYPE_CHECKING:  # torch is loaded when training or serving starts, not when recipes are listed
    from personalens.networks.session_network import SessionNetwork
    from personalens.training.loop import Trainer
    from personalens.training.validation import NextItemValidation

ITEM_VECTOR_SIZE = 128
ITEM_VECTOR_SPREAD = 0.35
DROPOUT = 0.5
RECENT_DECAYS = (0.0, 0.8, 0.95)
WINDOW, CONTEXT = 200, 20
FULL_SOFTMAX_ITEMS = 5_000
CERTAIN_CANDIDATES = 1024
SCORE_BATCH = 128


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
    reader_, network_
        What turns events into numbers, and the trained network.
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

    # -- training ----------------------------------------------------------------------------

    def _fit(
        self,
        interactions: Interactions,
        items: pd.DataFrame | None,
        users: pd.DataFrame | None,
        progress: Progress,
        refit: bool,
    ) -> None:
        from personalens.training.loop import Reporter, train_for, train_until_best
        from personalens.training.start_values import recent_lift
        from personalens.training.validation import newest_events

        events = self._training_events(interactions)
        held_out = newest_events(events.offsets, np.random.default_rng(self.seed))
        if self._known_epochs is None and held_out.any():
            search = self._begin(events.select(~held_out))
            full = self._begin(events) if refit else None
            reporter = Reporter(progress, "training on the hold-out", self.training.max_epochs)
            validate = self._validation(search.reader, events, held_out)
            self.best_epochs_ = train_until_best(
                search.trainer, validate, reporter, self.training, full and full.trainer
            )
            run = full or search
        else:
            run = self._begin(events)
            self.best_epochs_ = self._known_epochs or self.training.max_epochs
            reporter = Reporter(progress, "training on all data", self.best_epochs_)
            train_for(run.trainer, self.best_epochs_, reporter)
        self.reader_, self.network_ = run.reader, run.trainer.network.eval()
        self.newcomer_lift_ = np.zeros(len(events.items), np.float32)
        if self.config.recency_mask:
            self.newcomer_lift_ = recent_lift(
                events.item_codes, events.timestamps, len(events.items)
            )
        self.training_log_ = reporter.log
        reporter.finish()

    def refit(
        self,
        interactions: Interactions | pd.DataFrame,
        *,
        items: pd.DataFrame | None = None,
        users: pd.DataFrame | None = None,
        progress: Progress = ignore_progress,
    ) -> Self:
        """Return a new model trained on other data for the number of epochs that this fit found."""
        self._check_fitted()
        fresh = type(self)(self.config, seed=self.seed, device=self.device, training=self.training)
        fresh._known_epochs = self.best_epochs_
        return fresh.fit(interactions, items=items, users=users, progress=progress)

    def _training_events(self, interactions: Interactions) -> Interactions:
        """Leave out users whose histories are extremely short or long."""
        kept = within_percentiles(
            np.diff(interactions.offsets),
            self.config.min_user_history_length_percentile,
            self.config.max_user_history_length_percentile,
        )
        return interactions.select(kept[interactions.user_codes])

    def _begin(self, events: Interactions) -> _Run:
        """Make a network for these events, with its start weights, and what trains it."""
        import torch

        from personalens.training.batches import cut_windows
        from personalens.training.devices import choose_device
        from personalens.training.loop import Trainer
        from personalens.training.losses import FullSoftmax, SampledSoftmax
        from personalens.training.start_values import (
            cooccurrence_vectors,
            log_popularity,
            repeat_log_odds,
        )

        rng = np.random.default_rng(self.seed)
        size = len(events.items)
        reader = EventReader.fit(events)
        network = self._network(reader, rng)
        vectors = cooccurrence_vectors(
            events.item_codes, events.offsets, size, ITEM_VECTOR_SIZE, spread=ITEM_VECTOR_SPREAD
        )
        with torch.no_grad():
            network.table.add_(torch.from_numpy(vectors))
            network.bias.copy_(torch.from_numpy(log_popularity(events.item_codes, size)))
            network.repeat.fill_(repeat_log_odds(events.item_codes, events.offsets, size))
        network.to(choose_device(self.device))
        sequences = reader.read(_histories(events))
        windows = cut_windows(sequences.offsets, WINDOW, context=CONTEXT)
        counts = np.bincount(events.item_codes, minlength=size)
        full = size <= FULL_SOFTMAX_ITEMS
        loss = FullSoftmax() if full else SampledSoftmax(counts, certain=CERTAIN_CANDIDATES)
        return _Run(reader, Trainer(network, sequences, windows, loss, self.training, rng))

    def _network(self, reader: EventReader, rng: np.random.Generator) -> SessionNetwork:
        from personalens.networks.session_network import SessionNetwork

        return SessionNetwork(
            reader.catalogue_size,
            sum(reader.sizes.values()),
            hidden_size=self.config.hidden_dimension,
            embedding_size=ITEM_VECTOR_SIZE,
            truncate=self.config.bptt,
            decays=RECENT_DECAYS if self.config.recency_mask else (),
            dropout=DROPOUT,
            rng=rng,
        )

    @staticmethod
    def _validation(
        reader: EventReader, events: Interactions, held_out: np.ndarray
    ) -> NextItemValidation:
        """Ask for the held-out events, each with all of its user's earlier ones known."""
        from personalens.training.batches import Windows
        from personalens.training.validation import NextItemValidation

        counts = np.bincount(events.user_codes[held_out], minlength=len(events.users))
        asked = np.flatnonzero(counts)
        sequences = reader.read(histories_of(events, asked))
        stops = sequences.offsets[1:]
        first_targets = stops - 1 - counts[asked]
        starts = np.maximum(sequences.offsets[:-1], first_targets - WINDOW)
        return NextItemValidation(sequences, Windows(starts, stops, first_targets))

    # -- serving -----------------------------------------------------------------------------

    def _score(self, histories: Sequence[History]) -> np.ndarray:
        import torch

        from personalens.networks.session_network import seen_before
        from personalens.training.batches import Windows, bucketed_batches, make_batch

        network, scores = self.network_, np.empty((len(histories), len(self.items_)), np.float32)
        sequences = self.reader_.read(histories)
        last = sequences.offsets[1:] - 1
        sequences.targets[last] = 0  # any item: it marks the rows that are asked for
        starts = np.maximum(sequences.offsets[:-1], last + 1 - WINDOW)
        windows = Windows(starts, last + 1, last)
        with torch.inference_mode():
            for chosen in bucketed_batches(windows.lengths, SCORE_BATCH):
                batch = make_batch(sequences, windows, chosen).to(network.bias.device)
                vectors = network(batch.events, batch.positions)
                seen = seen_before(batch.events.items, batch.positions, len(self.items_))
                scores[batch.owners] = network.scores(vectors, seen).cpu().numpy()
        newcomers = np.array([len(history) == 0 for history in histories])
        scores[newcomers] += self.newcomer_lift_
        return scores

    # -- files -------------------------------------------------------------------------------

    def _tensors(self) -> dict[str, np.ndarray]:
        weights = self.network_.state_dict()
        return {
            **{f"network.{name}": tensor.cpu().numpy() for name, tensor in weights.items()},
            **{f"reader.{name}": array for name, array in self.reader_.to_arrays().items()},
            "newcomer_lift": self.newcomer_lift_,
            "best_epochs": np.array([self.best_epochs_], np.int64),
        }

    def _restore(self, tensors: dict[str, np.ndarray]) -> None:
        import torch

        from personalens.training.devices import choose_device

        def part(prefix: str) -> dict[str, np.ndarray]:
            found = {n: array for n, array in tensors.items() if n.startswith(prefix)}
            return {n.removeprefix(prefix): array for n, array in found.items()}

        self.best_epochs_ = int(tensors["best_epochs"][0])
        self.newcomer_lift_ = tensors["newcomer_lift"]
        self.reader_ = EventReader.from_arrays(len(self.items_), part("reader."))
        self.network_ = self._network(self.reader_, np.random.default_rng(self.seed))
        weights = {n: torch.from_numpy(np.array(array)) for n, array in part("network.").items()}
        self.network_.load_state_dict(weights)
        self.network_.to(choose_device(self.device)).eval()


@dataclass(frozen=True, eq=False)
class _Run:
    """A network in training, and the reader that its inputs come from."""

    reader: EventReader
    trainer: Trainer


def _histories(events: Interactions) -> list[History]:
    return histories_of(events, np.flatnonzero(np.diff(events.offsets)))
