"""Figures in which some hits count more than others: by the event's type, or by the item's worth.

Amazon Personalize: GetSolutionMetrics of solutions with ``eventsConfig`` or
``optimizationObjective``.
"""

from __future__ import annotations

import numpy as np

from personalens.datasets.id_maps import UNKNOWN
from personalens.evaluation.holdouts import ServiceHoldout
from personalens.evaluation.ranking_metrics import ndcg_at_k

WEIGHTED_NDCG = "normalized_discounted_cumulative_gain_with_event_weights_at_k"
"""The letter k is the service's own name for it. Here k is the length of the lists, 25."""

AVERAGE_REWARDS = "average_rewards_at_k"


def weighted_ndcg(ranked: np.ndarray, holdout: ServiceHoldout, known: np.ndarray) -> float:
    """Return the mean NDCG in which a hit earns its event's weight over the mean weight.

    Parameters
    ----------
    ranked
        (test users, K) items in the model's codes, -1 where a list is short.
    holdout
        Whose ``truths`` have weights. An item with several truths counts with the heaviest.
    known
        (items,) the model's code of each item of the hold-out, -1 where it has none.
    """
    gains = np.zeros(ranked.shape)
    mean = max(float(holdout.truths.event_weights.mean()), np.finfo(np.float32).tiny)
    for row, user in enumerate(holdout.test_users):
        rows = holdout.truths.rows_of(user)
        weights = dict[int, float]()
        codes = known[holdout.truths.item_codes[rows]]
        for code, weight in zip(codes, holdout.truths.event_weights[rows] / mean, strict=True):
            weights[int(code)] = max(weights.get(int(code), 0.0), float(weight))
        weights.pop(UNKNOWN, None)
        gains[row] = [weights.get(int(code), 0.0) for code in ranked[row]]
    return float(np.mean(ndcg_at_k(gains, ranked.shape[1])))


def average_rewards(
    ranked: np.ndarray, holdout: ServiceHoldout, known: np.ndarray, rewards: np.ndarray
) -> float:
    """Return which share of what users' choices were worth the lists would have brought in.

    For one user: the rewards of the truths that are in the list, over the rewards of all truths;
    the mean over the users whose truths are worth something. "Rewards" are ``rewards`` (model's
    items,), not negative. The other parameters are those of :func:`weighted_ndcg`.

    Notes
    -----
    The guide divides "total rewards from the user's interactions with their top 25 reward
    generating recommendations" by "total rewards from the user's interactions with
    recommendations", and says no more; this is the reading in which 1 is the best.
    """
    shares = []
    for row, user in enumerate(holdout.test_users):
        truths = known[holdout.truth_codes(user)]
        truths = truths[truths != UNKNOWN]
        worth = rewards[truths]
        if worth.sum() > 0:
            shares.append(worth[np.isin(truths, ranked[row])].sum() / worth.sum())
    return float(np.mean(shares)) if shares else 0.0
