"""A promotion: a share of the list for items that a filter of its own chooses.

Amazon Personalize: ``promotions`` of GetRecommendations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from personalens.evaluation.top_k import top_k_row


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
