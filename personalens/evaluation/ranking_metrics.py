"""Ranked lists: the best k of many scores, and the metrics of lists, one function each.

Every metric takes ``hits``: True where the item at that place of the list is relevant, (K,) for
one list or (users, K) for many, and returns one value per list (a float for one list). Average them
with ``.mean()``; the functions named ``mean_...`` have done so. A list shorter than k is a list
whose missing places are misses. :func:`hit_matrix` makes ``hits`` from lists of items. The figures
of recipes for trends, actions and user segments stand at the end.

Amazon Personalize: the metrics of GetSolutionMetrics, with the definitions of its developer guide
("Evaluating a solution version with metrics").
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal

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


LIST_LENGTH = 25
DEPTHS = (5, 10, 25)
SEGMENT_SHARE = 0.01
"""How many of the users, best first, a list is judged by."""


def hit_matrix(ranked: Sequence[Sequence[Any]], relevant: Sequence[Collection[Any]]) -> np.ndarray:
    """Return the (users, K) booleans that the metrics take.

    Parameters
    ----------
    ranked
        One list of items per user, best first; K is the length of the longest. An item that stands
        twice in one list counts once, at its first place.
    relevant
        The items that each user really chose.

    Examples
    --------
    >>> hit_matrix([["a", "b", "c"], ["c"]], [{"b"}, {"a", "c"}]).tolist()
    [[False, True, False], [True, False, False]]
    """
    if len(ranked) != len(relevant):
        raise ValueError(f"{len(ranked)} lists, but relevant items for {len(relevant)} users")
    hits = np.zeros((len(ranked), max((len(items) for items in ranked), default=0)), bool)
    for row, (items, truth) in enumerate(zip(ranked, relevant, strict=True)):
        waiting = set(truth)
        for place, item in enumerate(items):
            if item in waiting:
                hits[row, place] = True
                waiting.remove(item)
    return hits


def precision_at_k(hits: np.ndarray, k: int) -> Any:
    """Return hits in the top k, divided by k.

    ``P@k = (1/k) * sum over r <= k of rel_r``. Always divided by k, also when fewer than k items
    could be relevant (or were returned): so does the service.

    Examples
    --------
    Hits at places 2 and 5 of 5: 2/5.

    >>> precision_at_k([False, True, False, False, True], 5)
    0.4
    """
    return _scalar(_top(hits, k).sum(axis=-1) / k)


def recall_at_k(hits: np.ndarray, k: int, relevant_counts: Any) -> Any:
    """Return hits in the top k, divided by the number of relevant items (0 where there are none).

    >>> recall_at_k([False, True, False, False, True], 5, 4)
    0.5
    """
    counts = np.asarray(relevant_counts, dtype=float)
    found = _top(hits, k).sum(axis=-1)
    return _scalar(np.divide(found, counts, out=np.zeros(np.shape(found)), where=counts > 0))


def hit_rate_at_k(hits: np.ndarray, k: int) -> Any:
    """Return 1 where any of the top k is a hit, else 0 (HR@k).

    >>> hit_rate_at_k([[False, True], [False, False]], 2).tolist()
    [1.0, 0.0]
    """
    return _scalar(_top(hits, k).any(axis=-1).astype(float))


def reciprocal_rank_at_k(hits: np.ndarray, k: int = 25) -> Any:
    """Return 1 / (place of the first hit), 0 without a hit in the top k.

    >>> reciprocal_rank_at_k([False, True, False, False, True], 5)
    0.5
    """
    top = _top(hits, k)
    first = np.argmax(top, axis=-1) + 1 if top.shape[-1] else np.ones(top.shape[:-1])
    return _scalar(np.where(top.any(axis=-1), 1.0 / first, 0.0))


def mean_reciprocal_rank(hits: np.ndarray, k: int = 25) -> float:
    """Return the mean of :func:`reciprocal_rank_at_k` over the lists (MRR@k).

    Source: Voorhees, "The TREC-8 Question Answering Track Report" (1999).

    Hits at places 2 and 5 in the first list, none in the second: (1/2 + 0) / 2.

    >>> mean_reciprocal_rank([[False, True, False, False, True], [False] * 5])
    0.25
    """
    return _mean(reciprocal_rank_at_k(hits, k))


def dcg_at_k(hits: np.ndarray, k: int) -> Any:
    """Return the discounted cumulative gain, ``sum over r <= k of rel_r / log2(1 + r)``.

    ``hits`` may hold gains (numbers) instead of booleans. Source: Järvelin and Kekäläinen,
    "Cumulated gain-based evaluation of IR techniques" (2002).

    Hits at places 2 and 5: 1/log2(3) + 1/log2(6) = 0.6309 + 0.3869.

    >>> round(dcg_at_k([False, True, False, False, True], 5), 4)
    1.0178
    """
    gains = _top(hits, k, dtype=float)
    return _scalar(gains @ _discounts(gains.shape[-1]))


def ndcg_at_k(
    hits: np.ndarray,
    k: int,
    *,
    ideal: Literal["own_hits", "all_relevant"] = "own_hits",
    relevant_counts: Any = None,
) -> Any:
    """Return the DCG divided by that of the ideal list; 0 without hits.

    Parameters
    ----------
    hits
        Booleans, or gains.
    k
        Length of the list that counts.
    ideal
        What "ideal" means. ``"own_hits"``: the same top k re-sorted, the hits first. That is
        Amazon Personalize's definition: a list with one hit at place 1 is perfect even when the
        user chose ten items. ``"all_relevant"``: the first min(k, relevant) places filled, the
        definition that most papers use; it needs ``relevant_counts``.
    relevant_counts
        Number of relevant items of each user.

    Examples
    --------
    Hits at places 2 and 5 of 5; the ideal has them at 1 and 2 (1 + 0.6309 = 1.6309), so
    1.0178 / 1.6309:

    >>> round(ndcg_at_k([False, True, False, False, True], 5), 4)
    0.6241

    With three relevant items the ideal is 1 + 0.6309 + 0.5 = 2.1309, so 1.0178 / 2.1309:

    >>> hits = [False, True, False, False, True]
    >>> round(ndcg_at_k(hits, 5, ideal="all_relevant", relevant_counts=3), 4)
    0.4776
    """
    gains = _top(hits, k, dtype=float)
    reached = gains @ _discounts(gains.shape[-1])
    if ideal == "own_hits":
        best = -np.sort(-gains, axis=-1) @ _discounts(gains.shape[-1])
    elif ideal == "all_relevant":
        if relevant_counts is None:
            raise ValueError('ideal="all_relevant" needs relevant_counts')
        # ladder[c] is the DCG of c hits at the first c places.
        ladder = np.concatenate([[0.0], np.cumsum(_discounts(k))])
        best = ladder[np.minimum(np.asarray(relevant_counts), k)]
    else:
        raise ValueError(f'ideal is {ideal!r}; choose "own_hits" or "all_relevant"')
    return _scalar(np.divide(reached, best, out=np.zeros(np.shape(reached)), where=best > 0))


def average_precision_at_k(hits: np.ndarray, k: int, *, relevant_counts: Any = None) -> Any:
    """Return the mean of P@r over the places r of the hits (AP@k).

    Without ``relevant_counts`` the sum is divided by the hits *found* in the top k, as in the
    ``metrics.py`` of Amazon Personalize's sample notebooks; with them by min(k, relevant), as in
    most papers. It is not among the service's own metrics.

    Hits at places 2 and 5: (1/2 + 2/5) / 2.

    >>> average_precision_at_k([False, True, False, False, True], 5)
    0.45
    >>> round(average_precision_at_k([False, True, False, False, True], 5, relevant_counts=3), 4)
    0.3
    """
    top = _top(hits, k)
    precisions = np.cumsum(top, axis=-1) / np.arange(1, top.shape[-1] + 1)
    total = (precisions * top).sum(axis=-1)
    parts = top.sum(axis=-1) if relevant_counts is None else np.minimum(relevant_counts, k)
    return _scalar(np.divide(total, parts, out=np.zeros(np.shape(total)), where=parts > 0))


def mean_average_precision(hits: np.ndarray, k: int, *, relevant_counts: Any = None) -> float:
    """Return the mean of :func:`average_precision_at_k` over the lists (MAP@k).

    >>> mean_average_precision([[False, True, False, False, True], [True] + [False] * 4], 5)
    0.725
    """
    return _mean(average_precision_at_k(hits, k, relevant_counts=relevant_counts))


def coverage(ranked: Sequence[Sequence[Any]] | np.ndarray, catalogue_size: int) -> float:
    """Return the share of the catalogue that stands in at least one list.

    Amazon Personalize: distinct items recommended over all queries, divided by the distinct items
    of the Items and Interactions datasets together.

    Parameters
    ----------
    ranked
        One list per user; in an integer array, negative entries are empty places.
    catalogue_size
        Number of distinct items that could have been recommended.

    >>> coverage([["a", "b"], ["b", "c"]], 12)
    0.25
    """
    if catalogue_size <= 0:
        raise ValueError(f"catalogue_size is {catalogue_size}; it must be positive")
    if isinstance(ranked, np.ndarray) and np.issubdtype(ranked.dtype, np.integer):
        distinct = int(np.count_nonzero(np.unique(ranked) >= 0))
    else:
        distinct = len({item for items in ranked for item in items})
    return distinct / catalogue_size


def trend_prediction_accuracy(recommended: np.ndarray, rise: np.ndarray) -> float:
    """Return the rise of the recommended items over the rise of the items that rose most.

    Of ``recommended``, distinct codes, the best 25 count. ``rise`` (items,) says by how many
    interactions an interval had more of each item than the one before. The figure is 1 if the list
    has the 25 items that rose most, and 0 if its items did not rise on the whole or nothing rose.

    Amazon Personalize: "trend prediction accuracy" of GetSolutionMetrics; its documentation warns
    that it can be 0.0, as it must be where few items rise in an interval.

    Two of the three items that rose were predicted, and one that fell:

    >>> trend_prediction_accuracy(np.array([0, 1, 3]), np.array([6, 3, 1, -1]))
    0.8
    """
    best = np.sort(np.maximum(rise, 0))[::-1][:LIST_LENGTH].sum()
    own = rise[recommended[:LIST_LENGTH]].sum()
    return float(max(own, 0) / best) if best > 0 else 0.0


def area_under_curve(scores: np.ndarray, taken: np.ndarray) -> float:
    """Return the chance that an event in which the action was taken scores above one in which it
    was not; half for ties. NaN unless there are both.

    >>> area_under_curve(np.array([0.9, 0.4, 0.4, 0.1]), np.array([True, True, False, False]))
    0.875
    """
    positives = np.count_nonzero(taken)
    negatives = len(taken) - positives
    if not positives or not negatives:
        return float("nan")
    from scipy.stats import rankdata  # takes a third of a second to load

    wins = rankdata(scores)[taken].sum() - positives * (positives + 1) / 2
    return float(wins / (positives * negatives))


def action_metrics(
    ranked: np.ndarray, truths: Sequence[np.ndarray], areas: Sequence[float], actions: int
) -> dict[str, float]:
    """Return the figures of GetSolutionMetrics for PERSONALIZED_ACTIONS.

    ``ranked`` (users, K) are codes of the actions recommended to each test user, best first, filled
    up with -1; ``truths`` the distinct actions that each took in the end. Users who took none do
    not count, nor does an action whose :func:`area_under_curve` in ``areas`` is NaN. The service
    has these figures, but their exact names are not documented.
    """
    asked = [row for row, truth in enumerate(truths) if len(truth)]
    figures = {"coverage": coverage(ranked, actions)}
    hits = np.array([np.isin(ranked[row], truths[row]) for row in asked], bool)
    hits = hits.reshape(len(asked), ranked.shape[1])
    counts = np.array([len(truths[row]) for row in asked])
    for k in DEPTHS:
        values = {
            "normalized_discounted_cumulative_gain": ndcg_at_k(hits, k),
            "precision": precision_at_k(hits, k),
            "recall": recall_at_k(hits, k, counts),
        }
        for name, value in values.items():
            figures[f"{name}_at_{k}"] = float(np.mean(value)) if asked else 0.0
    known = np.array([area for area in areas if not np.isnan(area)])
    return figures | {"area_under_curve": float(known.mean()) if len(known) else 0.0}


def segment_metrics(
    segments: Sequence[np.ndarray], truths: Sequence[np.ndarray], users: int
) -> dict[str, float]:
    """Return the three figures of GetSolutionMetrics for USER_SEGMENTATION.

    ``segments`` has for each query its users as codes, best first: ``segment_size(users)`` or more.
    ``truths`` has the distinct users who really came, at least one for each query. Coverage is the
    share of the users that are in some segment; a hit is a true user among the best 1 %. Without
    any query all figures are 0.

    Amazon Personalize: GetSolutionMetrics; its samples print these names.

    300 users, so a segment is 3: two of the 4 who came are in it.

    >>> segment_metrics([np.array([5, 6, 7, 8])], [np.array([6, 7, 8, 9])], 300)
    {'coverage': 0.01, 'hits_at_1_percent': 2.0, 'recall_at_1_percent': 0.5}
    """
    if not truths:
        return {"coverage": 0.0, "hits_at_1_percent": 0.0, "recall_at_1_percent": 0.0}
    size = segment_size(users)
    best = [segment[:size] for segment in segments]
    hits = np.array([np.isin(s, t).sum() for s, t in zip(best, truths, strict=True)], float)
    return {
        "coverage": len(np.unique(np.concatenate(best))) / users,
        "hits_at_1_percent": float(hits.mean()),
        "recall_at_1_percent": float(np.mean(hits / [len(truth) for truth in truths])),
    }


def segment_size(users: int) -> int:
    """Return how many users the best 1 % are: at least one."""
    return max(1, round(SEGMENT_SHARE * users))


def _top(hits: np.ndarray, k: int, *, dtype: type = bool) -> np.ndarray:
    if k < 1:
        raise ValueError(f"k is {k}; it must be at least 1")
    return np.asarray(hits, dtype=dtype)[..., :k]


def _discounts(places: int) -> np.ndarray:
    return 1.0 / np.log2(np.arange(2, places + 2))


def _scalar(values: np.ndarray) -> Any:
    return values if np.ndim(values) else float(values)


def _mean(values: Any) -> float:
    if not np.size(values):
        raise ValueError("there are no lists to average over")
    return float(np.mean(values))
