"""DeepFM over sessions: the fields of a user on one side, an item and its metadata on the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor

from personalens.networks.deep_fm import DeepFM, Part
from personalens.networks.dropout import Dropout
from personalens.networks.feature_vectors import QueryVectors
from personalens.networks.history_fields import FieldNetwork, HistoryFields
from personalens.networks.item_vectors import ItemVectors
from personalens.networks.session_network import Events, Seen

ITEM = "item"
_UNITS_AT_ONCE = 4_000_000


class DeepFMNetwork(FieldNetwork):
    """Score every item by DeepFM.

    Parameters
    ----------
    items, encoder, feature_values, query
        As in :class:`~personalens.networks.session_network.SessionNetwork`.
    hidden_sizes
        Widths of the deep network's layers.
    drop
        What is applied to their units in training.
    rng
        Of the start weights.

    Notes
    -----
    An item with its metadata is one field, the sum of their vectors; so a user's fields meet each
    of them. The products inside that sum would be the same for all users: they are the item's bias.
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
        self._items_kept: Part | None = None
        self.deep_fm = DeepFM(
            [*self.field_names, ITEM],
            embedding_size=items.width,
            hidden_sizes=hidden_sizes,
            drop=drop,
            generator=torch.Generator().manual_seed(int(rng.integers(2**31))),
        )

    def forward(self, events: Events, positions: Tensor) -> Part:  # type: ignore[override]
        """Return the part of the requests at ``positions`` among the L * B places."""
        return self.deep_fm.part(self.encoder.mix(self.fields(events, positions)))

    def item_part(self) -> Part:
        """Return the part of every item; it is kept while weights do not change."""
        if self._items_kept is not None:
            return self._items_kept
        table, bias = self.output()
        part = self.deep_fm.part({ITEM: table}, [bias])
        if not (self.training or torch.is_grad_enabled()):
            self._items_kept = part
        return part

    def train(self, mode: bool = True) -> Self:
        """Begin or end training: what was kept of the items is forgotten."""
        self._items_kept = None
        return super().train(mode)

    def scores(self, vectors: Part, seen: Seen) -> Tensor:  # type: ignore[override]
        """Return (n, items) scores of the parts of n requests, with what was seen before them."""
        items = self.item_part()
        rows = max(1, _UNITS_AT_ONCE // items.hidden.numel())
        blocks = [slice(start, start + rows) for start in range(0, len(vectors.linear), rows)]
        scores = [self.deep_fm(vectors.take(block), items) for block in blocks]
        codes, counts = seen.at(slice(None))
        return torch.cat(scores).scatter_add_(1, codes, counts * self.repeat)
