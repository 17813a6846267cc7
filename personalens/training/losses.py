"""Cross-entropy over a catalogue, with the gradients computed on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional

from personalens.networks.deep_fm import DeepFMNetwork, Part
from personalens.networks.session_network import Seen, SessionNetwork

_BLOCK_BYTES = 1_400_000
"""Of scores: what fits a core's cache beside their inputs."""
_CUDA_BLOCK_BYTES = 256_000_000
"""On a GPU, where large products are fast and small ones mostly wait."""
_FEWEST_ROWS = 32
_LARGEST_EXPONENT = 70.0
"""Sums of exponentials of so much, times vectors, are far from the ends of float32's range."""


class OutputLoss(Protocol):
    """The mean of -log softmax(scores)[target] over vectors (n, E) in item space.

    ``targets`` (n,) are the right items, ``seen`` what had come up before each, ``weights`` (n,)
    the factors of the n terms, which need not sum to n.
    """

    def __call__(
        self,
        network: SessionNetwork,
        vectors: Tensor,
        targets: Tensor,
        seen: Seen,
        weights: Tensor | None = None,
    ) -> Tensor: ...


class FullSoftmax:
    """Against the whole catalogue: ``F.cross_entropy(network.scores(vectors, seen), targets)``."""

    def __call__(
        self,
        network: SessionNetwork,
        vectors: Tensor,
        targets: Tensor,
        seen: Seen,
        weights: Tensor | None = None,
    ) -> Tensor:
        return blockwise_cross_entropy(
            vectors, *network.output(), network.repeat, targets, seen, weights=weights
        )


class SampledSoftmax:
    """Against the most popular items, and what else the batch has as targets.

    Parameters
    ----------
    counts
        (items,) events of each item in the training data.
    certain
        How many of the most popular items always count.

    Notes
    -----
    Of an item with c events among N, a batch of n events has one with probability
    p = 1 - (1 - n / N) ** c. If it has, the item stands for 1 / p of its kind, so that the expected
    sum over the candidates is the sum over the catalogue ("logQ correction": -log p is added to its
    score). A row's own target stands for itself alone.

    References
    ----------
    Bengio and Senécal, "Adaptive Importance Sampling to Accelerate Training of a Neural
    Probabilistic Language Model", 2008. Yi et al., "Sampling-Bias-Corrected Neural Modeling for
    Large Corpus Item Recommendations", RecSys 2019 (targets of the batch as the sample).
    """

    def __init__(self, counts: np.ndarray, *, certain: int):
        self._counts = counts
        self._certain = np.argsort(-counts, kind="stable")[:certain]

    def __call__(
        self,
        network: SessionNetwork,
        vectors: Tensor,
        targets: Tensor,
        seen: Seen,
        weights: Tensor | None = None,
    ) -> Tensor:
        present = np.union1d(self._certain, targets.cpu().numpy())
        share = min(1.0, len(targets) / self._counts.sum())
        chances = 1.0 - (1.0 - share) ** np.maximum(self._counts[present], 1)
        chances[np.isin(present, self._certain)] = 1.0
        candidates = torch.from_numpy(present).to(targets)
        column = targets.new_full((network.catalogue_size,), -1)
        column[candidates] = torch.arange(len(candidates), device=targets.device)
        columns_seen = column[seen.items]
        counts = seen.counts & (columns_seen >= 0)
        return blockwise_cross_entropy(
            vectors,
            *network.output(candidates),
            network.repeat,
            column[targets],
            seen._replace(items=columns_seen * counts, counts=counts),
            torch.from_numpy(-np.log(chances)).to(vectors),
            weights,
        )


def blockwise_cross_entropy(
    vectors: Tensor,
    table: Tensor,
    bias: Tensor,
    repeat: Tensor,
    targets: Tensor,
    seen: Seen,
    offsets: Tensor | None = None,
    weights: Tensor | None = None,
) -> Tensor:
    """Return the mean cross-entropy of ``vectors @ table.T + bias`` (+ ``repeat`` where seen).

    Parameters
    ----------
    vectors, table, bias, repeat
        (n, E), (columns, E), (columns,) and a number; gradients go to all four.
    targets
        (n,) the right columns.
    seen
        In terms of columns.
    offsets
        (columns,) added to every score but that of the row's target.
    weights
        (n,) factors of the rows' terms; None: 1.

    Notes
    -----
    The same value and gradients as ``torch.nn.functional.cross_entropy``, but the (n, columns)
    matrix never exists. It is made in blocks of rows that fit a core's cache; each block becomes
    exponentials, then its own gradient (less their sum at the target), in place, and is spent on
    the gradients of the inputs before the next one is made. What would divide a row of it by the
    sum divides the row's gradient instead, which is far shorter, and the largest score is taken off
    only where the sizes of vectors leave it open whether the exponentials stay in float32's range.
    There are no second derivatives.
    """
    return _BlockwiseCrossEntropy.apply(
        vectors, table, bias, repeat, targets, seen, offsets, weights
    )


class _BlockwiseCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, vectors, table, bias, repeat, targets, seen, offsets, weights):
        count = len(targets)
        d_vectors = torch.empty_like(vectors)
        d_table, d_bias, d_repeat = (torch.zeros_like(part) for part in (table, bias, repeat))
        total = vectors.new_zeros(())
        shifted = bias if offsets is None else bias + offsets
        # The bias as one more column saves a pass over the scores.
        factors = torch.cat([vectors, vectors.new_ones(count, 1)], 1)
        columns = torch.cat([table, shifted[:, None]], 1).t()
        may_overflow = table.is_cuda or _bound(vectors, table, shifted, repeat) > _LARGEST_EXPONENT
        block_bytes = _CUDA_BLOCK_BYTES if table.is_cuda else _BLOCK_BYTES
        size = max(_FEWEST_ROWS, block_bytes // (table.element_size() * len(table)))
        buffer = vectors.new_empty(min(count, size), len(table))
        for start in range(0, count, size):
            rows = slice(start, start + size)
            block, right = vectors[rows], targets[rows, None]
            scores = buffer[: len(block)]
            torch.mm(factors[rows], columns, out=scores)
            items, counts = seen.at(rows)
            counts = counts.to(scores)
            scores.scatter_add_(1, items, counts * repeat)
            if offsets is not None:
                scores.scatter_add_(1, right, -offsets[right])
            if may_overflow:
                scores -= scores.amax(1, keepdim=True)
            own = scores.gather(1, right)
            sums = scores.exp_().sum(1, keepdim=True)
            terms, scale = sums.log() - own, sums.reciprocal()
            if weights is not None:
                terms *= weights[rows, None]
                scale *= weights[rows, None]
            total += terms.sum()
            # Now the gradient of each row of scores, but for its scale.
            scores.scatter_add_(1, right, -sums)
            d_bias.addmv_(scores.t(), scale[:, 0])
            of_seen = torch.linalg.vecdot(scores.gather(1, items), counts)
            d_repeat += torch.dot(of_seen, scale[:, 0])
            torch.mm(scores, table, out=d_vectors[rows]).mul_(scale)
            d_table.addmm_(scores.t(), block * scale)
        ctx.save_for_backward(d_vectors, d_table, d_bias, d_repeat)
        ctx.count = max(1, count)
        return total / ctx.count

    @staticmethod
    def backward(ctx, d_loss):
        scale = d_loss / ctx.count
        return *(gradient * scale for gradient in ctx.saved_tensors), None, None, None, None


def _bound(vectors: Tensor, table: Tensor, bias: Tensor, repeat: Tensor) -> float:
    """Return what no score is further from 0 than."""
    if not len(vectors):
        return 0.0
    norms = torch.linalg.vector_norm(vectors, dim=1), torch.linalg.vector_norm(table, dim=1)
    return float(norms[0].max() * norms[1].max() + bias.abs().max() + repeat.abs())


# Cross-entropy over a sample of the catalogue, for scores that are no plain product of vectors.


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
