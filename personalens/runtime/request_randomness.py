"""Chance that differs from request to request, and repeats where that is asked for."""

from __future__ import annotations

import itertools
import os

import numpy as np

SEED_VARIABLE = "PERSONALENS_EXPLORATION_SEED"


class RequestRandomness:
    """Hands every request a generator of its own. Safe to share between threads.

    Parameters
    ----------
    seed
        With it, the n-th request of this object draws the same in every run. Default: what the
        variable PERSONALENS_EXPLORATION_SEED says, else fresh chance.

    Examples
    --------
    >>> first, again = RequestRandomness(7), RequestRandomness(7)
    >>> draws = [chance.generator().random() for chance in (first, again, first)]
    >>> draws[0] == draws[1] != draws[2]
    True
    """

    def __init__(self, seed: int | None = None):
        if seed is None and (text := os.environ.get(SEED_VARIABLE, "").strip()):
            seed = int(text)
        self._seed, self._count = seed, itertools.count()

    def generator(self) -> np.random.Generator:
        """Return the next request's."""
        number = next(self._count)
        return np.random.default_rng(None if self._seed is None else [self._seed, number])
