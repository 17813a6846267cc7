"""One vector for each value of each feature; what is known of an event is their sum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from personalens.networks.dropout import Dropout

_PRODUCT_VALUES = 512


class FeatureVectors(nn.Module):
    """Sum the vectors of an event's feature values.

    Parameters
    ----------
    values
        Number of values of all features together, which are numbered through.
    width
        Of the vectors. They start at zero.

    Examples
    --------
    >>> features = FeatureVectors(3, 2)
    >>> with torch.no_grad():
    ...     _ = features.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [5.0, 5.0]]))
    >>> features(torch.tensor([[0, 2], [1, 2]])).tolist()
    [[6.0, 5.0], [5.0, 6.0]]
    """

    def __init__(self, values: int, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(values, width))

    def forward(self, codes: Tensor) -> Tensor:
        """Return (..., E) for codes (..., F)."""
        flat = codes.flatten(0, -2)  # (N, F)
        if len(self.weight) > _PRODUCT_VALUES:
            total = functional.embedding_bag(flat, self.weight, mode="sum")
        else:
            # The sum of a few rows of a small table, as a product with zeros and ones: its gradient
            # is a product too, where a look-up's gradient is a scatter for each feature.
            total = self.weight.new_zeros(len(flat), len(self.weight)).scatter_(1, flat, 1.0)
            total = total @ self.weight
        return total.view(*codes.shape[:-1], -1)


class QueryVectors(FeatureVectors):
    """The vectors of what is known of a request; in training some of it is withheld.

    Parameters
    ----------
    first_values
        For each feature the number of its first value, which stands for "not known".
    values, width
        As above.
    withheld
        Share of the rows in which nothing is known, and, of the others, share of the features that
        are not, so that a request that says less, or nothing, is answered well too.
    dropout
        Share of the numbers of the vectors that are dropped in training. They are the same all
        through a history: what is never dropped is learned by heart.
    rng
        Of what is withheld and dropped.
    """

    def __init__(
        self,
        first_values: Sequence[int],
        values: int,
        width: int,
        *,
        withheld: float,
        dropout: float = 0.0,
        rng: np.random.Generator,
    ):
        super().__init__(values, width)
        self.drop = Dropout(dropout, rng)
        first = torch.tensor(list(first_values), dtype=torch.long)
        self.register_buffer("_unknown", first, persistent=False)
        self._withheld, self._rng = withheld, rng

    def forward(self, codes: Tensor) -> Tensor:
        """Return (n, E) for codes (n, F)."""
        if self.training and self._withheld:
            known = self._rng.random((len(codes), codes.shape[1] + 1)) >= self._withheld
            known = torch.from_numpy(known[:, 1:] & known[:, :1]).to(codes.device)
            codes = torch.where(known, codes, self._unknown)
        return self.drop(super().forward(codes))
