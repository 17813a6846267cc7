"""Strong simple models, to stand beside every neural result.

Each has ``fit(interactions)``, ``items_`` and ``score(histories)``, so :mod:`offline_report`
evaluates it like a recipe. They are not recipes: the service does not offer them. A network that
does not beat them has learned nothing that counting had not found: Ferrari Dacrema, Cremonesi and
Jannach, "Are we really making much progress?" (RecSys 2019).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Self

import numpy as np
from scipy import linalg, sparse

from personalens.datasets.id_maps import IdMap
from personalens.datasets.interactions import History, Interactions, histories_of


class Baseline(ABC):
    """Base: ``items_``, the items that occur in training, and histories as a sparse matrix."""

    items_: IdMap

    def fit(self, interactions: Interactions) -> Self:
        """Learn and return self."""
        interactions = interactions.compact()
        self.items_ = interactions.items
        self._fit(interactions)
        return self

    @abstractmethod
    def _fit(self, interactions: Interactions) -> None: ...

    @abstractmethod
    def score(self, histories: Sequence[History]) -> np.ndarray:
        """Return (len(histories), len(items_)) float32, higher is better."""

    def _matrix(self, histories: Sequence[History]) -> sparse.csr_array:
        """Return (histories, items) with a one for each item in a history."""
        weights = [np.ones(len(history), np.float32) for history in histories]
        matrix = _weighted(histories, weights, len(self.items_))
        matrix.data[:] = 1
        return matrix


class Popularity(Baseline):
    """Rank by number of events.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"USER_ID": list("1122"), "ITEM_ID": list("abbc"), "TIMESTAMP": 0})
    >>> events = Interactions.from_frame(frame)
    >>> Popularity().fit(events).score([History.empty()]).tolist()
    [[1.0, 2.0, 1.0]]
    """

    def _fit(self, interactions: Interactions) -> None:
        counts = np.bincount(interactions.item_codes, minlength=len(self.items_))
        self.counts_ = counts.astype(np.float32)

    def score(self, histories: Sequence[History]) -> np.ndarray:
        return np.broadcast_to(self.counts_, (len(histories), len(self.counts_)))


@dataclass(eq=False)
class EASE(Baseline):
    """A linear autoencoder in closed form: B = I - P / diag(P), with P = (X'X + penalty I)^-1.

    X is the (users, items) matrix of ones; a user's scores are x B. The diagonal of B is zero, so
    an item cannot explain itself. Time grows with the cube of the number of items, memory with its
    square: 10,000 items need 0.8 GB and ten seconds.

    Parameters
    ----------
    penalty
        Of squared weights. Larger for thinner data.

    References
    ----------
    Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019.
    """

    penalty: float = 100.0

    def _fit(self, interactions: Interactions) -> None:
        every_user = range(len(interactions.users))
        matrix = self._matrix(histories_of(interactions, every_user))
        gram = np.asarray((matrix.T @ matrix).todense(), dtype=np.float32)
        gram[np.diag_indices_from(gram)] += self.penalty
        inverse = linalg.inv(gram, overwrite_a=True, check_finite=False)
        weights = inverse / -np.diag(inverse)
        np.fill_diagonal(weights, 0.0)
        self.weights_ = weights

    def score(self, histories: Sequence[History]) -> np.ndarray:
        return self._matrix(histories) @ self.weights_


@dataclass(eq=False)
class Transitions(Baseline):
    """What tends to follow the user's latest items: a smoothed first-order Markov table.

    ``T[i, j]`` sums ``decay^(g-1)`` over every time that j came g events after i, for g up to
    ``window``, and is divided by the square root of i's number of events. A user's scores add the
    rows of the ``last`` items, the newest with weight 1, each older one with ``recency`` times the
    weight of the next, divided by the target's events to the power ``popularity_penalty``.

    Counting over a window instead of the next event alone is the smoothing: films watched in one
    evening come in no strict order. The strongest of the simple models on MovieLens.

    References
    ----------
    Rendle, Freudenthaler and Schmidt-Thieme, "Factorizing personalized Markov chains", WWW 2010
    (the table, there factorised); Kamehkhosh, Jannach and Ludewig, "A comparison of frequent
    pattern techniques and a deep learning method for session-based recommendation", 2017
    (sequential rules with decay).
    """

    window: int = 20
    _: KW_ONLY
    decay: float = 0.95
    last: int = 20
    recency: float = 0.9
    popularity_penalty: float = 0.3

    def _fit(self, interactions: Interactions) -> None:
        size = len(self.items_)
        users, items = interactions.user_codes, interactions.item_codes
        table = sparse.csr_array((size, size), dtype=np.float32)
        for gap in range(1, self.window + 1):
            same_user = users[gap:] == users[:-gap]
            earlier, later = items[:-gap][same_user], items[gap:][same_user]
            weights = np.full(len(earlier), self.decay ** (gap - 1), np.float32)
            table = table + sparse.csr_array((weights, (earlier, later)), shape=(size, size))
        counts = np.bincount(items, minlength=size).astype(np.float32)
        table = sparse.diags_array(counts**-0.5) @ table
        self.table_ = (table @ sparse.diags_array(counts**-self.popularity_penalty)).tocsr()

    def score(self, histories: Sequence[History]) -> np.ndarray:
        recent = [
            History(past.item_codes[-self.last :], past.timestamps[-self.last :])
            for past in histories
        ]
        weights = [self.recency ** np.arange(len(past) - 1, -1, -1.0) for past in recent]
        return (_weighted(recent, weights, len(self.items_)) @ self.table_).toarray()


def _weighted(
    histories: Sequence[History], weights: Sequence[np.ndarray], size: int
) -> sparse.csr_array:
    """Return (histories, items) with the weight of each event, those of one item added."""
    starts = np.concatenate([[0], np.cumsum([len(history) for history in histories])])
    codes = [history.item_codes for history in histories]
    matrix = sparse.csr_array(
        (
            np.concatenate([*weights, np.zeros(0)]).astype(np.float32),
            np.concatenate([*codes, np.zeros(0, np.int32)]).astype(np.int32),
            starts.astype(np.int32),
        ),
        shape=(len(histories), size),
    )
    matrix.sum_duplicates()
    return matrix
