"""Scores that were computed a moment ago: a user who asks again has not changed in between.

A recurrent model reads a whole history to answer once. The scores that come out depend on the model
and the history alone, so they are kept until either changes or the room is needed.
"""

from __future__ import annotations

from personalens.recipes.base import Recipe
from personalens.runtime.joint_scoring import JointScoring
from personalens.runtime.recent_values import RecentValues
from personalens.runtime.score_vector import ScoreVector
from personalens.runtime.user_histories import UserState
from personalens.runtime.waiting import about_to_wait

DEFAULT_BYTES = 400_000_000
"""A thousand users of a catalogue of 100,000 items; small catalogues never come near it."""


class UserScores:
    """The newest score vectors, by solution version and revision of the user's history.

    Parameters
    ----------
    capacity_bytes
        What the vectors may take together; the ones asked for longest ago go first. One user of a
        catalogue of 10,000 items takes 40 kB.
    """

    def __init__(self, capacity_bytes: int = DEFAULT_BYTES):
        self._vectors: RecentValues[ScoreVector] = RecentValues(
            capacity_bytes, lambda vector: vector.values.nbytes
        )
        self._scoring = JointScoring()

    def __len__(self) -> int:
        return len(self._vectors)

    def of(self, model: Recipe, version_arn: str, state: UserState) -> ScoreVector:
        """Return the scores of all items for a user."""
        key = (version_arn, state.revision)
        if (kept := self._vectors.get(key)) is not None:
            return kept
        about_to_wait()
        scores = ScoreVector(self._scoring.score(model, state.history))
        self._vectors.keep(key, scores)
        return scores
