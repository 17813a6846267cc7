"""A recurrent network over events: items and session features in, scores for all items out.

Ma, Narayanaswamy, Lin and Ding, "Temporal-Contextual Recommendation in Real-Time" (KDD 2020): what
a session is enters through the embedded inputs, so that one plain recurrence over a user's events
does the work of a hierarchy of networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from personalens.networks.dropout import Dropout
from personalens.networks.gru import GRU
from personalens.networks.recent_means import RecentMeans

_EMBEDDING_SPREAD = 0.02


class Events(NamedTuple):
    """What the network reads: item codes, and for each event the values of its features.

    ``items`` (L, B) int64, the catalogue's size standing for the start of a history; ``features``
    (L, B, F) int64, numbered through over all features.
    """

    items: Tensor
    features: Tensor


class Seen(NamedTuple):
    """Which items had come up before each of n positions.

    ``items`` (B, L) int64 and ``counts`` (B, L) bool: a history's items, and which of them are the
    first of their kind; ``windows`` and ``steps`` (n,): at position p, those of window
    ``windows[p]`` up to step ``steps[p]``.
    """

    items: Tensor
    counts: Tensor
    windows: Tensor
    steps: Tensor

    def at(self, rows: slice) -> tuple[Tensor, Tensor]:
        """Return items (m, L) and which of them were seen (m, L), at some of the positions."""
        windows, steps = self.windows[rows], self.steps[rows]
        place = torch.arange(self.items.shape[1], device=steps.device)
        return self.items[windows], self.counts[windows] & (place <= steps[:, None])


def seen_before(items: Tensor, positions: Tensor, catalogue_size: int) -> Seen:
    """Return what had come up in a batch's item codes (L, B) at each of its positions (n,)."""
    history = items.t().contiguous()  # (B, L)
    order = history.argsort(dim=1, stable=True)
    in_order = history.gather(1, order)
    first = torch.ones_like(history, dtype=torch.bool)
    first[:, 1:] = in_order[:, 1:] != in_order[:, :-1]
    counts = torch.zeros_like(first).scatter_(1, order, first) & (history < catalogue_size)
    batch = items.shape[1]
    return Seen(history * counts, counts, positions % batch, positions // batch)


class UserState(NamedTuple):
    """What is left of a history: the recurrent state (B, H) and the means (K + 1, B, E)."""

    hidden: Tensor
    means: Tensor


class SessionNetwork(nn.Module):
    """Embed each event, follow the order with a GRU and the recent items with running means, and
    compare the result with every item.

    Parameters
    ----------
    items
        Size of the catalogue.
    feature_values
        Number of values of all features together.
    hidden_size
        Width of the recurrent state.
    embedding_size
        Width of the item vectors, which serve as input and as output layer.
    truncate
        Steps through which gradients flow back in the GRU.
    decays
        Of the running means; see :class:`~personalens.networks.recent_means.RecentMeans`.
    dropout
        Share of inputs and states that is dropped in training.
    rng
        Of the start weights and of dropout.

    Notes
    -----
    For a history with events x_1 ... x_t, item vectors e and feature vectors f::

        state  = GRU(drop(e(x_s) + f(x_s)) for s = 1..t)
        vector = A drop(state) + mix of running means of drop(e(x_s))
        score of item j = e(j) . vector + bias(j) + repeat, where j is among x_1 ... x_t

    ``repeat`` is one learned number: low where people do not come back to an item (films), high
    where they do (groceries).
    """

    def __init__(
        self,
        items: int,
        feature_values: int,
        *,
        hidden_size: int,
        embedding_size: int,
        truncate: int = 32,
        decays: Sequence[float] = (0.0, 0.8, 0.95),
        dropout: float = 0.0,
        rng: np.random.Generator | None = None,
    ):
        super().__init__()
        rng = np.random.default_rng(0) if rng is None else rng
        self.catalogue_size = items
        self.item = nn.Embedding(items + 1, embedding_size)
        self.feature = nn.Parameter(torch.empty(feature_values, embedding_size))
        self.bias = nn.Parameter(torch.zeros(items))
        self.repeat = nn.Parameter(torch.zeros(()))
        self.gru = GRU(embedding_size, hidden_size, truncate=truncate)
        self.to_item_space = nn.Linear(hidden_size, embedding_size)
        self.means = RecentMeans(decays)
        self.drop = Dropout(dropout, rng)
        self._initialise(rng)

    def _initialise(self, rng: np.random.Generator) -> None:
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        for table in (self.item.weight, self.feature):
            nn.init.normal_(table, std=_EMBEDDING_SPREAD, generator=generator)
        for weights in (*self.gru.parameters(), *self.to_item_space.parameters()):
            bound = self.gru.hidden_size**-0.5
            nn.init.uniform_(weights, -bound, bound, generator=generator)

    @property
    def table(self) -> Tensor:
        """(items, E): the item vectors, without the start of a history."""
        return self.item.weight[: self.catalogue_size]

    def forward(self, events: Events, positions: Tensor) -> Tensor:
        """Return (n, E): the vectors in item space at ``positions`` among the L * B places."""
        items, inputs = self._embed(events)
        states = self.gru(self.drop(inputs)).flatten(0, 1)  # (L * B, H)
        recent = self.means(self.drop(items)).flatten(0, 1)  # (L * B, E)
        states, recent = states.index_select(0, positions), recent.index_select(0, positions)
        return self.to_item_space(self.drop(states)) + recent

    def scores(self, vectors: Tensor, seen: Seen) -> Tensor:
        """Return (n, items) scores of vectors in item space, with what was seen before them."""
        scores = torch.addmm(self.bias, vectors, self.table.t())
        items, counts = seen.at(slice(None))
        return scores.scatter_add_(1, items, counts * self.repeat)

    # -- one event at a time -----------------------------------------------------------------

    def start(self, batch: int) -> UserState:
        """Return the state before anything was read."""
        hidden = self.bias.new_zeros(batch, self.gru.hidden_size)
        return UserState(hidden, self.means.start(batch, self.item.embedding_dim))

    def step(self, state: UserState, events: Events) -> UserState:
        """Return the state after one more event each: items (B,), features (B, F).

        Reading a history step by step ends where one pass over it ends: a live event costs one
        step, not the history.
        """
        items, inputs = self._embed(events)
        return UserState(
            self.gru(inputs[None], state.hidden)[0], self.means.step(state.means, items)
        )

    def decode(self, state: UserState) -> Tensor:
        """Return (B, E): a state's vectors in item space."""
        return self.to_item_space(state.hidden) + self.means.mix(state.means)

    def _embed(self, events: Events) -> tuple[Tensor, Tensor]:
        """Return the item vectors and the whole inputs, (..., E) each."""
        items = self.item(events.items)
        # The sum of a few rows of a small table, as a product with zeros and ones: its gradient is
        # a product too, where a look-up's gradient is a scatter for each feature.
        flat = events.features.flatten(0, -2)  # (N, F)
        chosen = items.new_zeros(len(flat), len(self.feature)).scatter_(1, flat, 1.0)
        return items, items + (chosen @ self.feature).view_as(items)
