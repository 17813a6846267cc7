"""The best k of many scores: one tie rule for serving, metrics and benchmarks."""

from __future__ import annotations

import numpy as np

NOTHING = -1
"""Fills the places of a ranked list that is shorter than k."""


def top_k_matrix(scores: np.ndarray, k: int) -> np.ndarray:
    """Return the codes of the best ``k`` of each row, best first.

    Parameters
    ----------
    scores
        (B, n), free of NaN; -inf means "never".
    k
        Length of the lists.

    Returns
    -------
    numpy.ndarray
        (B, min(k, n)) int64. Equal scores are ordered by code, the lower first. Where fewer than k
        scores are above -inf the row ends in ``NOTHING`` (-1).

    Notes
    -----
    ``numpy.argpartition`` alone picks freely among equal scores at the border, so the answer could
    depend on the batch. Here everything above the k-th score is taken, then the tied ones in the
    order of their codes.

    Examples
    --------
    >>> top_k_matrix(np.array([[1.0, 3.0, 3.0, 2.0]]), 2).tolist()
    [[1, 2]]
    """
    scores = np.asarray(scores)
    batch, width = scores.shape
    k = min(k, width)
    if k <= 0 or not batch:
        return np.zeros((batch, max(k, 0)), np.int64)
    if k < width:
        border = np.partition(scores, width - k, axis=1)[:, width - k, None]
        chosen = scores >= border
        excess = np.flatnonzero(chosen.sum(axis=1) > k)
        if excess.size:
            chosen[excess] = _drop_late_ties(scores[excess], border[excess], k)
        if np.count_nonzero(chosen) != batch * k:
            raise ValueError("scores must not be NaN")
        codes = np.nonzero(chosen)[1].reshape(batch, k)
    else:
        codes = np.broadcast_to(np.arange(width), (batch, width))
    values = np.take_along_axis(scores, codes, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    codes = np.take_along_axis(codes, order, axis=1)
    return np.where(np.take_along_axis(values, order, axis=1) > -np.inf, codes, NOTHING)


def top_k_row(scores: np.ndarray, k: int) -> np.ndarray:
    """Return what ``top_k`` returns for one row, (n,) scores, in a fraction of the time.

    Examples
    --------
    >>> top_k_row(np.array([1.0, 3.0, 3.0, 2.0, -np.inf]), 3).tolist()
    [1, 2, 3]
    """
    if not 0 < k < len(scores):
        return top_k(scores[np.newaxis], k)[0]
    border = np.partition(scores, len(scores) - k)[len(scores) - k]
    codes = np.flatnonzero(scores >= border)
    if len(codes) != k or border == -np.inf:  # ties at the border, NaN, or too few items
        return top_k(scores[np.newaxis], k)[0]
    return codes[np.argsort(-scores[codes], kind="stable")]


def _drop_late_ties(scores: np.ndarray, border: np.ndarray, k: int) -> np.ndarray:
    above = scores > border
    tied = scores == border
    places = k - above.sum(axis=1, keepdims=True)
    return above | (tied & (np.cumsum(tied, axis=1, dtype=np.int32) <= places))


def top_k(scores: np.ndarray, k: int) -> list[np.ndarray]:
    """Return for each row of (B, n) scores the codes of its best ``k``, best first.

    Equal scores are ordered by code; items at -inf are left out, so lists may be shorter than k.
    """
    return [row[row != NOTHING] for row in top_k_matrix(scores, k)]


def rank_of(scores: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the place, from 1, of ``codes[b]`` in the ranking of row ``b``; ties as in top_k.

    A code of -1, or an item at -inf, is in no list: its rank is infinite. (B,) float64.

    Examples
    --------
    >>> rank_of(np.array([[1.0, 3.0, 3.0, 2.0]] * 3), np.array([2, 0, -1])).tolist()
    [2.0, 4.0, inf]
    """
    scores = np.asarray(scores)
    codes = np.asarray(codes, dtype=np.int64)
    own = scores[np.arange(len(scores)), np.maximum(codes, 0)][:, None]
    before = (scores > own).sum(axis=1)
    tied = scores == own
    # Ties are rare, so only the rows that have any are looked at twice.
    for row in np.flatnonzero(tied.sum(axis=1) > 1):
        before[row] += np.count_nonzero(tied[row, : codes[row]])
    listed = (codes >= 0) & (own[:, 0] > -np.inf)
    return np.where(listed, before + 1.0, np.inf)
