"""aws-hrnn: a recurrent network that reads a user's events in order, sessions included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from pydantic import model_validator

from personalens.datasets.interactions import Interactions
from personalens.recipes.base import History, Recipe, RecipeConfig, hyperparameter
from personalens.recipes.percentile_filtering import within_percentiles
from personalens.training.options import TrainingOptions
from personalens.training.progress import Progress, ignore_progress

if TYPE_CHECKING:  # torch is loaded when training starts, not when recipes are listed
    from personalens.networks.session_network import SessionNetwork
    from personalens.training.batches import Sequences

MINUTE, HOUR, DAY = 60, 3600, 86400
GAP_EDGES = np.array(
    [1, 5, 15, 30, MINUTE, 2 * MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 6 * HOUR]
    + [days * DAY for days in (1, 3, 7, 30, 180)]
)
"""Seconds since the event before, as buckets."""
SESSION_GAPS = np.array([MINUTE, 30 * MINUTE, DAY])
"""A longer pause starts a new session: three levels, from browsing to the next visit."""
VALUE_BUCKETS = 10
PERIODS = 32
WINDOW = 200
CONTEXT = 20
EMBEDDING_SIZE = 64
DROPOUT = 0.5
WARM_START_SCALE = 0.3
HELD_OUT_EVENTS = 1
HELD_OUT_USERS = 2000


class HRNNConfig(RecipeConfig):
    """Hyperparameters of aws-hrnn, with the service's names, defaults and ranges."""

    hidden_dimension: int = hyperparameter(
        43, "Width of the recurrent state.", tunable=True, ge=32, le=256
    )
    bptt: int = hyperparameter(
        32,
        "Steps through which gradients flow back in time. The state itself is carried on.",
        tunable=True,
        ge=2,
        le=32,
    )
    recency_mask: bool = hyperparameter(
        True, "Whether recent events and recent popularity weigh more.", tunable=True
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


@dataclass(frozen=True, eq=False)
class EventReader:
    """Turns events into what the network reads: small integers."""

    items: int
    value_edges: np.ndarray
    period_edges: np.ndarray

    @classmethod
    def fit(cls, interactions: Interactions, recency: bool) -> EventReader:
        values = interactions.event_values
        known = np.zeros(0) if values is None else values[~np.isnan(values)].astype(np.float64)
        distinct = np.unique(known)
        if len(distinct) > VALUE_BUCKETS:
            distinct = np.unique(np.quantile(known, np.linspace(0, 1, VALUE_BUCKETS + 1))[1:-1])
        elif len(distinct):
            distinct = (distinct[1:] + distinct[:-1]) / 2
        periods = np.zeros(0, np.int64)
        if recency:
            periods = np.unique(
                np.quantile(
                    interactions.timestamps, np.linspace(0, 1, PERIODS + 1)[1:-1], method="lower"
                )
            )
        return cls(len(interactions.items), distinct, periods)

    @property
    def features(self) -> dict[str, int]:
        return {
            "gap": len(GAP_EDGES) + 2,
            "session": len(SESSION_GAPS) + 2,
            "value": len(self.value_edges) + 2,
            "period": len(self.period_edges) + 1,
        }

    def read(
        self, item_codes: np.ndarray, timestamps: np.ndarray, values: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        """One history: a start row, then its events."""
        n = len(item_codes) + 1
        gaps = np.diff(timestamps)
        gap, session, value, period = (np.zeros(n, np.int64) for _ in range(4))
        gap[1:2] = 1
        gap[2:] = np.searchsorted(GAP_EDGES, gaps, side="right") + 1
        session[1:2] = len(SESSION_GAPS) + 1
        session[2:] = np.searchsorted(SESSION_GAPS, gaps, side="right") + 0
        session[0] = len(SESSION_GAPS) + 1
        if values is not None:
            value[1:] = np.where(
                np.isnan(values), 0, np.searchsorted(self.value_edges, values, side="right") + 1
            )
        period[1:] = np.searchsorted(self.period_edges, timestamps, side="right")
        period[0] = period[1] if n > 1 else len(self.period_edges)
        item = np.concatenate([[self.items], item_codes]).astype(np.int64)
        return {"item": item, "gap": gap, "session": session, "value": value, "period": period}

    def sequences(self, histories: Sequence[History]) -> Sequences:
        from personalens.training.batches import NO_TARGET, Sequences

        rows = [self.read(h.item_codes, h.timestamps, h.event_values) for h in histories]
        inputs = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
        targets = np.concatenate([np.append(row["item"][1:], NO_TARGET) for row in rows])
        offsets = np.concatenate([[0], np.cumsum([len(row["item"]) for row in rows])])
        return Sequences(inputs, targets, offsets)


class HRNN(Recipe):
    """Read events in order and predict the next item."""

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
        self.best_epochs: int | None = None

    def _fit(
        self,
        interactions: Interactions,
        items: pd.DataFrame | None,
        users: pd.DataFrame | None,
        progress: Progress,
        refit: bool,
    ) -> None:
        from personalens.datasets.histories import histories_of

        kept = within_percentiles(
            np.diff(interactions.offsets),
            self.config.min_user_history_length_percentile,
            self.config.max_user_history_length_percentile,
        )
        events = interactions.select(kept[interactions.user_codes])
        self.reader_ = EventReader.fit(events, self.config.recency_mask)
        histories = histories_of(events, np.flatnonzero(kept))
        if self.best_epochs is None:
            share = (0.0, 0.5) if refit else (0.0, 1.0)
            self._search(histories, progress, share)
            if not refit:
                return
            share = (0.5, 1.0)
        else:
            share = (0.0, 1.0)
        self._train(histories, histories, progress, share, self.best_epochs)

    def _search(self, histories, progress, share) -> None:
        """Train on all but each user's newest events, which tell when to stop."""
        cut = [
            h if len(h) <= 2 * HELD_OUT_EVENTS else _oldest(h, len(h) - HELD_OUT_EVENTS)
            for h in histories
        ]
        asked = [(h, len(c)) for h, c in zip(histories, cut, strict=True) if len(c) < len(h)]
        self.best_epochs = self._train(cut, histories, progress, share, None, asked)

    def _train(self, histories, full, progress, share, epochs, asked=None) -> int:
        import torch

        from personalens.training.batches import Sequences, cut_windows
        from personalens.training.devices import choose_device
        from personalens.training.item_vectors import (
            log_popularity,
            positive_pmi,
            principal_vectors,
            windowed_cooccurrence,
        )
        from personalens.training.loop import Trainer

        device = choose_device(self.device)
        generator = torch.Generator(device).manual_seed(self.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            network = self._network(generator)
        codes = np.concatenate([h.item_codes for h in histories])
        offsets = np.concatenate([[0], np.cumsum([len(h) for h in histories])])
        n = self.reader_.items
        vectors = principal_vectors(
            positive_pmi(windowed_cooccurrence(codes, offsets, n)), EMBEDDING_SIZE
        )
        vectors *= WARM_START_SCALE / np.sqrt(np.mean(vectors**2))
        with torch.no_grad():
            network.item.weight[:n] = torch.from_numpy(vectors)
            network.bias[:] = torch.from_numpy(log_popularity(codes, n))
        network.to(device)
        self.network_ = network
        sequences = self.reader_.sequences(histories)
        ends = sequences.offsets[1:] - 1
        keep = np.ones(len(sequences.targets), bool)
        keep[ends] = False
        sequences = Sequences(
            {k: v[keep] for k, v in sequences.inputs.items()},
            sequences.targets[keep],
            sequences.offsets - np.arange(len(sequences.offsets)),
        )
        windows = cut_windows(sequences.offsets, WINDOW, context=CONTEXT)
        trainer = Trainer(
            network,
            sequences,
            windows,
            self.training,
            np.random.default_rng(self.seed),
            progress,
            "training" if asked is None else "training on the hold-out",
            share,
            validate=None if not asked else (lambda: self._validate(asked)),
        )
        found = trainer.run(epochs)
        network.eval()
        self.training_log_ = self.training_log_ + trainer.log if asked is None else trainer.log
        return found

    def _validate(self, asked) -> float:
        scores = self._score([_oldest(h, n) for h, n in asked])
        target = np.array([h.item_codes[n] for h, n in asked])
        own = scores[np.arange(len(target)), target]
        repeats = [code in h.item_codes[:n] for code, (h, n) in zip(target, asked, strict=True)]
        if np.mean(repeats) < 0.01:  # nobody comes back to an item: rank the others
            for row, (h, n) in enumerate(asked):
                scores[row, h.item_codes[:n]] = -np.inf
            scores[np.arange(len(target)), target] = own
        own = scores[np.arange(len(target)), target]
        rank = (scores > own[:, None]).sum(1)
        return float(np.where(rank < 10, 1 / np.log2(rank + 2), 0).mean())

    def _network(self, generator=None) -> SessionNetwork:
        from personalens.networks.session_network import SessionNetwork

        return SessionNetwork(
            self.reader_.items,
            self.reader_.features,
            hidden_size=self.config.hidden_dimension,
            embedding_size=EMBEDDING_SIZE,
            dropout=DROPOUT,
            truncate=self.config.bptt,
            generator=generator,
        )

    def _score(self, histories: Sequence[History]) -> np.ndarray:
        import torch

        from personalens.training.batches import Windows, bucketed_batches, make_batch

        scores = np.empty((len(histories), self.reader_.items), np.float32)
        if not len(histories):
            return scores
        sequences = self.reader_.sequences(histories)
        stops = sequences.offsets[1:]
        starts = np.maximum(sequences.offsets[:-1], stops - WINDOW)
        sequences.targets[stops - 1] = 0
        windows = Windows(starts, stops, stops - 1)
        self.network_.eval()
        device = self.network_.bias.device
        with torch.inference_mode():
            for chosen in bucketed_batches(windows.lengths, 256):
                batch = make_batch(sequences, windows, chosen).to(device)
                vectors = self.network_(batch.inputs, batch.positions)
                scores[batch.owners] = self.network_.scores(vectors).cpu().numpy()
        return scores

    def refit(
        self,
        interactions: Interactions | pd.DataFrame,
        *,
        items: pd.DataFrame | None = None,
        users: pd.DataFrame | None = None,
        progress: Progress = ignore_progress,
    ) -> Self:
        """Return a new model trained on other data for the number of epochs that this fit found."""
        fresh = type(self)(self.config, seed=self.seed, device=self.device, training=self.training)
        fresh.best_epochs = self.best_epochs
        return fresh.fit(interactions, items=items, users=users, progress=progress)

    def _tensors(self) -> dict[str, np.ndarray]:
        tensors = {f"network.{n}": w.cpu().numpy() for n, w in self.network_.state_dict().items()}
        tensors["value_edges"] = self.reader_.value_edges
        tensors["period_edges"] = self.reader_.period_edges
        tensors["best_epochs"] = np.array([self.best_epochs], np.int64)
        return tensors

    def _restore(self, tensors: dict[str, np.ndarray]) -> None:
        import torch

        from personalens.training.devices import choose_device

        self.reader_ = EventReader(
            len(self.items_), tensors["value_edges"], tensors["period_edges"]
        )
        self.best_epochs = int(tensors["best_epochs"][0])
        self.network_ = self._network()
        prefix = "network."
        self.network_.load_state_dict(
            {
                n.removeprefix(prefix): torch.from_numpy(a)
                for n, a in tensors.items()
                if n.startswith(prefix)
            }
        )
        self.network_.to(choose_device(self.device)).eval()


def _oldest(history: History, count: int) -> History:
    values = history.event_values
    return History(
        history.item_codes[:count],
        history.timestamps[:count],
        None if values is None else values[:count],
    )
