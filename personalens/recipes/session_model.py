"""A network over sessions and the reader of its events: begun, trained, asked, kept.

:class:`~personalens.recipes.hrnn.HRNN` says what is trained on what, and when to stop; this is how.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch

from personalens.datasets.histories import History, histories_of
from personalens.datasets.interactions import Interactions
from personalens.networks.session_network import SessionNetwork, seen_before
from personalens.recipes.event_reader import EventReader
from personalens.training.batches import (
    bucketed_batches,
    cut_windows,
    make_batch,
    newest_windows,
)
from personalens.training.loop import Trainer
from personalens.training.losses import FullSoftmax, OutputLoss, SampledSoftmax
from personalens.training.options import TrainingOptions
from personalens.training.start_values import (
    cooccurrence_vectors,
    log_popularity,
    repeat_log_odds,
)
from personalens.training.validation import NextItemValidation

ITEM_VECTOR_SIZE = 128
ITEM_VECTOR_SPREAD = 0.35
DROPOUT = 0.5
WINDOW, CONTEXT = 200, 20
"""Events of a window in training, and those before it that lead in; a request reads ``WINDOW``."""
FULL_SOFTMAX_ITEMS = 5_000
CERTAIN_CANDIDATES = 1024
SCORE_BATCH = 128


@dataclass(frozen=True)
class SessionShape:
    """What the network looks like: width of the recurrent state, steps through which gradients flow
    back, decays of the running means (none: all events weigh the same)."""

    hidden_size: int
    truncate: int
    decays: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class SessionModel:
    """A reader that turns events into numbers, and the network that reads them."""

    reader: EventReader
    network: SessionNetwork

    @classmethod
    def begin(cls, events: Interactions, shape: SessionShape, rng: np.random.Generator) -> Self:
        """Return an untrained model of these events, with what counting says as start values."""
        reader = EventReader.fit(events)
        network = _network(reader, shape, rng)
        codes, offsets, items = events.item_codes, events.offsets, len(events.items)
        vectors = cooccurrence_vectors(
            codes, offsets, items, ITEM_VECTOR_SIZE, spread=ITEM_VECTOR_SPREAD
        )
        with torch.no_grad():
            network.table.add_(torch.from_numpy(vectors))
            network.bias.copy_(torch.from_numpy(log_popularity(codes, items)))
            network.repeat.fill_(repeat_log_odds(codes, offsets, items))
        return cls(reader, network)

    def trainer(
        self, events: Interactions, options: TrainingOptions, rng: np.random.Generator
    ) -> Trainer:
        """Return what trains the network to predict each of these events from those before."""
        sequences = self.reader.read(histories_of(events, np.flatnonzero(np.diff(events.offsets))))
        sequences = sequences.weighted(events.event_weights)
        windows = cut_windows(sequences.offsets, WINDOW, context=CONTEXT)
        counts = np.bincount(events.item_codes, minlength=len(events.items))
        return Trainer(self.network, sequences, windows, _loss(counts), options, rng)

    def validation(self, events: Interactions, held_out: np.ndarray) -> NextItemValidation:
        """Return what asks for the held-out events, each with its user's earlier ones known."""
        counts = np.bincount(events.user_codes[held_out], minlength=len(events.users))
        asked = np.flatnonzero(counts)
        sequences = self.reader.read(histories_of(events, asked))
        if events.event_weights is not None:
            of_asked = np.isin(events.user_codes, asked)
            sequences = sequences.weighted(events.event_weights[of_asked])
        # The last row has no next event; the rows before it have the held-out ones as targets.
        windows = newest_windows(sequences.offsets, WINDOW, asked=counts[asked] + 1)
        return NextItemValidation(sequences, windows)

    def score(self, histories: Sequence[History]) -> np.ndarray:
        """Return (len(histories), items) float32: how well each item would come next."""
        network = self.network
        scores = np.empty((len(histories), network.catalogue_size), np.float32)
        sequences = self.reader.read(histories)
        sequences.targets[sequences.offsets[1:] - 1] = 0  # any item: it marks the rows to ask at
        windows = newest_windows(sequences.offsets, WINDOW, asked=1)
        with torch.inference_mode():
            for chosen in bucketed_batches(windows.lengths, SCORE_BATCH):
                batch = make_batch(sequences, windows, chosen).to(network.bias.device)
                seen = seen_before(batch.events.items, batch.positions, network.catalogue_size)
                vectors = network(batch.events, batch.positions)
                scores[batch.owners] = network.scores(vectors, seen).cpu().numpy()
        return scores

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return reader and weights as arrays, for a model's file."""
        weights = self.network.state_dict()
        return {
            **{f"network.{name}": tensor.cpu().numpy() for name, tensor in weights.items()},
            **{f"reader.{name}": array for name, array in self.reader.to_arrays().items()},
        }

    @classmethod
    def from_arrays(cls, items: int, shape: SessionShape, arrays: Mapping[str, np.ndarray]) -> Self:
        """Take back what :meth:`to_arrays` gave."""
        reader = EventReader.from_arrays(items, _part(arrays, "reader."))
        network = _network(reader, shape, np.random.default_rng(0))
        weights = _part(arrays, "network.")
        network.load_state_dict(
            {name: torch.from_numpy(np.array(array)) for name, array in weights.items()}
        )
        return cls(reader, network.eval())


def _network(reader: EventReader, shape: SessionShape, rng: np.random.Generator) -> SessionNetwork:
    return SessionNetwork(
        reader.catalogue_size,
        sum(reader.sizes.values()),
        hidden_size=shape.hidden_size,
        embedding_size=ITEM_VECTOR_SIZE,
        truncate=shape.truncate,
        decays=shape.decays,
        dropout=DROPOUT,
        rng=rng,
    )


def _loss(counts: np.ndarray) -> OutputLoss:
    if len(counts) <= FULL_SOFTMAX_ITEMS:
        return FullSoftmax()
    return SampledSoftmax(counts, certain=CERTAIN_CANDIDATES)


def _part(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    chosen = {name: array for name, array in arrays.items() if name.startswith(prefix)}
    return {name.removeprefix(prefix): array for name, array in chosen.items()}
