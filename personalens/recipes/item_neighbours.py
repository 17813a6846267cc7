"""The items that most users share with each item, in bounded memory."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from personalens.datasets.interactions import Interactions
from personalens.training.progress import Progress, ProgressEvent, ignore_progress


def user_item_matrix(interactions: Interactions) -> sparse.csr_array:
    """Return the (users, items) matrix with a one where a user had an item, however often."""
    shape = (len(interactions.users), len(interactions.items))
    ones = np.ones(len(interactions), np.int32)
    matrix = sparse.csr_array(
        (ones, interactions.item_codes, interactions.offsets.astype(np.int32)), shape=shape
    )
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def related_items(
    matrix: sparse.csr_array,
    *,
    discount: float,
    min_shared_users: int,
    k: int,
    progress: Progress = ignore_progress,
) -> sparse.csr_array:
    """Return the ``k`` most similar items of each item, (items, items) sparse float32."""
    users_of = matrix.T.tocsr()
    counts = np.maximum(np.diff(users_of.indptr), 1).astype(np.float32)
    rows = []
    for start in range(0, matrix.shape[1], 500):
        block = users_of[start : start + 500] @ matrix
        for row in range(block.shape[0]):
            own = slice(block.indptr[row], block.indptr[row + 1])
            columns, shared = block.indices[own], block.data[own]
            keep = (shared >= max(min_shared_users, 1)) & (columns != start + row)
            columns, shared = columns[keep], shared[keep]
            similarity = shared / (
                counts[start + row] ** (1 - discount) * counts[columns] ** discount
            )
            best = np.lexsort((columns, -similarity))[:k]
            rows.append((columns[best], similarity[best].astype(np.float32)))
        progress(
            ProgressEvent("relating items", min(start + 500, matrix.shape[1]) / matrix.shape[1])
        )
    indptr = np.concatenate([[0], np.cumsum([len(columns) for columns, _ in rows])])
    return sparse.csr_array(
        (
            np.concatenate([s for _, s in rows]),
            np.concatenate([c for c, _ in rows]).astype(np.int32),
            indptr.astype(np.int64),
        ),
        shape=(matrix.shape[1],) * 2,
    )
