"""From a model's raw scores to the lists that the runtime service returns.

Amazon Personalize: ``itemList`` of GetRecommendations, ``personalizedRanking`` of
GetPersonalizedRanking.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from personalens.datasets.id_maps import UNKNOWN
from personalens.recipes.base import History, Recipe, top_k


def recommended_items(model: Recipe, history: History, num_results: int) -> list[dict[str, Any]]:
    """Return the best items of the whole catalogue for one user, best first.

    Items that the user has had already are not removed: custom recipes leave that to a filter. An
    empty history is a new user, for whom the recipe answers with its cold start list.

    Parameters
    ----------
    model
        A trained recipe of any type but RELATED_ITEMS.
    history
        The user's past.
    num_results
        Length of the list; shorter when the catalogue is.

    Returns
    -------
    list of dict
        ``itemId``, and ``score`` where the recipe has scores: the softmax over the whole
        catalogue, so that a list's scores sum to less than 1.
    """
    scores = model.score([history])[0]
    return _item_list(model, scores, top_k(scores[np.newaxis], num_results)[0])


def related_items(model: Recipe, item_id: str, num_results: int) -> list[dict[str, Any]]:
    """Return the items most related to one item, best first; for an unknown item the recipe
    answers with popular items."""
    scores = model.score_related(np.array([model.items_.code(item_id)], dtype=np.int32))[0]
    return _item_list(model, scores, top_k(scores[np.newaxis], num_results)[0])


def ranked_items(model: Recipe, history: History, item_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return the given items in the order in which this user would want them.

    An item that is named twice is returned once. Items that the model does not know keep their
    order at the end of the list and have no ``score``; the scores of the others are a softmax over
    the given items, so they sum to 1.
    """
    distinct = list(dict.fromkeys(item_ids))
    codes = model.items_.encode(distinct)
    known = codes != UNKNOWN
    scores = model.score([history])[0][codes[known]]
    order = np.argsort(-scores, kind="stable")
    ranked_ids = np.array(distinct, dtype=object)[known][order]
    if model.has_scores:
        shares = softmax(scores)[order]
        ranked = [
            {"itemId": item, "score": float(share)}
            for item, share in zip(ranked_ids, shares, strict=True)
        ]
    else:
        ranked = [{"itemId": item} for item in ranked_ids]
    return ranked + [{"itemId": distinct[row]} for row in np.flatnonzero(~known)]


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


def _item_list(model: Recipe, scores: np.ndarray, codes: np.ndarray) -> list[dict[str, Any]]:
    items = model.items_.decode(codes)
    if not model.has_scores:
        return [{"itemId": item} for item in items]
    shares = softmax(scores)[codes]
    return [
        {"itemId": item, "score": float(share)} for item, share in zip(items, shares, strict=True)
    ]
