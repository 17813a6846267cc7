"""How much of the items' start vectors their metadata explain."""

from __future__ import annotations

import numpy as np
from scipy import sparse

_SMALL = 1e-6


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
