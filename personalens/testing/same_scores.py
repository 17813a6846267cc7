"""Whether two models, or one asked twice, give the same scores."""

from __future__ import annotations

import numpy as np


def same_scores(one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether scores are equal but for their last bits.

    On some processors the last bits of a product depend on where in memory its factors lie, and on
    which row of a block they are: weights that were read from a file give 2.3715906 where those
    that were just trained give 2.3715916.

    Examples
    --------
    >>> trained = np.array([2.3715916, -np.inf], np.float32)
    >>> same_scores(trained, np.array([2.3715906, -np.inf], np.float32))
    True
    >>> same_scores(trained, np.array([2.3720, -np.inf], np.float32))
    False
    """
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-5, atol=1e-5)
