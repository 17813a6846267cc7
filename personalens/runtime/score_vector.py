"""One user's scores of a catalogue, and what is asked of them again and again."""

from __future__ import annotations

import math

import numpy as np

from personalens.evaluation.top_k import top_k_row


class ScoreVector:
    """A user's scores of all items, and what several requests want to know of them.

    Attributes
    ----------
    values
        (items,) floats, higher is better, -inf for what is left out. Do not write to them.
    """

    def __init__(self, values: np.ndarray):
        self.values = values
        self._best, self._asked = np.zeros(0, np.int64), 0
        self._log_total: float | None = None

    def best(self, count: int) -> np.ndarray:
        """Return the codes of the ``count`` best items, best first; equal ones by code."""
        if count > self._asked:
            self._best, self._asked = top_k_row(self.values, count), count
        return self._best[:count]

    def shares(self, codes: np.ndarray) -> np.ndarray:
        """Return (n,) float64: the softmax over all items, of these."""
        if self._log_total is None:
            self._log_total = log_sum_exp(self.values)
        return np.exp(self.values[codes].astype(np.float64) - self._log_total)


def log_sum_exp(scores: np.ndarray) -> float:
    """Return log(sum(exp(scores))) of (n,) scores, without overflow.

    >>> round(log_sum_exp(np.array([1000.0, 1000.0, -np.inf])) - 1000.0, 6)
    0.693147
    """
    top = float(scores.max(initial=-np.inf))
    if not math.isfinite(top):
        return top
    return top + math.log(np.exp(scores.astype(np.float64) - top).sum())
