"""DeepFM: a factorisation machine and a deep network that share the vectors of all fields.

Guo, Tang, Ye, Li and He, "DeepFM: A Factorization-Machine based Neural Network for CTR Prediction"
(IJCAI 2017).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from personalens.networks.feed_forward import FieldNetwork, HistoryFields
from personalens.networks.session_network import Dropout, Events, ItemVectors, QueryVectors, Seen


class Part(NamedTuple):
    """What some fields of n rows contribute to their scores; the parts of a row add up.

    ``linear`` (n,): sum of the fields' weights; ``total`` (n, E): sum of their vectors; ``power``
    (n,): sum of the vectors' squared lengths; ``hidden`` (n, H): their share of the first layer.
    """

    linear: Tensor
    total: Tensor
    power: Tensor
    hidden: Tensor

    def joined(self, other: Part) -> Part:
        """Return the part of both sets of fields, row by row."""
        return Part(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def take(self, rows: Tensor | Sequence[int] | slice) -> Part:
        """Return some of the rows."""
        return Part(*(values[rows] for values in self))

    def float(self) -> Part:
        """Return the part in single precision, as a tensor's method of this name does."""
        return Part(*(values.float() for values in self))

    @property
    def within(self) -> Tensor:
        """(n,): the weights, and the products of all pairs among these fields.

        The products sum to half of (the square of the sum less the sum of the squares): Rendle,
        "Factorization Machines" (ICDM 2010), lemma 3.1.
        """
        return self.linear + 0.5 * (self.total.square().sum(1) - self.power)


class DeepFM(nn.Module):
    """Score rows of fields that have become vectors, whole or in two parts.

    Notes
    -----
    With x_f the vector of field f and w_f its weight::

        score = w0 + sum of w_f + sum over pairs f < g of x_f . x_g + deep(all x_f side by side)

    The first layer of the deep network is a sum over the fields, and so is all that the pairs need.
    So the fields of a user and those of an item go through it apart (:meth:`part`), and only what
    comes after is done for each pair of a user and an item (:meth:`forward`): a whole catalogue is
    scored for little more than the price of the layers above the first.
    """

    def __init__(
        self,
        fields: Iterable[str],
        *,
        embedding_size: int,
        hidden_sizes: Sequence[int],
        drop: Dropout,
        generator: torch.Generator,
    ):
        super().__init__()
        self.names = list(fields)
        widths = list(hidden_sizes)
        # One block of the first layer for each field.
        self.first = nn.Parameter(torch.empty(len(self.names), embedding_size, widths[0]))
        self.first_bias = nn.Parameter(torch.zeros(widths[0]))
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        self.out = nn.Linear(widths[-1], 1)  # its bias is w0
        self.drop = drop
        bound = (embedding_size * len(self.names)) ** -0.5
        nn.init.uniform_(self.first, -bound, bound, generator=generator)
        for layer in (*self.layers, self.out):
            bound = layer.in_features**-0.5
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            nn.init.zeros_(layer.bias)

    def part(self, vectors: Mapping[str, Tensor], weights: Iterable[Tensor] = ()) -> Part:
        """Return what some fields contribute: vectors (n, E) by name, and weights (n,) if any."""
        places = [self.names.index(name) for name in vectors]
        found = list(vectors.values())
        total = sum(found)
        return Part(
            linear=sum(weights, start=total.new_zeros(len(total))),
            total=total,
            power=sum(values.square().sum(1) for values in found),
            hidden=torch.cat(found, 1) @ self.first[places].flatten(0, 1),
        )

    def score_rows(self, part: Part) -> Tensor:
        """Return the (n,) scores of rows all of whose fields are in ``part``."""
        return part.within + self._deep(part.hidden + self.first_bias)

    def forward(self, left: Part, right: Part) -> Tensor:
        """Return (n, m): the score of each row of ``left`` completed by each row of ``right``."""
        pairs = left.total @ right.total.t() + left.within[:, None] + right.within
        return pairs + self._deep(left.hidden[:, None] + (right.hidden + self.first_bias))

    def _deep(self, hidden: Tensor) -> Tensor:
        """Return (...) what the deep network makes of its first layer's sums, (n, ..., H)."""
        units = self._drop(functional.relu(hidden))
        for layer in self.layers:
            units = self._drop(functional.relu(layer(units)))
        return self.out(units).squeeze(-1)

    def _drop(self, units: Tensor) -> Tensor:
        """Drop the same units of a row in all its columns: so what a row is completed by is
        compared under equal terms, and few numbers are drawn."""
        if not self.training:
            return units
        rows, width = len(units), units.shape[-1]
        return units * self.drop(units.new_ones(rows, *[1] * (units.ndim - 2), width))


# DeepFM over sessions: the fields of a user on one side, an item and its metadata on the other.

ITEM = "item"
_UNITS_AT_ONCE = 4_000_000


class DeepFMNetwork(FieldNetwork):
    """Score every item by DeepFM.

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
