"""Linear models of pairs of items, beside a network: the wide part to its deep one."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy import linalg, sparse

from personalens.datasets.interactions import History, Interactions
from personalens.training.start_values import windowed_followers

PENALTY, MOST_ITEMS = 300.0, 4000
WINDOW, MOST_EVENTS = 20, 1_000_000
MOST_PARTNERS = 100
SHARES = (0.0, 0.05, 0.1, 0.2)
"""What a share is chosen from: the spread of pairs among the items against the network's."""


@dataclass(frozen=True, eq=False)
class ItemPairs:
    """How much having one item says for another, pair by pair.

    A network's vectors are narrow: 128 numbers cannot tell every pair of a thousand items apart,
    a number for each pair can.

    References
    ----------
    Cheng et al., "Wide & Deep Learning for Recommender Systems", DLRS 2016.
    """

    weights: sparse.csr_array  # (items, items): a row's item speaks for those of the columns
    recency: float  # the newest item of a history counts 1, the one before this, then its square

    def score(self, histories: Sequence[History]) -> np.ndarray:
        """Return (histories, items) float32; 0 for what a user has had already: whether people
        come back, the network knows better."""
        lengths = [len(history) for history in histories]
        owner = np.repeat(np.arange(len(histories)), lengths)
        codes = np.concatenate([history.item_codes for history in histories])
        age = np.concatenate([np.arange(length)[::-1] for length in lengths])
        shape = (len(histories), self.weights.shape[0])
        shares = (self.recency**age).astype(np.float32)
        had = sparse.csr_array((shares, (owner, codes)), shape=shape)
        scores = np.asarray((had @ self.weights).toarray(), np.float32)
        scores[owner, codes] = 0.0
        return scores

    def spread_like(self, scores: np.ndarray, histories: Sequence[History]) -> np.ndarray:
        """Return these scores with mean 0 and, among a row's items, the spread of ``scores``."""
        own = self.score(histories)
        spread = own.std(axis=1, keepdims=True)
        like = scores.std(axis=1, keepdims=True) / np.maximum(spread, np.finfo(np.float32).tiny)
        return (own - own.mean(axis=1, keepdims=True)) * np.where(spread > 0, like, 0.0)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the weights as arrays, for a model's file."""
        table = self.weights
        return {
            "values": table.data,
            "columns": table.indices,
            "borders": table.indptr,
            "recency": np.array([self.recency]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Take back what :meth:`to_arrays` gave."""
        size = len(arrays["borders"]) - 1
        parts = (arrays["values"], arrays["columns"], arrays["borders"])
        return cls(sparse.csr_array(parts, shape=(size, size)), float(arrays["recency"][0]))


def pairs_had_together(interactions: Interactions, *, penalty: float = PENALTY) -> ItemPairs:
    """Return which items the same users have had: a linear autoencoder in closed form.

    B = I - P / diag(P), with P = (X'X + penalty I)^-1 for the (users, items) matrix X of ones. Of
    each item the hundred partners that say most for it stay. Only the 4,000 most popular items have
    any, which bounds time and memory (some seconds, 200 MB).

    References
    ----------
    Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019.
    """
    size = len(interactions.items)
    counts = np.bincount(interactions.item_codes, minlength=size)
    chosen = np.argsort(-counts, kind="stable")[: min(MOST_ITEMS, np.count_nonzero(counts))]
    ones = np.ones(len(interactions), np.float32)
    places = (interactions.user_codes, interactions.item_codes)
    had = sparse.csr_array((ones, places), shape=(len(interactions.users), size))[:, chosen]
    had.data[:] = 1.0
    gram = (had.T @ had).toarray()
    gram[np.diag_indices_from(gram)] += penalty
    inverse = linalg.inv(gram, overwrite_a=True, check_finite=False)
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    strongest = _largest(sparse.csr_array(weights.T)).tocoo()
    pairs = (chosen[strongest.col], chosen[strongest.row])
    return ItemPairs(sparse.csr_array((strongest.data, pairs), shape=(size, size)), recency=0.95)


def pairs_in_order(interactions: Interactions) -> ItemPairs:
    """Return which items follow which: how often one stood up to twenty events after the other.

    A count at distance d is worth 0.95 ^ (d - 1); it is divided by the root of the first item's
    events, and by the second's to the power 0.3, so that what follows everything says less. Of each
    item the hundred strongest followers stay. Of more than a million events the newest histories'
    stand for all.

    References
    ----------
    Kamehkhosh, Jannach and Ludewig, "A comparison of frequent pattern techniques and a deep
    learning method for session-based recommendation", 2017 (sequential rules with decay).
    """
    size = len(interactions.items)
    events = _newest_histories(interactions, MOST_EVENTS)
    counts = np.maximum(np.bincount(events.item_codes, minlength=size), 1.0)
    followers = windowed_followers(events.item_codes, events.offsets, size, reach=WINDOW)
    table = sparse.diags_array(counts**-0.5) @ followers @ sparse.diags_array(counts**-0.3)
    return ItemPairs(_largest(sparse.csr_array(table).astype(np.float32)), recency=0.9)


@dataclass(frozen=True, eq=False)
class WidePart:
    """Several models of pairs, and how much each counts beside a network."""

    pairs: tuple[ItemPairs, ...]
    shares: tuple[float, ...]

    def add_to(self, scores: np.ndarray, histories: Sequence[History]) -> np.ndarray:
        """Return a network's scores (histories, items) with those of the pairs added."""
        whole = scores
        for pairs, share in zip(self.pairs, self.shares, strict=True):
            if share:
                whole = whole + share * pairs.spread_like(scores, histories)
        return whole

    def to_arrays(self) -> dict[str, Any]:
        """Return the pairs and shares as a tree of arrays, for a model's file."""
        pairs = {str(number): each.to_arrays() for number, each in enumerate(self.pairs)}
        return {"pairs": pairs, "shares": np.array(self.shares)}

    @classmethod
    def from_arrays(cls, tree: Mapping[str, Any]) -> Self:
        """Take back what :meth:`to_arrays` gave."""
        shares = tuple(tree["shares"].tolist())
        kept = (tree["pairs"][str(number)] for number in range(len(shares)))
        return cls(tuple(ItemPairs.from_arrays(arrays) for arrays in kept), shares)


def combinations(count: int) -> list[tuple[float, ...]]:
    """Return every choice of shares for so many models of pairs; none at all comes first."""
    return list(itertools.product(SHARES, repeat=count))


def gains(
    pairs: Sequence[ItemPairs],
    scores: np.ndarray,
    histories: Sequence[History],
    targets: np.ndarray,
) -> np.ndarray:
    """Return NDCG@10 of each target for each of :func:`combinations`: (combinations, n). The pairs
    must not have been learned from the targets; ``scores`` (n, items) are those of the network."""
    spread = [each.spread_like(scores, histories) for each in pairs]
    found = []
    for shares in combinations(len(pairs)):
        mixed = scores + sum(share * own for share, own in zip(shares, spread, strict=True))
        ranks = (mixed > np.take_along_axis(mixed, targets[:, None], 1)).sum(axis=1)
        found.append(np.where(ranks < 10, 1.0 / np.log2(ranks + 2.0), 0.0))
    return np.array(found)


def nearly_best(gains: np.ndarray) -> int:
    """Return the first of several choices that is not clearly worse than the best, by what each
    gains on the same n questions, (choices, n).

    Clearly is by more than a standard error of their difference. The highest of many figures is
    also the one with most luck, so the choices stand in the order in which they are preferred.

    References
    ----------
    Breiman, Friedman, Olshen and Stone, "Classification and Regression Trees", 1984 (the rule of
    one standard error).

    Examples
    --------
    >>> nearly_best(np.array([[0.0, 0.5, 1.0], [0.0, 1.0, 0.6], [0.4, 0.9, 1.2]]))
    2
    >>> nearly_best(np.array([[0.0, 0.5, 1.0], [0.0, 0.4, 1.2]]))
    0
    """
    behind = gains[gains.mean(axis=1).argmax()] - gains
    errors = behind.std(axis=1) / np.sqrt(behind.shape[1])
    return int((behind.mean(axis=1) <= errors).argmax())


def _largest(table: sparse.csr_array, count: int | None = None) -> sparse.csr_array:
    """Return a table with only the ``count`` largest magnitudes of each row."""
    count = MOST_PARTNERS if count is None else count
    row = np.repeat(np.arange(table.shape[0]), np.diff(table.indptr))
    order = np.lexsort((table.indices, -np.abs(table.data), row))
    place = np.arange(len(row)) - table.indptr[row]  # order keeps the rows together
    kept = order[place < count]
    parts = (table.data[kept], (row[kept], table.indices[kept]))
    return sparse.csr_array(parts, shape=table.shape)


def _newest_histories(interactions: Interactions, limit: int) -> Interactions:
    """Return the events of the users who were there last, about ``limit`` events of them."""
    if len(interactions) <= limit:
        return interactions
    lengths = np.diff(interactions.offsets)
    newest = np.full(len(lengths), np.iinfo(np.int64).min)
    np.maximum.at(newest, interactions.user_codes, interactions.timestamps)
    order = np.argsort(-newest, kind="stable")
    chosen = np.zeros(len(lengths), bool)
    chosen[order[np.cumsum(lengths[order]) <= limit]] = True
    return interactions.select(chosen[interactions.user_codes])
