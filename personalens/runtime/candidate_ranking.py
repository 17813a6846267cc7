"""From a model's raw scores to the lists that the runtime service returns.

Amazon Personalize: ``itemList`` of GetRecommendations, ``personalizedRanking`` of
GetPersonalizedRanking.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from personalens.datasets.histories import History
from personalens.datasets.id_maps import UNKNOWN
from personalens.evaluation.top_k import top_k_row
from personalens.recipes.base import Recipe
from personalens.runtime.filtering import Allowed
from personalens.runtime.request_randomness import RequestRandomness
from personalens.runtime.score_vector import ScoreVector
from personalens.settings.serving_config import ExplorationSettings


def best_codes(scores: ScoreVector, num_results: int, allowed: np.ndarray | None) -> np.ndarray:
    """Return the codes of the best items, best first, of those that are allowed.

    Items that the user has had already are not removed: custom recipes leave that to a filter.

    Parameters
    ----------
    scores
        One user's, or one item's relatives. -inf leaves an item out.
    num_results
        Length of the list; shorter when there are not so many.
    allowed
        (items,) bool, what a filter lets in; None: everything.
    """
    if allowed is None:
        return scores.best(num_results)
    return top_k_row(np.where(allowed, scores.values, -np.inf), num_results)


def offered_scores(
    model: Recipe,
    scores: np.ndarray,
    histories: Sequence[History],
    exploration: ExplorationSettings,
    chance: RequestRandomness,
) -> np.ndarray:
    """Return (B, items) scores of users as recommendations show them: explored where the recipe
    explores, and -inf for what is hidden from a user. Do not write to them."""
    explores = model.explores
    own = None
    for row, history in enumerate(histories):
        hidden = model.hidden_items(history)
        if explores or len(hidden):
            own = np.array(scores) if own is None else own
        if explores:
            own[row] = model.explore(
                own[row],
                history,
                weight=exploration.weight,
                cutoff_days=exploration.cutoff_days,
                rng=chance.generator(),
            )
        if len(hidden):
            own[row, hidden] = -np.inf
    return scores if own is None else own


def listed_items(model: Recipe, scores: ScoreVector, codes: np.ndarray) -> list[dict[str, Any]]:
    """Return some items as an answer lists them.

    Parameters
    ----------
    model
        The trained recipe that gave the scores.
    scores
        Of all items.
    codes
        (n,) the items to be listed, in order.

    Returns
    -------
    list of dict
        ``itemId``, and ``score`` where the recipe has scores: the softmax over the whole
        catalogue, so that a list's scores sum to less than 1.
    """
    items = model.items_.decode(codes)
    if not model.has_scores:
        return [{"itemId": item} for item in items]
    return _with_scores(items, scores.shares(codes))


def ranked_items(
    model: Recipe, scores: np.ndarray, item_ids: Sequence[str], allowed: Allowed | None = None
) -> list[dict[str, Any]]:
    """Return the given items in the order in which this user would want them.

    An item that is named twice is returned once, one that a filter does not let in not at all.
    Items that the model does not know keep their order at the end of the list and have no
    ``score``; the scores of the others are a softmax over the given items, so they sum to 1.
    """
    distinct = np.array(list(dict.fromkeys(item_ids)), dtype=object)
    if allowed is not None:
        distinct = distinct[allowed.of(distinct)]
    codes = model.items_.encode(distinct)
    is_known = codes != UNKNOWN
    known, unknown = distinct[is_known], distinct[~is_known]
    own_scores = scores[codes[is_known]]
    order = np.lexsort((codes[is_known], -own_scores))  # ties by code, as in every ranking
    if model.has_scores:
        ranked = _with_scores(known[order], softmax(own_scores)[order])
    else:
        ranked = [{"itemId": item} for item in known[order]]
    return ranked + [{"itemId": item} for item in unknown]


def softmax(scores: np.ndarray) -> np.ndarray:
    """Return exp(scores) / sum(exp(scores)) of (n,) scores as (n,) float64.

    The largest score is subtracted first, so that no exponential overflows; a score of -inf gets
    a share of 0.

    Examples
    --------
    >>> softmax(np.array([1000.0, 1000.0, -np.inf])).tolist()
    [0.5, 0.5, 0.0]
    """
    if not scores.size or scores.max() == -np.inf:
        return np.zeros(len(scores))
    shares = np.exp(scores.astype(np.float64) - scores.max())
    return shares / shares.sum()


def _with_scores(items: np.ndarray, shares: np.ndarray) -> list[dict[str, Any]]:
    return [
        {"itemId": item, "score": share} for item, share in zip(items, shares.tolist(), strict=True)
    ]


# A promotion: a share of the list for items that a filter of its own chooses.


@dataclass(frozen=True, eq=False)
class Promotion:
    """``percent`` (1..100) is its share of the list, ``allowed`` (items,) bool what its filter lets
    in."""

    percent: int
    allowed: np.ndarray


def place_promoted(
    scores: np.ndarray,
    allowed: np.ndarray | None,
    promotion: Promotion,
    num_results: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the list with promoted items at random places.

    Parameters
    ----------
    scores
        (items,) of all items.
    allowed
        (items,) bool: the request's own filter, which governs the other items only.
    promotion
        What is promoted.
    num_results
        Length of the list.
    rng
        Of the places.

    Returns
    -------
    codes : numpy.ndarray
        (n,) items. Promoted ones stand among themselves in the order of their scores, and so do the
        others.
    is_promoted : numpy.ndarray
        (n,) bool.

    Notes
    -----
    Where there are not enough items to promote, others take their places. An item that both filters
    let in is promoted if a promoted place is left for it.
    """
    wanted = round(num_results * promotion.percent / 100)
    promoted = _best(scores, promotion.allowed, wanted)
    others = np.ones(len(scores), bool) if allowed is None else allowed.copy()
    others[promoted] = False
    rest = _best(scores, others, num_results - len(promoted))
    total = len(promoted) + len(rest)
    is_promoted = np.zeros(total, bool)
    is_promoted[rng.choice(total, size=len(promoted), replace=False)] = True
    codes = np.empty(total, np.int64)
    codes[is_promoted], codes[~is_promoted] = promoted, rest
    return codes, is_promoted


def _best(scores: np.ndarray, allowed: np.ndarray, count: int) -> np.ndarray:
    return top_k_row(np.where(allowed, scores, -np.inf), count)
