"""Recommended actions against those that users took."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from personalens.evaluation.ranking_metrics import (
    coverage,
    ndcg_at_k,
    precision_at_k,
    recall_at_k,
)

DEPTHS = (5, 10, 25)


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
    wins = rankdata(scores)[taken].sum() - positives * (positives + 1) / 2
    return float(wins / (positives * negatives))


def action_metrics(
    ranked: np.ndarray,
    truths: Sequence[np.ndarray],
    areas: Sequence[float],
    actions: int,
) -> dict[str, float]:
    """Return the figures of GetSolutionMetrics for PERSONALIZED_ACTIONS.

    Parameters
    ----------
    ranked
        (users, K) codes of the actions recommended to each test user, best first; -1 fills up.
    truths
        For each of them the distinct actions taken in the end; users who took none do not count.
    areas
        :func:`area_under_curve` of each action; NaN does not count.
    actions
        Number of actions.

    Returns
    -------
    dict
        ``coverage``; at 5, 10 and 25 ``normalized_discounted_cumulative_gain``, ``precision`` and
        ``recall``; ``area_under_curve``, averaged over the actions. The service has these figures;
        their exact names are not documented.
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
