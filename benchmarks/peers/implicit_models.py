"""implicit: matrix factorisation (ALS, BPR) and neighbours of items (cosine, TF-IDF, BM25).

Frederickson, https://github.com/benfred/implicit. Asked as its documentation shows: with the user's
row of events, which its own recommend() leaves out of the list.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender
from scipy import sparse

from benchmarks.peers.exchange import LIST_LENGTH, NOTHING, Answer, Task, answer_job

THREADS = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))


def matrix(users: np.ndarray, items: np.ndarray, shape: tuple[int, int]) -> sparse.csr_matrix:
    """Return a (users, items) matrix of ones."""
    ones = sparse.csr_matrix((np.ones(len(users), np.float32), (users, items)), shape=shape)
    ones.sum_duplicates()
    ones.data[:] = 1
    return ones


def histories(task: Task) -> sparse.csr_matrix:
    """Return a (questions, items) matrix of what is known at each question."""
    rows = np.repeat(np.arange(len(task)), np.diff(task.offsets))
    return matrix(rows, task.history_items, (len(task), int(task.sizes[1])))


def trainer(make: Callable[..., Any], *, folds_in: bool, takes_seed: bool) -> Callable[..., Answer]:
    """Return a training; a model that folds in reads a question's history, as for a new user."""

    def train(task: Task, seed: int, **setting: Any) -> Answer:
        extra = {"random_state": seed} if takes_seed else {}
        model = make(num_threads=THREADS, **setting, **extra)
        events = matrix(task.user_codes, task.item_codes, tuple(task.sizes))
        model.fit(events, show_progress=False)

        def answer() -> np.ndarray:
            how = {"recalculate_user": True} if folds_in else {}
            users = np.arange(len(task)) if folds_in else task.askers
            return model.recommend(users, histories(task), N=LIST_LENGTH, **how)[0]

        return answer

    return train


def train_neighbours(make: Callable[..., Any]) -> Callable[..., Answer]:
    """Return a training of neighbours; a list is of what is near the items of the history."""

    def train(task: Task, seed: int, **setting: Any) -> Answer:
        model = make(num_threads=THREADS, **setting)
        events = matrix(task.user_codes, task.item_codes, tuple(task.sizes))
        model.fit(events, show_progress=False)

        def answer() -> np.ndarray:
            lists, scores = model.recommend(
                np.arange(len(task)), histories(task), N=LIST_LENGTH, recalculate_user=True
            )
            return np.where(scores > 0, lists, NOTHING)  # where neighbours run out, it fills up

        return answer

    return train


TRAININGS = {
    "ALS": trainer(AlternatingLeastSquares, folds_in=True, takes_seed=True),
    "BPR": trainer(BayesianPersonalizedRanking, folds_in=False, takes_seed=True),
    "cosine": train_neighbours(CosineRecommender),
    "BM25": train_neighbours(BM25Recommender),
    "TF-IDF": train_neighbours(TFIDFRecommender),
}

if __name__ == "__main__":
    answer_job(TRAININGS, ["implicit", "numpy", "scipy"])
