"""Two recurrent networks trained side by side, one with the metadata and one without."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from personalens.networks.feature_vectors import QueryVectors
from personalens.networks.item_vectors import ItemVectors
from personalens.networks.session_network import Seen, SessionNetwork
from personalens.networks.twin_network import TwinNetwork
from personalens.recipes.session_model import RecurrentShape
from personalens.training.losses import OutputLoss
from personalens.training.start_values import StartValues

PLAIN_SIZE = 43
"""Width of the state without metadata, that of aws-hrnn; a wider one was no better."""


@dataclass(frozen=True)
class TwinShape(RecurrentShape):
    """A network of this shape that reads metadata, and one that does not: both go through the same
    batches, and each learns by a loss of its own."""

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
