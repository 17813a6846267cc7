"""Ranked lists as a table, for any number of queries in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from numbers import Integral

import numpy as np
import pandas as pd

from personalens.datasets.id_maps import UNKNOWN, IdMap, id_list, one_id
from personalens.datasets.interactions import ITEM_ID, USER_ID
from personalens.evaluation.ranking_metrics import NOTHING, top_k_matrix

SCORE, RANK = "SCORE", "RANK"
_SCORES_AT_ONCE = 8_000_000


def ranked_table(
    key: str,
    queries: Sequence[str],
    scores_of: Callable[[list[str]], np.ndarray],
    items: IdMap,
    k: int,
    *,
    argument: str = "users",
    answer: str = ITEM_ID,
) -> pd.DataFrame:
    """Return the best ``k`` items of each query: ``key``, ``answer``, SCORE, RANK (from 1).

    ``scores_of`` gives the scores of a batch of queries, (B, items); -inf leaves an item out.
    ``argument`` is what the caller calls the queries, for messages.
    """
    check_k(k)
    queries = id_list(queries, argument)
    codes, values, lengths = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)], [0]
    for batch in _batches(queries, len(items)):
        scores = scores_of(batch)
        best = top_k_matrix(scores, k)  # (B, k)
        listed = best != NOTHING
        codes.append(best[listed])
        values.append(np.take_along_axis(scores, np.maximum(best, 0), axis=1)[listed])
        lengths.extend(listed.sum(axis=1))
    lengths = np.array(lengths[1:], dtype=np.int64)
    before = np.repeat(np.cumsum(lengths) - lengths, lengths)
    return pd.DataFrame(
        {
            key: np.repeat(np.array(queries, dtype=object), lengths),
            answer: items.decode(np.concatenate(codes)),
            SCORE: np.concatenate(values),
            RANK: np.arange(len(before)) - before + 1,
        }
    )


def ranking_table(
    user: str, wanted: Sequence[str], scores: np.ndarray, items: IdMap
) -> pd.DataFrame:
    """Return the wanted items by their scores: USER_ID, ITEM_ID, SCORE, RANK (from 1).

    An item named twice comes once; items that the vocabulary lacks follow at the end in the given
    order, with SCORE NaN.
    """
    distinct = np.array(list(dict.fromkeys(id_list(wanted, "items"))), dtype=object)
    codes = items.encode(distinct)
    values = np.where(codes == UNKNOWN, np.nan, scores[np.maximum(codes, 0)])
    # Known items by score, ties by code, as in every ranking; then the unknown.
    order = np.lexsort((codes, -np.nan_to_num(values), codes == UNKNOWN))
    return pd.DataFrame(
        {
            USER_ID: [one_id(user, "user")] * len(distinct),
            ITEM_ID: distinct[order],
            SCORE: values[order],
            RANK: np.arange(1, len(distinct) + 1),
        }
    )


def check_k(k: int) -> None:
    """Raise unless ``k`` is the length of a list."""
    if not isinstance(k, Integral):
        raise TypeError(f"k must be a whole number of 1 or more, not {k!r}")
    if k < 1:
        raise ValueError(f"k is {k}; ask for at least 1")


def _batches(queries: list[str], catalogue: int) -> Iterator[list[str]]:
    """Cut so that one batch's scores stay at about 32 MB."""
    size = int(np.clip(_SCORES_AT_ONCE // max(catalogue, 1), 1, 1024))
    for start in range(0, len(queries), size):
        yield queries[start : start + size]
