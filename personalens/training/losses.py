"""Losses over a whole catalogue, with their gradients computed on the way."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["softmax_loss"]

_BLOCK_BYTES = 2_000_000
_MIN_ROWS = 32


def softmax_loss(vectors: Tensor, table: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy of ``vectors @ table.T + bias`` against ``targets``.

    Parameters
    ----------
    vectors
        (n, D), one for each position; no padding.
    table, bias
        (items, D) and (items,): the output layer.
    targets
        (n,) int64, the right items.

    Notes
    -----
    The same value and gradients as ``F.cross_entropy(F.linear(vectors, table, bias), targets)``,
    but the (n, items) matrix never exists. It is made in blocks of rows that fit a core's cache;
    each block becomes probabilities, then its own gradient (probability minus one at the target),
    in place, and is spent on the gradients of the three inputs before the next one is made.
    Second derivatives are not available.

    Examples
    --------
    Three items, all alike: the loss is log 3.

    >>> zero = torch.zeros(2, 4)
    >>> loss = softmax_loss(zero, torch.zeros(3, 4), torch.zeros(3), torch.tensor([0, 2]))
    >>> round(loss.item(), 4)
    1.0986
    """
    return _SoftmaxLoss.apply(vectors, table, bias, targets)


class _SoftmaxLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx, vectors, table, bias, targets):
        count = len(targets)
        rows = min(count, max(_MIN_ROWS, _BLOCK_BYTES // (table.element_size() * len(table))))
        d_vectors = torch.empty_like(vectors)
        d_table = torch.zeros_like(table)
        d_bias = torch.zeros_like(bias)
        total = vectors.new_zeros(())
        buffer = vectors.new_empty(rows, len(table))
        table_t = table.t()
        for start in range(0, count, rows):
            block = vectors[start : start + rows]
            right = targets[start : start + rows, None]
            scores = buffer[: len(block)]
            torch.addmm(bias, block, table_t, out=scores)
            torch.softmax(scores, 1, out=scores)
            chance = scores.gather(1, right)
            total -= chance.clamp_min(1e-38).log_().sum()
            scores.scatter_(1, right, chance - 1)
            torch.mm(scores, table, out=d_vectors[start : start + rows])
            d_table.addmm_(scores.t(), block)
            d_bias += scores.sum(0)
        ctx.save_for_backward(d_vectors, d_table, d_bias)
        ctx.count = count
        return total / count

    @staticmethod
    def backward(ctx, d_loss):
        scale = d_loss / ctx.count
        return *(gradient * scale for gradient in ctx.saved_tensors), None
