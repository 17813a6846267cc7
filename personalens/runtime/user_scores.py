"""Scores that were computed a moment ago: a user who asks again has not changed in between.

A recurrent model reads a whole history to answer once. The scores that come out depend on the model
and the history alone, so they are kept until either changes or the room is needed.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

from personalens.datasets.histories import History
from personalens.recipes.base import Recipe
from personalens.runtime.recent_values import RecentValues
from personalens.runtime.score_vector import ScoreVector
from personalens.runtime.user_histories import UserState
from personalens.runtime.waiting import about_to_wait

MOST_TOGETHER = 64


@dataclass(eq=False)
class _Question:
    """A history that waits for its scores, or has them."""

    model: Recipe
    history: History
    scores: np.ndarray | None = None
    error: Exception | None = None


class JointScoring:
    """Scores histories for the threads of a process.

    Whoever comes while another thread scores waits, and the next one scores for all who wait for
    the same model. Alone, a thread scores at once.
    """

    def __init__(self) -> None:
        self._waiting: list[_Question] = []
        self._queue, self._turn = threading.Lock(), threading.Lock()

    def score(self, model: Recipe, history: History) -> np.ndarray:
        """Return the scores of all items, (len(model.items_),); do not write to them.

        In company the last bits may differ from those alone, as they do between batch sizes.
        """
        own = _Question(model, history)
        with self._queue:
            self._waiting.append(own)
        with self._turn:
            if own.scores is None and own.error is None:
                self._answer(self._together_with(own))
        if own.error is not None:
            raise own.error
        return own.scores

    def _together_with(self, own: _Question) -> list[_Question]:
        """Take own question, and others of the same model, from those that wait."""
        with self._queue:
            others = [q for q in self._waiting if q.model is own.model and q is not own]
            taken = [own, *others[: MOST_TOGETHER - 1]]
            self._waiting = [q for q in self._waiting if q not in taken]
        return taken

    def _answer(self, questions: list[_Question]) -> None:
        try:
            rows = questions[0].model.score([question.history for question in questions])
            for question, scores in zip(questions, rows, strict=True):
                question.scores = np.array(scores) if len(questions) > 1 else scores
        except Exception as error:
            for question in questions:
                question.error = error


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
