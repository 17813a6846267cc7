"""User and item vectors from who had what: implicit-feedback matrix factorisation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from personalens.progress import Progress, ProgressEvent, ignore_progress

GATHERED_NUMBERS = 4_000_000
"""Numbers of the vectors that are gathered in one go: 16 MB."""
STAGE = "factorising"


def alternating_least_squares(
    matrix: sparse.csr_array,
    width: int,
    *,
    weight: float = 5.0,
    regularization: float = 5.0,
    sweeps: int = 8,
    seed: int = 0,
    progress: Progress = ignore_progress,
) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors whose products are near 1 where a user had an item, and near 0 elsewhere.

    The loss is, over all pairs, (target - product)^2, which counts ``1 + weight`` times where the
    user had the item; beside it each vector's square counts ``regularization`` times the square
    root of its number of ones.

    Parameters
    ----------
    matrix
        (users, items) of ones.
    width
        Numbers in a vector.
    sweeps
        How often all users and then all items are solved for. Each solution takes a few steps of
        conjugate gradients from where the last one ended.
    seed
        Of the item vectors from which the search starts.
    progress
        Called after each sweep; may raise :class:`~personalens.progress.Cancelled`.

    Returns
    -------
    users, items : numpy.ndarray
        (users, width) and (items, width) float32.

    References
    ----------
    Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008.
    Takacs, Pilaszy and Tikk, "Applications of the Conjugate Gradient Method for Implicit Feedback
    Collaborative Filtering", RecSys 2011. Rendle et al., "Revisiting the Performance of iALS on
    Item Recommendation Benchmarks", RecSys 2022 (regularisation that grows with the ones).
    """
    by_user = matrix.astype(np.float32)
    by_item = by_user.T.tocsr()
    start = np.random.default_rng(seed).normal(size=(matrix.shape[1], width)) / width**0.5
    items = start.astype(np.float32)
    users = np.zeros((matrix.shape[0], width), np.float32)
    progress(ProgressEvent(STAGE, 0.0))
    with threadpool_limits(1, user_api="blas"):  # more threads are no faster on narrow matrices
        for sweep in range(sweeps):
            users = _solve(by_user, users, items, weight, regularization)
            items = _solve(by_item, items, users, weight, regularization)
            progress(ProgressEvent(STAGE, (sweep + 1) / sweeps))
    return users, items


def _solve(
    ones: sparse.csr_array,
    vectors: np.ndarray,
    others: np.ndarray,
    weight: float,
    regularization: float,
    *,
    steps: int = 3,
) -> np.ndarray:
    """Return better vectors for the rows of ``ones``, the other side's being as they are."""
    gram = others.T @ others
    solved = np.empty_like(vectors)
    for rows in _blocks(ones, others.shape[1]):
        block = ones[rows]
        counts = np.diff(block.indptr)
        owner = np.repeat(np.arange(len(counts)), counts)
        gathered = others[block.indices]  # (ones of the block, width)
        ridge = (regularization * np.sqrt(counts))[:, None].astype(np.float32)

        def apply(x: np.ndarray, block=block, owner=owner, gathered=gathered, ridge=ridge):
            products = np.einsum("ij,ij->i", x[owner], gathered)
            observed = sparse.csr_array((products, block.indices, block.indptr), block.shape)
            return x @ gram + weight * (observed @ others) + ridge * x

        solved[rows] = _conjugate_gradients(
            apply, (1 + weight) * (block @ others), vectors[rows], steps
        )
    return solved


def _conjugate_gradients(apply, target: np.ndarray, start: np.ndarray, steps: int) -> np.ndarray:
    """Go a few steps towards the solutions of one linear system a row."""
    x = start.copy()
    residual = target - apply(x)
    direction = residual
    size = np.einsum("ij,ij->i", residual, residual)[:, None]
    for _ in range(steps):
        applied = apply(direction)
        curvature = np.einsum("ij,ij->i", direction, applied)[:, None]
        step = np.divide(size, curvature, out=np.zeros_like(size), where=curvature > 0)
        x += step * direction
        residual = residual - step * applied
        next_size = np.einsum("ij,ij->i", residual, residual)[:, None]
        turn = np.divide(next_size, size, out=np.zeros_like(size), where=size > 0)
        direction, size = residual + turn * direction, next_size
    return x


def _blocks(ones: sparse.csr_array, width: int) -> Iterator[slice]:
    """Cut the rows so that the vectors gathered for one block stay small."""
    limit = max(GATHERED_NUMBERS // width, 1)
    start = 0
    while start < ones.shape[0]:
        end = int(np.searchsorted(ones.indptr, ones.indptr[start] + limit, side="right")) - 1
        end = min(max(end, start + 1), ones.shape[0])
        yield slice(start, end)
        start = end
