"""What metadata foretell of items: of their start vectors, and how popular they will be."""

from __future__ import annotations

import numpy as np
from scipy import sparse

_SMALL = 1e-6
_STEEPEST = 4.0
"""The log of the largest ratio between an item's expected events and the mean item's."""


def explained_by_values(
    vectors: np.ndarray,
    codes: np.ndarray,
    weights: np.ndarray,
    values: int,
    *,
    trust: np.ndarray,
    ridge: float = 5.0,
    steps: int = 50,
) -> np.ndarray:
    """Return (values, E): the vectors of field values whose sums come nearest to the items'.

    Least squares with ``ridge`` times the sum of squares of the answer added, by conjugate
    gradients on all columns at once.

    Parameters
    ----------
    vectors
        (items, E).
    codes, weights
        (items, M): which values each item has, and with what weight.
    values
        How many there are.
    trust
        (items,): how much each item's error counts.

    Examples
    --------
    Two items of one value and one of another:

    >>> vectors = np.array([[1.0], [3.0], [5.0]])
    >>> codes, ones = np.array([[0], [0], [1]]), np.ones((3, 1))
    >>> explained_by_values(vectors, codes, ones, 2, trust=np.ones(3), ridge=0).round(3).tolist()
    [[2.0], [5.0]]
    """
    items, width = codes.shape
    rows = np.repeat(np.arange(items), width)
    table = sparse.csr_array(
        (weights.ravel().astype(np.float64), (rows, codes.ravel())), shape=(items, values)
    )
    weighted = table.T.multiply(trust).tocsr()
    answer = np.zeros((values, vectors.shape[1]))
    rest = weighted @ vectors.astype(np.float64)
    direction, size = rest, (rest**2).sum(0)
    small = _SMALL**2 * size
    for _ in range(steps):
        image = weighted @ (table @ direction) + ridge * direction
        length = size / np.maximum((direction * image).sum(0), np.finfo(float).tiny)
        answer = answer + length * direction
        rest = rest - length * image
        before, size = size, (rest**2).sum(0)
        if (size <= small).all():
            break
        direction = rest + size / np.maximum(before, np.finfo(float).tiny) * direction
    return answer


def expected_log_counts(
    counts: np.ndarray,
    codes: np.ndarray,
    weights: np.ndarray,
    values: int,
    *,
    ridge: float = 5.0,
    steps: int = 15,
) -> np.ndarray:
    """Return (values,): what field values add up to is the log of an item's expected events,
    against the mean item's.

    A Poisson regression of the counts on the values, by iteratively reweighted least squares. Among
    new items those are right ones that many will want, so what is expected is a number of events.
    The mean of its logarithm is another thing: a genre of many failures and a few great successes
    has a low one.

    Parameters
    ----------
    counts
        (items,) events; items without any are left out, as new ones.
    codes, weights, values
        As in :func:`explained_by_values`.

    Examples
    --------
    One kind of item has 4 events each; of the other half the items have 1 and half have 11, whose
    mean is 6 and whose geometric mean is 3.3:

    >>> counts, codes = np.array([4, 4, 1, 11]), np.array([[0], [0], [1], [1]])
    >>> found = expected_log_counts(counts, codes, np.ones((4, 1)), 2, ridge=0)
    >>> (5 * np.exp(found)).round(2).tolist()
    [4.0, 6.0]
    """
    warm = counts > 0
    relative = counts / counts[warm].mean() if warm.any() else counts.astype(float)
    sums = np.zeros(len(counts))
    answer = np.zeros(values)
    for _ in range(steps):
        expected = np.exp(sums.clip(-_STEEPEST, _STEEPEST))
        wanted = sums + (relative - expected) / expected
        answer = explained_by_values(
            wanted[:, None], codes, weights, values, trust=expected * warm, ridge=ridge
        )[:, 0]
        sums = (weights * answer[codes]).sum(axis=1)
    return answer
