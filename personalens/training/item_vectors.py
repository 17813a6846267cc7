"""Item vectors before any training: what stands near what in the histories."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import svds


def windowed_cooccurrence(
    item_codes: np.ndarray, offsets: np.ndarray, items: int, *, reach: int = 20, decay: float = 0.95
) -> sparse.csr_array:
    """Return (items, items): how often two items stood within ``reach`` events of each other.

    A pair at distance d counts ``decay ** (d - 1)``, in both directions.

    Examples
    --------
    One history, items 0 1 2, reach 2 and decay 0.5:

    >>> counts = windowed_cooccurrence(np.array([0, 1, 2]), np.array([0, 3]), 3, reach=2, decay=0.5)
    >>> counts.toarray().tolist()
    [[0.0, 1.0, 0.5], [1.0, 0.0, 1.0], [0.5, 1.0, 0.0]]
    """
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    total = sparse.csr_array((items, items), dtype=np.float64)
    for distance in range(1, reach + 1):
        same = owner[:-distance] == owner[distance:]
        first, second = item_codes[:-distance][same], item_codes[distance:][same]
        if not len(first):
            break
        weights = np.full(len(first), decay ** (distance - 1))
        total = total + sparse.csr_array((weights, (first, second)), shape=(items, items))
    return (total + total.T).tocsr()


def positive_pmi(counts: sparse.csr_array, *, smoothing: float = 0.75) -> sparse.csr_array:
    """Return the positive pointwise mutual information of a symmetric table of counts.

    max(0, log(P(i, j) / (P(i) P'(j)))) with P'(j) proportional to count(j) ** ``smoothing``, which
    keeps rare items from having nothing but large values.

    References
    ----------
    Levy, Goldberg and Dagan, "Improving Distributional Similarity with Lessons Learned from Word
    Embeddings", TACL 2015.
    """
    pairs = counts.tocoo()
    seen = np.asarray(counts.sum(axis=1)).ravel()
    smoothed = seen**smoothing
    smoothed /= max(smoothed.sum(), 1e-12)
    ratio = pairs.data / (seen[pairs.row] * smoothed[pairs.col])
    values = np.maximum(0.0, np.log(ratio))
    table = sparse.csr_array((values, (pairs.row, pairs.col)), shape=counts.shape)
    table.eliminate_zeros()
    return table


def principal_vectors(table: sparse.csr_array, width: int, *, seed: int = 0) -> np.ndarray:
    """Return (items, width) float32: left singular vectors times the square roots of the singular
    values, largest first; columns beyond the table's rank are zero."""
    rank = min(width, min(table.shape) - 1)
    vectors = np.zeros((table.shape[0], width), np.float32)
    if rank < 1 or not table.nnz:
        return vectors
    start = np.random.default_rng(seed).normal(size=table.shape[0])
    left, values, _ = svds(table, k=rank, v0=start)
    order = np.argsort(-values)
    left = left[:, order] * np.sign(left[np.abs(left).argmax(0), np.arange(rank)])[order]
    vectors[:, :rank] = left * np.sqrt(np.maximum(values[order], 0.0))
    return vectors


def log_popularity(item_codes: np.ndarray, items: int) -> np.ndarray:
    """Return (items,) float32: the log of each item's events against the average item's, half an
    event added to every item. An output bias that starts here need not learn popularity.

    Examples
    --------
    >>> log_popularity(np.array([0, 0, 0, 1]), 2).astype(float).round(4).tolist()
    [0.3365, -0.5108]
    """
    counts = np.bincount(item_codes, minlength=items) + 0.5
    return np.log(counts / counts.mean()).astype(np.float32)
