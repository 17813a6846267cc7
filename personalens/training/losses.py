"""Cross-entropy over a catalogue, with the gradients computed on the way."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

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
    """Against the ``certain`` most popular items, and what else the batch has as targets, for the
    ``counts`` (items,) of each item's events in the training data.

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
        present, chances = sample_of(self._counts, self._certain, targets.cpu().numpy())
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


def sample_of(
    counts: np.ndarray, certain: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the items that stand for the catalogue beside some targets, sorted, and how probable
    it was for each to be there."""
    present = np.union1d(certain, targets)
    share = min(1.0, len(targets) / counts.sum())
    chances = 1.0 - (1.0 - share) ** np.maximum(counts[present], 1)
    chances[np.isin(present, certain)] = 1.0
    return present, chances


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

    For vectors (n, E), a table (columns, E) and a bias (columns,), with gradients to all four;
    ``targets`` (n,) are the right columns, and ``seen`` is in terms of columns. ``offsets``
    (columns,) are added to every score but that of the row's target, ``weights`` (n,) are factors
    of the rows' terms.

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
