"""Item vectors that are the sum of an item's own part and of the parts of its metadata."""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional


class Output(NamedTuple):
    """What a user's vector is compared with: ``table`` (k, E) and ``bias`` (k,) of k items."""

    table: Tensor
    bias: Tensor


class FieldValues(NamedTuple):
    """Which values of which fields each of n items has: ``codes`` (n, M) int64, numbered through
    over all fields, and ``weights`` (n, M) float32, with which they count; 0 fills a row up."""

    codes: Tensor
    weights: Tensor


class ItemVectors(nn.Module):
    """A vector and a bias for each item: its own, plus those of its field values.

    Parameters
    ----------
    items
        Size of the catalogue; code ``items`` is the start of a history, which has no fields.
    width
        Of the vectors.
    fields
        What is known of the items; None: nothing, and every item has its own part only.
    values
        Number of values of all fields together.

    Notes
    -----
    For item j with field values v of weights w::

        e(j) = own(j) + sum of w(v) f(v)        bias(j) = own bias(j) + sum of w(v) g(v)

    With a user's vector q, which may be a sum of vectors itself, e(j) . q + bias(j) adds up all
    products between the two sides' parts: a factorisation machine (Rendle, "Factorization
    Machines", ICDM 2010) between a history and the metadata of items, as in Ma et al.,
    "Temporal-Contextual Recommendation in Real-Time" (KDD 2020).

    Withholding some items' own parts in training, so that the fields learn to stand alone (Volkovs
    et al., "DropoutNet", NeurIPS 2017), made both known and unknown items worse here: start values
    that a regression on the fields explains do that work already.
    """

    def __init__(
        self,
        items: int,
        width: int,
        *,
        fields: FieldValues | None = None,
        values: int = 0,
    ):
        super().__init__()
        self.own = nn.Embedding(items + 1, width)
        self.own_bias = nn.Parameter(torch.zeros(items))
        self._whole: Output | None = None  # while weights do not change
        self.has_fields = fields is not None
        if fields is not None:
            self.field = nn.Parameter(torch.zeros(values, width + 1))  # the bias comes last
            start = (torch.zeros_like(part[:1]) for part in fields)
            codes, weights = (
                torch.cat([part, end]) for part, end in zip(fields, start, strict=True)
            )
            self.register_buffer("codes", codes)
            self.register_buffer("weights", weights)

    @property
    def size(self) -> int:
        """Number of items."""
        return len(self.own_bias)

    @property
    def width(self) -> int:
        """Of the vectors."""
        return self.own.embedding_dim

    def forward(self, codes: Tensor) -> Tensor:
        """Return (..., E): vectors of items (...), as inputs."""
        if not self.has_fields:
            return self.own(codes)
        items, places = torch.unique(codes, return_inverse=True)
        return functional.embedding(places, self.own(items) + self.of_fields(items)[:, :-1])

    def output(self, codes: Tensor | None = None) -> Output:
        """Return vectors and biases of all items, or of some: (k,) codes."""
        if codes is None:
            own, bias = self.own.weight[: self.size], self.own_bias
        else:
            own, bias = self.own.weight[codes], self.own_bias[codes]
        if not self.has_fields:
            return Output(own, bias)
        if codes is None and self._whole is not None:
            return self._whole
        sums = torch.cat([own, bias[:, None]], 1)
        sums = sums + self.of_fields(slice(self.size) if codes is None else codes)
        output = Output(sums[:, :-1], sums[:, -1])
        if codes is None and not (self.training or torch.is_grad_enabled()):
            self._whole = Output(*(part.contiguous() for part in output))
        return output

    def train(self, mode: bool = True) -> Self:
        """Begin or end training: sums that were kept are forgotten."""
        self._whole = None
        return super().train(mode)

    def of_fields(self, items: Tensor | slice) -> Tensor:
        """Return (k, E + 1): the sums of the field values of some items, the bias last."""
        return functional.embedding_bag(
            self.codes[items], self.field, mode="sum", per_sample_weights=self.weights[items]
        )
