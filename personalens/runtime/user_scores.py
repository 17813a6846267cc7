"""Scores that were computed a moment ago: a user who asks again has not changed in between.

A recurrent model reads a whole history to answer once. The scores that come out depend on the model
and the history alone, so they are kept until either changes or the room is needed.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

import numpy as np

from personalens.recipes.base import Recipe
from personalens.runtime.joint_scoring import JointScoring
from personalens.runtime.user_histories import UserState
from personalens.runtime.waiting import about_to_wait

DEFAULT_BYTES = 64_000_000


class UserScores:
    """The newest score vectors, by solution version and revision of the user's history.

    Parameters
    ----------
    capacity_bytes
        What the vectors may take together; the ones asked for longest ago go first. One user of a
        catalogue of 10,000 items takes 40 kB.
    """

    def __init__(self, capacity_bytes: int = DEFAULT_BYTES):
        self._capacity = capacity_bytes
        self._vectors: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._scoring = JointScoring()

    def __len__(self) -> int:
        return len(self._vectors)

    def of(self, model: Recipe, version_arn: str, state: UserState) -> np.ndarray:
        """Return the scores of all items for a user, (len(model.items_),); do not write to them."""
        key = (version_arn, state.revision)
        with self._lock:
            if key in self._vectors:
                self._vectors.move_to_end(key)
                return self._vectors[key]
        about_to_wait()
        scores = self._scoring.score(model, state.history)
        with self._lock:
            self._keep(key, scores)
        return scores

    def _keep(self, key: Hashable, scores: np.ndarray) -> None:
        if key not in self._vectors:
            self._vectors[key] = scores
            self._bytes += scores.nbytes
        while self._bytes > self._capacity:
            self._bytes -= self._vectors.popitem(last=False)[1].nbytes
