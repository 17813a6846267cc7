"""LensKit: neighbours of items and matrix factorisation for implicit feedback.

Ekstrand, "LensKit for Python", CIKM 2020; https://lkpy.lenskit.org. Asked with the history known at
each question, so users it has not trained on are answered too.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from lenskit import recommend, topn_pipeline
from lenskit.als import ImplicitMFScorer
from lenskit.data import ItemList, RecQuery, from_interactions_df
from lenskit.knn import ItemKNNScorer
from lenskit.training import TrainingOptions

from benchmarks.peers.exchange import LIST_LENGTH, NOTHING, Answer, Task, answer_job


def trainer(make: Callable[..., Any]) -> Callable[..., Answer]:
    """Return a training of one of LensKit's scorers, in its own top-N pipeline."""

    def train(task: Task, seed: int, **setting: Any) -> Answer:
        frame = pd.DataFrame({"user_id": task.user_codes, "item_id": task.item_codes})
        data = from_interactions_df(frame.drop_duplicates())
        pipeline = topn_pipeline(make(**setting), n=LIST_LENGTH)
        pipeline.train(data, TrainingOptions(rng=seed))

        trained = np.unique(task.item_codes)

        def answer() -> np.ndarray:
            lists = np.full((len(task), LIST_LENGTH), NOTHING)
            for question in range(len(task)):
                # The user's own row is left out of the query: the history is what counts.
                known = ItemList(item_ids=np.intersect1d(task.history(question), trained))
                best = recommend(pipeline, RecQuery(history_items=known), LIST_LENGTH)
                lists[question, : len(best)] = best.ids()
            return lists

        return answer

    return train


TRAININGS = {
    "ItemKNN": trainer(lambda **setting: ItemKNNScorer(feedback="implicit", **setting)),
    "ImplicitMF": trainer(ImplicitMFScorer),
}

if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    answer_job(TRAININGS, ["lenskit", "numpy"])
