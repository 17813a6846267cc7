"""User segments against who really came: the hold-out and figures of recipes that rank users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from personalens.datasets.interactions import Interactions

SEGMENT_SHARE = 0.01
"""How many of the users, best first, a list is judged by."""


@dataclass(frozen=True, eq=False)
class WithinUserHoldout:
    """Every user trains with their older events and tests with their newest.

    Attributes
    ----------
    train, truths
        The oldest and the newest events; both keep the vocabularies of what was split.
    """

    train: Interactions
    truths: Interactions

    def users_of_items(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return who came to which item among the truths.

        Returns
        -------
        items : numpy.ndarray
            (m,) codes of the items of the truths, ascending.
        offsets : numpy.ndarray
            (m + 1,) borders of the items' users.
        users : numpy.ndarray
            Codes of the distinct users of each item.
        """
        count = len(self.truths.users)
        pairs = np.unique(self.truths.item_codes.astype(np.int64) * count + self.truths.user_codes)
        items, starts = np.unique(pairs // count, return_index=True)
        return items, np.append(starts, len(pairs)), pairs % count


def within_user_holdout(interactions: Interactions) -> WithinUserHoldout:
    """Split as the service does for USER_SEGMENTATION: 80 % of each user's events train.

    The newest fifth, rounded down, is the truth: a user with fewer than five events only trains.

    Raises
    ------
    ValueError
        If no user has five events.
    """
    counts = np.diff(interactions.offsets)[interactions.user_codes]
    place = np.arange(len(interactions)) - interactions.offsets[interactions.user_codes]
    is_truth = place >= counts - counts // 5
    if not is_truth.any():
        raise ValueError("the hold-out needs a user with at least 5 events; there is none")
    return WithinUserHoldout(interactions.select(~is_truth), interactions.select(is_truth))


def segment_metrics(
    segments: Sequence[np.ndarray], truths: Sequence[np.ndarray], users: int
) -> dict[str, float]:
    """Return the three figures of GetSolutionMetrics for USER_SEGMENTATION.

    Parameters
    ----------
    segments
        For each query its users, as codes, best first: at least ``segment_size(users)`` of them.
    truths
        For each query the distinct users who really came, at least one. Without any query all
        figures are 0.
    users
        Users of the data.

    Returns
    -------
    dict
        ``coverage``: share of the users that are in some segment; ``hits_at_1_percent``: true users
        among the best 1 % of the users, a count, averaged; ``recall_at_1_percent``: which share of
        the true users those are, averaged.

    Notes
    -----
    Amazon Personalize: GetSolutionMetrics; its samples print these names.

    Examples
    --------
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
