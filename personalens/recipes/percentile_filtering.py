"""Leaving out the users and items whose number of events is extreme."""

from __future__ import annotations

import numpy as np


def within_percentiles(counts: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return which counts lie between two percentiles, both included, as booleans.

    Amazon Personalize: ``min_``/``max_user_history_length_percentile`` and
    ``min_``/``max_item_interaction_count_percentile``, featureTransformationParameters that keep
    the edge cases (a user with one event, a robot with a million) out of training.

    Parameters
    ----------
    counts
        Events of each user or item.
    low, high
        Percentiles in 0..1. Between two counts the wider one is taken, so that never more than the
        stated share is left out and ties at the edge stay in.

    Examples
    --------
    >>> within_percentiles(np.array([1, 2, 2, 3, 50]), 0.25, 0.75).tolist()
    [False, True, True, True, False]
    """
    if not len(counts):
        return np.zeros(0, bool)
    floor = np.quantile(counts, low, method="lower")
    ceiling = np.quantile(counts, high, method="higher")
    return (counts >= floor) & (counts <= ceiling)
