"""Cross-entropy over a sample of the catalogue, for scores that are no plain product of vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional

from personalens.networks.deep_fm import Part
from personalens.networks.deep_fm_network import DeepFMNetwork
from personalens.networks.session_network import Seen


class _Block(NamedTuple):
    """Some rows, the items that they are scored against, each item's column or -1, the rows' right
    columns, and what is added to each column's score but that of a row's target."""

    rows: Tensor
    items: Tensor
    column: Tensor
    targets: Tensor
    offsets: Tensor


class PairSoftmax:
    """Score blocks of rows against the most popular items and what else a block has as targets.

    Parameters
    ----------
    counts
        (items,) events of each item in the training data.
    certain
        How many of the most popular items always count.
    rows
        Of a block; which rows share a block is drawn.
    rng
        Of the draws.

    Notes
    -----
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
            present = np.union1d(self._certain, codes[rows])
            share = min(1.0, len(rows) / self._counts.sum())
            chances = 1.0 - (1.0 - share) ** np.maximum(self._counts[present], 1)
            chances[np.isin(present, self._certain)] = 1.0
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
