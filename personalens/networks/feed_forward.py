"""A feed-forward network over a user's fields, and a wide path beside it.

Covington, Adams and Sargin, "Deep Neural Networks for YouTube Recommendations" (RecSys 2016);
Cheng et al., "Wide & Deep Learning for Recommender Systems" (DLRS 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from personalens.networks.session_network import (
    Dropout,
    Events,
    ItemVectors,
    QueryVectors,
    RecentMeans,
    SessionNetwork,
)

LAST_EVENT, REQUEST = "last event", "request"


class HistoryFields(nn.Module):
    """Average the vectors of what a user had, over memories of several lengths."""

    def __init__(self, decays: Sequence[float], *, drop: Dropout):
        super().__init__()
        self.means = RecentMeans(decays)
        self.drop = drop
        self.names = [f"average {number}" for number in range(len(self.means.weights))]

    def initialise(self, generator: torch.Generator) -> None:
        """Nothing is drawn: averages have no weights but those of their mix."""

    def forward(self, items: Tensor, inputs: Tensor, positions: Tensor) -> dict[str, Tensor]:
        """Return (n, E) for each field at ``positions`` among the L * B places.

        ``items`` and ``inputs`` (L, B, E) are the vectors of the events' items, and those with
        their circumstances added; the circumstances of the last event are a field of their own.
        """
        averages = self.means.each(self.drop(items)).flatten(1, 2)[:, positions]  # (K, n, E)
        last = (inputs - items).flatten(0, 1).index_select(0, positions)
        return dict(zip(self.names, averages, strict=True)) | {LAST_EVENT: last}

    def mix(self, fields: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the same fields, each average times its learned weight."""
        weights = dict(zip(self.names, self.means.weights, strict=True))
        return {n: values * weights.get(n, 1.0) for n, values in fields.items()}


class FieldNetwork(SessionNetwork):
    """A session network that reads fields: its ``encoder`` is a :class:`HistoryFields`."""

    encoder: HistoryFields

    @property
    def field_names(self) -> list[str]:
        """The fields of a request, in order."""
        return [*self.encoder.names, LAST_EVENT, *([] if self.query is None else [REQUEST])]

    def fields(self, events: Events, positions: Tensor) -> dict[str, Tensor]:
        """Return (n, E) for each field of the requests at ``positions``."""
        fields = self.encoder(*self._embed(events), positions)
        if self.query is not None:
            queries = events.queries.flatten(0, 1).index_select(0, positions)
            fields[REQUEST] = self.query(queries)
        return fields


class Tower(nn.Module):
    """Layers of rectified linear units under a linear one."""

    def __init__(self, inputs: int, hidden_sizes: Sequence[int], outputs: int, *, drop: Dropout):
        super().__init__()
        widths = [inputs, *hidden_sizes]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        self.out = nn.Linear(widths[-1], outputs)
        self.drop = drop

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the start weights."""
        for layer in (*self.layers, self.out):
            bound = layer.in_features**-0.5
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            nn.init.zeros_(layer.bias)

    def forward(self, values: Tensor) -> Tensor:
        """Return (n, outputs) for (n, inputs)."""
        for layer in self.layers:
            values = self.drop(functional.relu(layer(values)))
        return self.out(values)


class FeedForwardNetwork(FieldNetwork):
    """Lay a user's fields side by side, and compare what a tower makes of them with every item.

    Notes
    -----
    For averages a_1 ... a_K of what the user had, the circumstances f of the last event and what is
    known of the request c::

        vector = tower(a_1, ..., a_K, f, c side by side) + (sum of mix_k a_k + c)
        score of item j = e(j) . vector + bias(j) + repeat, where j was had

    The tower is the deep part. The sum is the wide one: linear, so that what co-occurrence tells is
    there before any training, and the tower learns what that lacks.
    """

    def __init__(
        self,
        items: ItemVectors,
        encoder: HistoryFields,
        feature_values: int,
        *,
        query: QueryVectors | None,
        hidden_sizes: Sequence[int],
        drop: Dropout,
        rng: np.random.Generator,
    ):
        super().__init__(items, encoder, feature_values, query=query, rng=rng)
        width = items.width
        self.tower = Tower(len(self.field_names) * width, hidden_sizes, width, drop=drop)
        self.tower.initialise(torch.Generator().manual_seed(int(rng.integers(2**31))))

    def forward(self, events: Events, positions: Tensor) -> Tensor:
        """Return (n, E): the vectors in item space at ``positions`` among the L * B places."""
        fields = self.fields(events, positions)
        deep = self.tower(torch.cat(list(fields.values()), 1))
        del fields[LAST_EVENT]
        return deep + sum(self.encoder.mix(fields).values())
