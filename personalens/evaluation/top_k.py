"""The best k of many scores: one tie rule for serving, metrics and benchmarks."""

from __future__ import annotations

import numpy as np

NOTHING = -1
"""Fills the places of a ranked list that is shorter than k."""
GROUP, GROUPS_FOR_ONE, MOST_CANDIDATES = 32, 4, 8
"""Wide rows: how many items are looked at as one, how many such groups there are at least for each
place in the list, and how many candidates a place may have before the short cut is none."""
CACHED_BYTES = 8_000_000
"""Scores that are gone through together: so few that they are in the cache the second time, so many
that threads which rank side by side seldom wait for one another."""


def top_k_matrix(scores: np.ndarray, k: int) -> np.ndarray:
    """Return the codes of the best ``k`` of each row, best first, (B, min(k, n)) int64.

    ``scores`` (B, n) are free of NaN; -inf means "never". Equal scores are ordered by code, the
    lower first. Where fewer than k are above -inf the row ends in ``NOTHING`` (-1).

    Notes
    -----
    ``numpy.argpartition`` alone picks freely among equal scores at the border, so the answer could
    depend on the batch. Here everything above the k-th score is taken, then the tied ones in the
    order of their codes. Wide rows are first cut down to few candidates, in one pass.

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
    if width >= GROUP * GROUPS_FOR_ONE * k and scores.dtype.kind == "f":
        rows = max(1, CACHED_BYTES // scores[0].nbytes)
        blocks = [scores[start : start + rows] for start in range(0, batch, rows)]
        return np.concatenate([_top_of_wide(block, k) for block in blocks])
    return _top_of_all(scores, k)


def _top_of_wide(scores: np.ndarray, k: int) -> np.ndarray:
    """As :func:`top_k_matrix`, by way of a bound: the k-th best of the best of ``GROUP`` items each
    is no better than the k-th best of all, so what is below it is out."""
    batch, width = scores.shape
    grouped = width // GROUP * GROUP
    tops = scores[:, :grouped].reshape(batch, GROUP, -1).max(axis=1)  # (B, groups)
    if np.isnan(tops).any() or np.isnan(scores[:, grouped:]).any():
        raise ValueError("scores must not be NaN")
    groups = tops.shape[1]
    bound = np.partition(tops, groups - k, axis=1)[:, groups - k, None]
    chosen = np.flatnonzero(scores >= bound)
    if len(chosen) > MOST_CANDIDATES * k * batch:  # many are equal, or left out
        return _top_of_all(scores, k)
    rows = chosen // width
    counts = np.bincount(rows, minlength=batch)
    places = np.arange(len(chosen)) - np.repeat(np.cumsum(counts) - counts, counts)
    codes = np.zeros((batch, counts.max()), np.int64)
    values = np.full(codes.shape, -np.inf, scores.dtype)
    columns = chosen - rows * width
    codes[rows, places] = columns
    values[rows, places] = scores[rows, columns]
    return _best_first(codes, values)[:, :k]


def _top_of_all(scores: np.ndarray, k: int) -> np.ndarray:
    """As :func:`top_k_matrix`, of all scores at once."""
    batch, width = scores.shape
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
    return _best_first(codes, np.take_along_axis(scores, codes, axis=1))


def _best_first(codes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return ascending codes in the order of their values; ``NOTHING`` where those are -inf."""
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
