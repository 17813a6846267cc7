"""The items that most users share with each item: exact, in bounded memory, on several threads.

The counts c(i, j) of users who had both items are the product X'X of the (users, items) matrix of
ones. As a whole it does not fit (50,000 items: up to 20 GB), and of each row only the best k are
wanted. So a few rows at a time are counted, ranked and cut. How a row is counted depends on it:

* few pairs (users of the item times their items): gather the items of all its users, sort them, and
  count runs. The numbers stay in the processor's cache, and sorting them takes a few instructions
  each.
* many pairs, as with popular items: scipy's sparse product, whose cost per pair falls as the row
  fills up.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from personalens.evaluation.ranking_metrics import NOTHING, top_k_matrix
from personalens.progress import Progress, ProgressEvent, ignore_progress
from personalens.recipes.base import Recipe

NEIGHBOURS = 500
"""Related items kept for each item: as many as GetRecommendations can return."""
PAIRS_AT_ONCE = 100_000
"""Pairs counted by sorting in one go: their arrays stay in the second-level cache."""
COUNTS_AT_ONCE = 2_000_000
"""Counts that one sparse product may return: 16 MB."""
STAGE = "relating items"
_Counts = tuple[np.ndarray, np.ndarray, np.ndarray]  # row starts, item codes, users in common
_Rows = tuple[np.ndarray, np.ndarray, np.ndarray]  # row lengths, item codes, similarities


class RelatedItemsRecipe(Recipe):
    """Base of the recipes that answer with an item's neighbours.

    A list is filled up with popular items behind the related ones, and consists of popular items
    where the item is unknown or has no neighbours. The item itself is never in its list.
    """

    recipe_type = "RELATED_ITEMS"

    neighbours_: sparse.csr_array  # (items, items), at most NEIGHBOURS a row, best first, above 0
    popularity_: np.ndarray  # as PopularityCount has it

    def neighbours(self, item_code: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the codes of an item's neighbours and how near they are, best first."""
        own = slice(*self.neighbours_.indptr[item_code : item_code + 2])
        return self.neighbours_.indices[own], self.neighbours_.data[own]

    def _score_related(self, item_codes: np.ndarray) -> np.ndarray:
        # Popular items lie in (-1, 0), below every neighbour.
        fallback = (self.popularity_ / (self.popularity_.max() + 1) - 1).astype(np.float32)
        scores = np.tile(fallback, (len(item_codes), 1))
        for row, code in enumerate(item_codes):
            if code >= 0:
                columns, values = self.neighbours(code)
                scores[row, columns] = values
                scores[row, code] = -np.inf
        return scores

    def _tensors(self) -> dict[str, np.ndarray]:
        return {
            "popularity": self.popularity_,
            "neighbours.indptr": self.neighbours_.indptr,
            "neighbours.indices": self.neighbours_.indices,
            "neighbours.data": self.neighbours_.data,
        }

    def _restore(self, tensors: dict[str, np.ndarray]) -> None:
        self.popularity_ = tensors["popularity"]
        parts = tuple(tensors[f"neighbours.{name}"] for name in ("data", "indices", "indptr"))
        self.neighbours_ = sparse.csr_array(parts, shape=(len(self.items_),) * 2)


def user_item_matrix(
    user_codes: np.ndarray, item_codes: np.ndarray, shape: tuple[int, int]
) -> sparse.csr_array:
    """Return the (users, items) matrix with a one where a user had an item, however often."""
    ones = np.ones(len(user_codes), np.int32)
    matrix = sparse.csr_array((ones, (user_codes, item_codes)), shape=shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def related_items(
    matrix: sparse.csr_array,
    *,
    discount: float,
    min_shared_users: int,
    k: int,
    threads: int | None = None,
    progress: Progress = ignore_progress,
) -> sparse.csr_array:
    """Return the ``k`` most similar items of each item, (items, items) sparse float32.

    ``matrix`` is that of :func:`user_item_matrix`. The similarity is ``c(i, j) / (n(i)^(1-d) *
    n(j)^d)``, with c the users in common, n the users of one item and d the discount. Rows are best
    first, equal similarities in the order of the codes; the diagonal is empty. The number of
    threads (default: as many as this process may use) does not change the answer.
    """
    counter = _PairCounter(matrix)
    users = np.maximum(np.bincount(matrix.indices, minlength=matrix.shape[1]), 1.0)
    choose = _Choice(
        weights=(users**-discount).astype(np.float32),
        scale=(users ** (discount - 1.0)).astype(np.float32),
        min_shared_users=max(min_shared_users, 1),
        k=k,
    )
    blocks = counter.blocks()

    def best(block: _Block) -> _Rows:
        return choose.best(block.items, counter.counts(block))

    parts = []
    with ThreadPoolExecutor(threads or len(os.sched_getaffinity(0))) as pool:
        try:
            for part in pool.map(best, blocks):
                parts.append(part)
                if len(parts) % max(len(blocks) // 100, 1) == 0 or len(parts) == len(blocks):
                    progress(ProgressEvent(STAGE, len(parts) / len(blocks)))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return _in_item_order(np.concatenate([block.items for block in blocks]), parts)


def best_scored(
    scores_of: Callable[[np.ndarray], np.ndarray],
    items: int,
    *,
    k: int,
    progress: Progress = ignore_progress,
) -> sparse.csr_array:
    """Return the ``k`` best scored items of each item, (items, items) sparse float32, best first.

    ``scores_of`` gives the scores of a block of items, ascending codes, against all: (B, items).
    Only scores above 0 count, and never an item's own.
    """
    progress(ProgressEvent(STAGE, 0.0))
    size = max(COUNTS_AT_ONCE // items, 1)
    parts: list[_Rows] = []
    for start in range(0, items, size):
        block = np.arange(start, min(start + size, items))
        scores = np.array(scores_of(block), np.float32)
        scores[np.arange(len(block)), block] = 0.0
        scores[scores <= 0] = -np.inf
        best = top_k_matrix(scores, k)
        listed = best != NOTHING
        values = np.take_along_axis(scores, np.maximum(best, 0), axis=1)[listed]
        parts.append((listed.sum(axis=1), best[listed].astype(np.int32), values))
        progress(ProgressEvent(STAGE, (block[-1] + 1) / items))
    return _in_item_order(np.arange(items), parts)


@dataclass(frozen=True, eq=False)
class _Block:
    """Items that are counted together: where they are in ``users_of``, and how to count them."""

    items: np.ndarray
    rows: slice
    by_sorting: bool


class _PairCounter:
    """Counts users in common, for a block of items at a time."""

    def __init__(self, matrix: sparse.csr_array):
        users_of = matrix.T.tocsr()
        # In the order of the items' pairs a block's rows are alike in length, and those that are
        # counted by sorting come first.
        pairs = users_of @ np.diff(matrix.indptr).astype(np.int64)
        self._is_few = pairs <= matrix.shape[1]
        self._items = np.argsort(pairs, kind="stable")
        self._pairs = pairs[self._items]
        self.users_of = users_of[self._items]
        self._items_of = matrix
        # The same with one byte for each one: less to copy.
        ones = np.ones(matrix.nnz, np.int8)
        self._items_of_small = sparse.csr_array(
            (ones, matrix.indices, matrix.indptr), shape=matrix.shape
        )

    def blocks(self) -> list[_Block]:
        """Return the blocks that together hold each item once."""
        few = int(np.count_nonzero(self._is_few))
        block_of = np.cumsum(self._pairs[:few]) // PAIRS_AT_ONCE
        sorted_ends = [*(np.flatnonzero(np.diff(block_of)) + 1), few]
        rows = max(COUNTS_AT_ONCE // max(len(self._items), 1), 1)
        ends = [*range(few + rows, len(self._items), rows), len(self._items)]
        blocks, start = [], 0
        for end in [*sorted_ends, *ends]:
            if end > start:
                rows_here = slice(start, int(end))
                blocks.append(_Block(self._items[rows_here], rows_here, end <= few))
                start = int(end)
        return blocks

    def counts(self, block: _Block) -> _Counts:
        """Return the users in common of a block's items with every item."""
        if block.by_sorting:
            return self._by_sorting(block.rows)
        product = self.users_of[block.rows] @ self._items_of
        return product.indptr, product.indices, product.data

    def _by_sorting(self, rows: slice) -> _Counts:
        ends = self.users_of.indptr[rows.start : rows.stop + 1]
        gathered = self._items_of_small[self.users_of.indices[ends[0] : ends[-1]]]
        # One number for row and item, so that one sort brings equal pairs together.
        row_count, width = rows.stop - rows.start, self._items_of.shape[1]
        kind = np.int32 if row_count * width < 2**31 else np.int64
        first = np.arange(row_count + 1, dtype=np.int64) * width  # of each row
        pairs = gathered.indices.astype(kind, copy=False)
        pairs += np.repeat(first[:-1].astype(kind), np.diff(gathered.indptr[ends - ends[0]]))
        pairs.sort()
        is_new = np.ones(len(pairs) + 1, bool)
        np.not_equal(pairs[1:], pairs[:-1], out=is_new[1:-1])
        runs = np.flatnonzero(is_new)
        distinct = pairs[runs[:-1]]
        starts = np.searchsorted(distinct, first)
        distinct -= np.repeat(first[:-1].astype(kind), np.diff(starts))
        return starts, distinct, np.diff(runs)


@dataclass(frozen=True, eq=False)
class _Choice:
    """Which of the counted pairs are kept."""

    weights: np.ndarray  # (items,) of the related item
    scale: np.ndarray  # (items,) of the item that is asked about
    min_shared_users: int
    k: int

    def best(self, items: np.ndarray, counts: _Counts) -> _Rows:
        """Return the lengths of the items' rows, and their codes and similarities, best first."""
        starts, codes, shared = counts
        if self.min_shared_users > 1:
            enough = np.flatnonzero(shared >= self.min_shared_users)
            starts = np.searchsorted(enough, starts)
            codes, shared = codes[enough], shared[enough]
        lengths = np.diff(starts)
        table = np.zeros((len(items), max(int(lengths.max()), 1)), np.uint64)
        table[np.arange(table.shape[1]) < lengths[:, None]] = self._packed(
            codes, shared, np.repeat(items, lengths)
        )
        if table.shape[1] > self.k:
            table.partition(table.shape[1] - self.k, axis=1)
            table = table[:, -self.k :]
        table = np.sort(table, axis=1)[:, ::-1]
        chosen = table != 0
        lengths, best = chosen.sum(axis=1), table[chosen]
        values = (best >> np.uint64(32)).astype(np.uint32).view(np.float32)
        columns = (~best.astype(np.uint32)).astype(np.int32)
        return lengths, columns, values * np.repeat(self.scale[items], lengths)

    def _packed(self, codes: np.ndarray, shared: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """Return similarity and item in one integer each, 0 for the item that is asked about.

        The bits of a positive float order like the float; below them the inverted code puts the
        lower code first among equals. So choosing among the integers settles ties as well.
        """
        similarity = shared.astype(np.float32)
        similarity *= self.weights[codes]
        packed = similarity.view(np.uint32).astype(np.uint64)
        packed <<= np.uint64(32)
        packed |= ~codes.astype(np.uint32)
        packed[codes == asked] = 0
        return packed


def _in_item_order(items: np.ndarray, parts: list[_Rows]) -> sparse.csr_array:
    """Put rows that were done in the order of ``items`` into one matrix, row i for item i."""
    lengths, columns, values = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    starts = np.concatenate([[0], np.cumsum(lengths)])
    if starts[-1] < 2**31:
        starts = starts.astype(np.int32)
    matrix = sparse.csr_array((values, columns, starts), shape=(len(items), len(items)))
    return matrix[np.argsort(items)]
