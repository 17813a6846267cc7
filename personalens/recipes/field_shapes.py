"""The networks of aws-deepfm and aws-ffnn: which parts they have, and what trains them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from personalens.networks.deep_fm import DeepFMNetwork
from personalens.networks.dropout import Dropout
from personalens.networks.feature_vectors import QueryVectors
from personalens.networks.feed_forward import FeedForwardNetwork
from personalens.networks.history_fields import FieldNetwork, HistoryFields
from personalens.networks.item_vectors import ItemVectors
from personalens.recipes.session_model import DROPOUT, SessionShape
from personalens.training.losses import PairSoftmax

DECAYS = (0.0, 0.8, 0.95, 0.99)
"""Of the averages of a history: the last item, the last five or so, twenty, a hundred."""
CERTAIN_CANDIDATES, BLOCK_ROWS = 64, 128
"""Of the sampled softmax: popular items that always count, and rows that share their targets."""


@dataclass(frozen=True)
class FieldShape(SessionShape):
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


class FeedForwardShape(FieldShape):
    """A tower over the fields of a user."""

    kind = FeedForwardNetwork


class DeepFMShape(FieldShape):
    """DeepFM over the fields of a user and an item."""

    kind = DeepFMNetwork

    def loss(
        self, counts: np.ndarray, rng: np.random.Generator, *, has_cold_items: bool
    ) -> PairSoftmax:
        """Return what training makes small; items without events are never candidates."""
        return PairSoftmax(counts, certain=CERTAIN_CANDIDATES, rows=BLOCK_ROWS, rng=rng)
