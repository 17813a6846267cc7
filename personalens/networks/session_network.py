"""A network over events: items, session features and context in, scores for all items out.

Ma, Narayanaswamy, Lin and Ding, "Temporal-Contextual Recommendation in Real-Time" (KDD 2020): what
a session is enters through the embedded inputs, so that one plain reader of a user's events, be it
a recurrence or a transformer, does the work of a hierarchy of networks.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from personalens.networks.feature_vectors import FeatureVectors, QueryVectors
from personalens.networks.item_vectors import ItemVectors, Output

_EMBEDDING_SPREAD = 0.02


class Events(NamedTuple):
    """What the network reads: item codes, for each event the values of its features, and what is
    known of the request that follows it.

    ``items`` (L, B) int64, the catalogue's size standing for the start of a history; ``features``
    (L, B, F) int64, numbered through over all features; ``queries`` (L, B, Q) int64, numbered
    through over all of theirs.
    """

    items: Tensor
    features: Tensor
    queries: Tensor


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

    def at(self, rows: slice | Tensor) -> tuple[Tensor, Tensor]:
        """Return items (m, S) and which of them were seen (m, S), at some of the positions."""
        windows, steps = self.windows[rows], self.steps[rows]
        items, counts = self.items, self.counts
        if not steps.is_cuda and len(steps):  # a GPU would wait to be asked
            latest = int(steps.max()) + 1
            items, counts = items[:, :latest], counts[:, :latest]
        place = torch.arange(items.shape[1], device=steps.device)
        seen = counts.index_select(0, windows).logical_and_(place <= steps[:, None])
        return items.index_select(0, windows), seen


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


class Encoder(Protocol):
    """What reads a history: :class:`~personalens.networks.recurrent_encoder.RecurrentEncoder`, or
    another module with these two methods."""

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the start weights."""

    def __call__(self, items: Tensor, inputs: Tensor, positions: Tensor) -> Tensor:
        """Return (n, E): vectors in item space at ``positions`` among the L * B places, for (L, B,
        E) item vectors and whole inputs. No place may be reached by what comes after it."""


class SessionNetwork(nn.Module):
    """Embed each event, have an encoder read the history, and compare the result with every item.

    Parameters
    ----------
    items
        The item vectors, which serve as input and as output layer.
    encoder
        What reads the history.
    feature_values
        Number of values of all features of events together.
    query
        The vectors of what is known of a request; None: nothing is.
    rng
        Of the start weights.

    Notes
    -----
    For a history with events x_1 ... x_t of item vectors e, feature vectors f, and a request of
    feature vectors c::

        vector = encoder(e(x_s), e(x_s) + f(x_s) for s = 1..t) + c
        score of item j = e(j) . vector + bias(j) + repeat, where j is among x_1 ... x_t

    ``repeat`` is one learned number: low where people do not come back to an item (films), high
    where they do (groceries).
    """

    def __init__(
        self,
        items: ItemVectors,
        encoder: Encoder,
        feature_values: int,
        *,
        query: QueryVectors | None = None,
        rng: np.random.Generator | None = None,
    ):
        super().__init__()
        self.items = items
        self.feature = FeatureVectors(feature_values, items.width)
        self.query = query
        self.repeat = nn.Parameter(torch.zeros(()))
        self.encoder = encoder
        self._initialise(np.random.default_rng(0) if rng is None else rng)

    def _initialise(self, rng: np.random.Generator) -> None:
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        for table in (self.items.own.weight, self.feature.weight):
            nn.init.normal_(table, std=_EMBEDDING_SPREAD, generator=generator)
        self.encoder.initialise(generator)

    @property
    def catalogue_size(self) -> int:
        """Number of items."""
        return self.items.size

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.repeat.device

    def forward(self, events: Events, positions: Tensor) -> Tensor:
        """Return (n, E): the vectors in item space at ``positions`` among the L * B places."""
        vectors = self.encoder(*self._embed(events), positions)
        if self.query is None:
            return vectors
        return vectors + self.query(events.queries.flatten(0, 1).index_select(0, positions))

    def output(self, codes: Tensor | None = None) -> Output:
        """Return what vectors in item space are compared with: all items, or some (k,)."""
        return self.items.output(codes)

    def scores(self, vectors: Tensor, seen: Seen) -> Tensor:
        """Return (n, items) scores of vectors in item space, with what was seen before them."""
        table, bias = self.output()
        scores = torch.addmm(bias, vectors, table.t())
        items, counts = seen.at(slice(None))
        return scores.scatter_add_(1, items, counts * self.repeat)

    # -- from state to state -----------------------------------------------------------------

    def start(self, batch: int) -> Any:
        """Return the encoder's state before anything was read."""
        return self.encoder.start(batch)

    def read(self, state: Any, events: Events) -> Any:
        """Return the state after more events: items (L, B), features (L, B, F).

        Reading a history piece by piece ends where one pass over it ends: a live event costs one
        step, not the history.
        """
        return self.encoder.read(state, *self._embed(events))

    def decode(self, state: Any, events: Events) -> Tensor:
        """Return (B, E): a state's vectors in item space, for the requests after the events."""
        vectors = self.encoder.decode(state)
        return vectors if self.query is None else vectors + self.query(events.queries)

    def _embed(self, events: Events) -> tuple[Tensor, Tensor]:
        """Return the item vectors and the whole inputs, (..., E) each."""
        items = self.items(events.items)
        return items, items + self.feature(events.features)
