"""The networks of recipes other than HRNN: which parts they have, and what trains them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional

from personalens.networks.causal_transformer import TransformerEncoder
from personalens.networks.deep_fm import DeepFMNetwork, Part
from personalens.networks.feed_forward import FeedForwardNetwork, FieldNetwork, HistoryFields
from personalens.networks.session_network import (
    Dropout,
    ItemVectors,
    QueryVectors,
    Seen,
    SessionNetwork,
)
from personalens.networks.twin_network import TwinNetwork
from personalens.recipes.hrnn import RECENT_DECAYS
from personalens.recipes.session_model import DROPOUT, NetworkBuilder, RecurrentBuilder
from personalens.training.losses import OutputLoss, sample_of
from personalens.training.start_values import StartValues

TRANSFORMER_SIZE, BLOCKS, HEADS = 64, 1, 2
DROPOUT_INSIDE = 0.2
PLAIN_SIZE = 43
"""Width of the state without metadata, that of aws-hrnn; a wider one was no better."""
DECAYS = (0.0, 0.8, 0.95, 0.99)
"""Of the averages of a history: the last item, the last five or so, twenty, a hundred."""
CERTAIN_CANDIDATES, BLOCK_ROWS = 64, 128
"""Of the sampled softmax: popular items that always count, and rows that share their targets."""


@dataclass(frozen=True)
class TransformerBuilder(NetworkBuilder):
    """A reader by attention; without ``recency_bias`` all events that a user had weigh the same."""

    recency_bias: bool

    def encoder(self, width: int, rng: np.random.Generator) -> TransformerEncoder:
        """Return the part of the network that reads a history."""
        return TransformerEncoder(
            width,
            TRANSFORMER_SIZE,
            blocks=BLOCKS,
            heads=HEADS,
            recency_bias=self.recency_bias,
            decays=RECENT_DECAYS if self.recency_bias else (),
            drop=Dropout(DROPOUT, rng),
            drop_inside=Dropout(DROPOUT_INSIDE, rng),
        )


@dataclass(frozen=True)
class TwinBuilder(RecurrentBuilder):
    """Two recurrent networks, one that reads metadata and one that does not: both go through the
    same batches, and each learns by a loss of its own."""

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


@dataclass(frozen=True)
class FieldBuilder(NetworkBuilder):
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


class FeedForwardBuilder(FieldBuilder):
    """A tower over the fields of a user."""

    kind = FeedForwardNetwork


class DeepFMBuilder(FieldBuilder):
    """DeepFM over the fields of a user and an item."""

    kind = DeepFMNetwork

    def loss(
        self, counts: np.ndarray, rng: np.random.Generator, *, has_cold_items: bool
    ) -> PairSoftmax:
        """Return what training makes small; items without events are never candidates."""
        return PairSoftmax(counts, certain=CERTAIN_CANDIDATES, rows=BLOCK_ROWS, rng=rng)


# -- the loss of DeepFM ----------------------------------------------------------------------------


class _Block(NamedTuple):
    """Some rows, the items that they are scored against, each item's column or -1, the rows' right
    columns, and what is added to each column's score but that of a row's target."""

    rows: Tensor
    items: Tensor
    column: Tensor
    targets: Tensor
    offsets: Tensor


class PairSoftmax:
    """Score blocks of rows against the ``certain`` most popular items and what else a block has as
    targets: a softmax for scores that are no plain product of vectors. Which rows share a block is
    drawn.

    The sample stands for the catalogue as in
    :class:`~personalens.training.losses.SampledSoftmax`. The units of the deep network, rows x
    items x width of them, exist for one block at a time: its gradients are taken before the next
    block is made. There are no second derivatives.
    """

    def __init__(
        self, counts: np.ndarray, *, certain: int, rows: int = 256, rng: np.random.Generator
    ):
        self._counts, self._rows, self._rng = counts, rows, rng
        self._certain = np.argsort(-counts, kind="stable")[:certain]
        self._certain = self._certain[counts[self._certain] > 0]

    def __call__(
        self,
        network: DeepFMNetwork,
        vectors: Part,
        targets: Tensor,
        seen: Seen,
        weights: Tensor | None = None,
    ) -> Tensor:
        items = network.item_part()
        names, values = zip(*network.deep_fm.named_parameters(), strict=True)
        terms = torch.ones_like(vectors.linear) if weights is None else weights
        terms = terms / terms.sum().clamp_min(torch.finfo(terms.dtype).tiny)
        size = len(vectors)

        def loss_of(block: _Block, tensors: Sequence[Tensor]) -> Tensor:
            left, right = Part(*tensors[:size]), Part(*tensors[size : 2 * size])
            repeat, parameters = (
                tensors[2 * size],
                dict(zip(names, tensors[2 * size + 1 :], strict=True)),
            )
            scores = functional_call(
                network.deep_fm, parameters, (left.take(block.rows), right.take(block.items))
            )
            codes, counts = seen.at(block.rows)
            columns = block.column[codes]
            counts = counts & (columns >= 0)
            scores = scores.scatter_add(1, columns * counts, counts * repeat)
            own = scores.gather(1, block.targets[:, None])
            scores = (scores + block.offsets).scatter(1, block.targets[:, None], own)
            losses = functional.cross_entropy(scores, block.targets, reduction="none")
            return (losses * terms[block.rows]).sum()

        blocks = self._blocks(targets)
        return _GradientByBlocks.apply(loss_of, blocks, *vectors, *items, network.repeat, *values)

    def _blocks(self, targets: Tensor) -> Iterator[_Block]:
        codes = targets.cpu().numpy()
        order = self._rng.permutation(len(codes))
        for start in range(0, len(order), self._rows):
            rows = order[start : start + self._rows]
            present, chances = sample_of(self._counts, self._certain, codes[rows])
            column = np.full(len(self._counts), -1)
            column[present] = np.arange(len(present))
            found = (
                rows,
                present,
                column,
                column[codes[rows]],
                -np.log(chances).astype(np.float32),
            )
            yield _Block(*(torch.from_numpy(array).to(targets.device) for array in found))


class _GradientByBlocks(torch.autograd.Function):
    """The sum of a loss over blocks; one block's graph is there at a time."""

    @staticmethod
    def forward(ctx, loss_of: Callable, blocks: Iterator[_Block], *tensors: Tensor) -> Tensor:
        leaves = [tensor.detach().requires_grad_() for tensor in tensors]
        gradients = [torch.zeros_like(leaf) for leaf in leaves]
        total = tensors[0].new_zeros(())
        for block in blocks:
            with torch.enable_grad():
                loss = loss_of(block, leaves)
            for sum_, found in zip(
                gradients, torch.autograd.grad(loss, leaves, allow_unused=True), strict=True
            ):
                if found is not None:
                    sum_ += found
            total = total + loss.detach()
        ctx.save_for_backward(*gradients)
        return total

    @staticmethod
    def backward(ctx, d_loss: Tensor):
        return None, None, *(d_loss * gradient for gradient in ctx.saved_tensors)
