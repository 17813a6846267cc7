"""A recurrent network over events: items and session features in, scores for all items out."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from personalens.networks.gru import GRU

ITEM = "item"


class SessionNetwork(nn.Module):
    """Embed each event, run a GRU over them, and compare its state with every item.

    Parameters
    ----------
    items
        Size of the catalogue. Code ``items`` stands for the start of a history.
    features
        Name -> number of values, of what is known about an event besides its item.
    hidden_size
        Width of the recurrent state.
    embedding_size
        Width of the item vectors, which serve as input and as output layer.
    dropout
        Share of the embedded inputs, and of the states, that is dropped in training.
    truncate
        Steps through which gradients flow back.
    generator
        Of the dropout's draws.
    """

    def __init__(
        self,
        items: int,
        features: Mapping[str, int],
        *,
        hidden_size: int,
        embedding_size: int,
        dropout: float = 0.0,
        truncate: int = 32,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.catalogue_size = items
        self.item = nn.Embedding(items + 1, embedding_size)
        self.bias = nn.Parameter(torch.zeros(items))
        self.features = nn.ModuleDict(
            {name: nn.Embedding(size, embedding_size) for name, size in features.items()}
        )
        self.gru = GRU(embedding_size, hidden_size, truncate=truncate)
        self.to_item_space = nn.Linear(hidden_size, embedding_size)
        self.dropout = dropout
        self.generator = generator
        for embedding in (self.item, *self.features.values()):
            nn.init.normal_(embedding.weight, std=0.02)

    @property
    def table(self) -> Tensor:
        """(items, E): the item vectors, without the start of a history."""
        return self.item.weight[: self.catalogue_size]

    def embed(self, events: Mapping[str, Tensor]) -> Tensor:
        """Return the sum of an event's vectors: (..., E) for codes (...)."""
        total = self.item(events[ITEM])
        for name, embedding in self.features.items():
            total = total + embedding(events[name])
        return total

    def forward(self, events: Mapping[str, Tensor], positions: Tensor) -> Tensor:
        """Return (n, E) vectors in item space, for ``positions`` among the L * B places."""
        states = self.gru(self._drop(self.embed(events)))  # (L, B, H)
        states = states.flatten(0, 1).index_select(0, positions)  # (n, H)
        return self.to_item_space(self._drop(states))

    def step(self, state: Tensor, event: Mapping[str, Tensor]) -> Tensor:
        """Return the states (B, H) after one more event each: codes (B,)."""
        return self.gru(self.embed(event)[None], state)[0]

    def scores(self, vectors: Tensor) -> Tensor:
        """Return (n, items) logits of vectors in item space."""
        return torch.addmm(self.bias, vectors, self.table.t())

    def _drop(self, values: Tensor) -> Tensor:
        if not self.training or not self.dropout:
            return values
        keep = 1.0 - self.dropout
        mask = torch.empty_like(values).bernoulli_(keep, generator=self.generator)
        return values * mask.div_(keep)
