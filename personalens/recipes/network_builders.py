"""The networks of recipes other than HRNN: which parts they have, and what trains them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from personalens.networks.causal_transformer import TransformerEncoder
from personalens.networks.deep_fm import DeepFMNetwork
from personalens.networks.feed_forward import FeedForwardNetwork, FieldNetwork, HistoryFields
from personalens.networks.session_network import (
    Dropout,
    ItemVectors,
    QueryVectors,
    Seen,
    SessionNetwork,
)
from personalens.networks.twin_network import TwinNetwork
from personalens.recipes.hrnn import RECENT_DECAYS
from personalens.recipes.session_model import DROPOUT, NetworkBuilder, RecurrentBuilder
from personalens.training.losses import OutputLoss, PairSoftmax
from personalens.training.start_values import StartValues

TRANSFORMER_SIZE, BLOCKS, HEADS = 64, 1, 2
DROPOUT_INSIDE = 0.2
PLAIN_SIZE = 43
"""Width of the state without metadata, that of aws-hrnn; a wider one was no better."""
DECAYS = (0.0, 0.8, 0.95, 0.99)
"""Of the averages of a history: the last item, the last five or so, twenty, a hundred."""
CERTAIN_CANDIDATES, BLOCK_ROWS = 64, 128
"""Of the sampled softmax: popular items that always count, and rows that share their targets."""


@dataclass(frozen=True)
class TransformerBuilder(NetworkBuilder):
    """A reader by attention; without ``recency_bias`` all events that a user had weigh the same."""

    recency_bias: bool

    def encoder(self, width: int, rng: np.random.Generator) -> TransformerEncoder:
        """Return the part of the network that reads a history."""
        return TransformerEncoder(
            width,
            TRANSFORMER_SIZE,
            blocks=BLOCKS,
            heads=HEADS,
            recency_bias=self.recency_bias,
            decays=RECENT_DECAYS if self.recency_bias else (),
            drop=Dropout(DROPOUT, rng),
            drop_inside=Dropout(DROPOUT_INSIDE, rng),
        )


@dataclass(frozen=True)
class TwinBuilder(RecurrentBuilder):
    """Two recurrent networks, one that reads metadata and one that does not: both go through the
    same batches, and each learns by a loss of its own."""

    def network(
        self,
        items: ItemVectors,
        feature_values: int,
        query: QueryVectors | None,
        rng: np.random.Generator,
    ) -> TwinNetwork:
        """Return both."""
        plain = ItemVectors(items.size, items.width)
        narrow = replace(self, hidden_size=min(self.hidden_size, PLAIN_SIZE))
        beside = SessionNetwork(plain, narrow.encoder(items.width, rng), feature_values, rng=rng)
        encoder = self.encoder(items.width, rng)
        return TwinNetwork(items, encoder, feature_values, query=query, beside=beside, rng=rng)

    def begin(self, network: TwinNetwork, values: StartValues) -> None:
        """Give both networks the same start values."""
        super().begin(network, values)
        super().begin(network.beside, values)
        network.is_known.copy_(torch.from_numpy(values.counts > 0))

    def loss(
        self, counts: np.ndarray, rng: np.random.Generator, *, has_cold_items: bool
    ) -> OutputLoss:
        """Return the mean of both losses."""
        return TwinLoss(super().loss(counts, rng, has_cold_items=has_cold_items))


class TwinLoss:
    """The mean of a loss of either network: none learns to make good what the other does."""

    def __init__(self, loss: OutputLoss):
        self._loss = loss

    def __call__(
        self,
        network: TwinNetwork,
        vectors: Tensor,
        targets: Tensor,
        seen: Seen,
        weights: Tensor | None = None,
    ) -> Tensor:
        own, beside = (half.contiguous() for half in network.halves(vectors))
        first = self._loss(network, own, targets, seen, weights)
        return (first + self._loss(network.beside, beside, targets, seen, weights)) / 2


@dataclass(frozen=True)
class FieldBuilder(NetworkBuilder):
    """Averages of a history under a network: widths of its layers, and share of units dropped."""

    hidden_sizes: tuple[int, ...]
    dropout: float

    kind: ClassVar[type[FieldNetwork]] = FieldNetwork

    def encoder(self, width: int, rng: np.random.Generator) -> HistoryFields:
        """Return what turns a history into averages."""
        return HistoryFields(DECAYS, drop=Dropout(DROPOUT, rng))

    def network(
        self,
        items: ItemVectors,
        feature_values: int,
        query: QueryVectors | None,
        rng: np.random.Generator,
    ) -> FieldNetwork:
        """Return the network."""
        return self.kind(
            items,
            self.encoder(items.width, rng),
            feature_values,
            query=query,
            hidden_sizes=self.hidden_sizes,
            drop=Dropout(self.dropout, rng),
            rng=rng,
        )


class FeedForwardBuilder(FieldBuilder):
    """A tower over the fields of a user."""

    kind = FeedForwardNetwork


class DeepFMBuilder(FieldBuilder):
    """DeepFM over the fields of a user and an item."""

    kind = DeepFMNetwork

    def loss(
        self, counts: np.ndarray, rng: np.random.Generator, *, has_cold_items: bool
    ) -> PairSoftmax:
        """Return what training makes small; items without events are never candidates."""
        return PairSoftmax(counts, certain=CERTAIN_CANDIDATES, rows=BLOCK_ROWS, rng=rng)
