"""A linear model of which items are had together, beside a network: the wide to its deep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import linalg, sparse

from personalens.datasets.histories import History
from personalens.datasets.interactions import Interactions

PENALTY = 300.0
MOST_ITEMS, MOST_PARTNERS = 4000, 100
SHARES = (0.0, 0.05, 0.1, 0.15, 0.2)
"""What a share is chosen from: the wide part's spread among the items against the network's."""


@dataclass(frozen=True, eq=False)
class ItemPairs:
    """How much having one item says for another, pair by pair.

    A network's vectors are narrow: 128 numbers cannot tell every pair of a thousand items apart.
    The weights of a linear autoencoder can, B = I - P / diag(P), with P = (X'X + penalty I)^-1 for
    the (users, items) matrix X of ones. It knows nothing of order, which the network does.

    Attributes
    ----------
    weights
        (items, items) sparse: for each item the hundred that say most about it. Only the 4,000 most
        popular items have any, which bounds time and memory (some seconds, 200 MB).

    References
    ----------
    Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019. Cheng et al., "Wide &
    Deep Learning for Recommender Systems", DLRS 2016.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [(u, i) for u in range(9) for i in ("ab" if u % 3 else "cd")]
    >>> frame = pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID"]).assign(TIMESTAMP=0)
    >>> pairs = ItemPairs.learn(Interactions.from_frame(frame), penalty=1.0)
    >>> pairs.score([History(np.array([0]), np.array([0]))]).astype(float).round(2).tolist()
    [[0.0, 0.86, 0.0, 0.0]]
    """

    weights: sparse.csr_array

    @classmethod
    def learn(cls, interactions: Interactions, *, penalty: float = PENALTY) -> Self:
        """Learn from who has had what."""
        size = len(interactions.items)
        counts = np.bincount(interactions.item_codes, minlength=size)
        chosen = np.argsort(-counts, kind="stable")[: min(MOST_ITEMS, np.count_nonzero(counts))]
        ones = np.ones(len(interactions), np.float32)
        places = (interactions.user_codes, interactions.item_codes)
        had = sparse.csr_array((ones, places), shape=(len(interactions.users), size))
        had = had[:, chosen]
        had.data[:] = 1.0
        gram = (had.T @ had).toarray().astype(np.float32)
        gram[np.diag_indices_from(gram)] += penalty
        inverse = linalg.inv(gram, overwrite_a=True, check_finite=False)
        weights = inverse / -np.diag(inverse)
        np.fill_diagonal(weights, 0.0)
        _keep_largest(weights, MOST_PARTNERS)
        table = sparse.coo_array(weights)
        pairs = (chosen[table.row], chosen[table.col])
        return cls(sparse.csr_array((table.data, pairs), shape=(size, size)))

    def score(self, histories: Sequence[History]) -> np.ndarray:
        """Return (histories, items) float32; 0 for what a user has had already."""
        owner = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
        codes = np.concatenate([history.item_codes for history in histories])
        shape = (len(histories), self.weights.shape[0])
        had = sparse.csr_array((np.ones(len(codes), np.float32), (owner, codes)), shape=shape)
        had.data[:] = 1.0
        scores = np.asarray((had @ self.weights).toarray(), np.float32)
        scores[owner, codes] = 0.0
        return scores

    def add_to(self, scores: np.ndarray, histories: Sequence[History], share: float) -> np.ndarray:
        """Return a network's scores (histories, items) plus these, brought to ``share`` times the
        network's spread among the items."""
        return scores + share * self.spread_like(scores, histories) if share else scores

    def spread_like(self, scores: np.ndarray, histories: Sequence[History]) -> np.ndarray:
        """Return these scores with mean 0 and, among a row's items, the spread of ``scores``."""
        own = self.score(histories)
        spread = own.std(axis=1, keepdims=True)
        like = scores.std(axis=1, keepdims=True) / np.maximum(spread, np.finfo(np.float32).tiny)
        return (own - own.mean(axis=1, keepdims=True)) * np.where(spread > 0, like, 0.0)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the weights as arrays, for a model's file."""
        table = self.weights
        return {"values": table.data, "columns": table.indices, "borders": table.indptr}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Take back what :meth:`to_arrays` gave."""
        size = len(arrays["borders"]) - 1
        parts = (arrays["values"], arrays["columns"], arrays["borders"])
        return cls(sparse.csr_array(parts, shape=(size, size)))


def gains_of_shares(
    pairs: ItemPairs, scores: np.ndarray, histories: Sequence[History], targets: np.ndarray
) -> np.ndarray:
    """Return (len(SHARES),): the sums of NDCG@10 of the targets with each share of the pairs.

    Parameters
    ----------
    pairs
        Learned without the targets.
    scores
        (n, items) of the network.
    histories, targets
        What came before, and the item that followed.
    """
    own = pairs.spread_like(scores, histories)
    gains = []
    for share in SHARES:
        mixed = scores + share * own
        ranks = (mixed > np.take_along_axis(mixed, targets[:, None], 1)).sum(axis=1)
        gains.append(np.where(ranks < 10, 1.0 / np.log2(ranks + 2.0), 0.0).sum())
    return np.array(gains)


def _keep_largest(weights: np.ndarray, count: int) -> None:
    """Set all but the ``count`` largest magnitudes of each column to zero."""
    if count >= len(weights):
        return
    for column in weights.T:
        size = np.abs(column)
        column[size < np.partition(size, len(size) - count)[len(size) - count]] = 0.0
