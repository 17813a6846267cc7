"""How well a list foresees which items rise: the figure of trending recipes."""

from __future__ import annotations

import numpy as np

LIST_LENGTH = 25


def trend_prediction_accuracy(recommended: np.ndarray, rise: np.ndarray) -> float:
    """Return the rise of the recommended items over the rise of the items that rose most.

    Parameters
    ----------
    recommended
        Codes of distinct items, best first; 25 of them count.
    rise
        (items,) by how many interactions an interval had more of each item than the one before.

    Returns
    -------
    float
        1 if the list has the 25 items that rose most; 0 if its items did not rise on the whole, or
        nothing rose.

    Notes
    -----
    Amazon Personalize: "trend prediction accuracy" of GetSolutionMetrics; its documentation warns
    that it can be 0.0, as it must be where few items rise in an interval.

    Examples
    --------
    Two of the three items that rose were foreseen, and one that fell:

    >>> trend_prediction_accuracy(np.array([0, 1, 3]), np.array([6, 3, 1, -1]))
    0.8
    """
    best = np.sort(np.maximum(rise, 0))[::-1][:LIST_LENGTH].sum()
    own = rise[recommended[:LIST_LENGTH]].sum()
    return float(max(own, 0) / best) if best > 0 else 0.0
