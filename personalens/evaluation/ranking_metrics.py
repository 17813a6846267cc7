"""Metrics of ranked lists, one function each.

Every function takes ``hits``: True where the item at that place of the list is relevant, (K,) for
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
    ranked: np.ndarray,
    truths: Sequence[np.ndarray],
    areas: Sequence[float],
    actions: int,
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
