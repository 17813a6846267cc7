"""Our recipes and simple models, as a process of the accuracy benchmark; see peers/exchange.py.

The closed forms (EASE, windowed transition counts) stand here too; they are those of
personalens.evaluation.baselines.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np

from benchmarks.peers.exchange import LIST_LENGTH, NOTHING, Answer, answer_job, read_job
from benchmarks.splits import Round, Split, split_data
from personalens import datasets
from personalens.datasets.interactions import histories_before
from personalens.evaluation.baselines import EASE, Baseline, Popularity, Transitions
from personalens.evaluation.offline_report import ScoresHistories, question_scores
from personalens.evaluation.ranking_metrics import top_k_matrix
from personalens.recipes import registry
from personalens.training.options import TrainingOptions

SIMPLE = {"popularity": Popularity, "EASE": EASE, "transitions": Transitions}
SCORES_AT_ONCE = 4_000_000
TRAINING_OPTIONS = {option.name for option in fields(TrainingOptions)}


def train_simple(make: Callable[..., Baseline]) -> Callable[..., Answer]:
    """Return a training of a simple model, which knows no chance."""

    def train(a_round: Round, seed: int, **setting: Any) -> Answer:
        model = make(**setting).fit(a_round.train)
        return lambda: best_items(model, a_round)

    return train


def train_recipe(name: str, dataset: str) -> Callable[..., Answer]:
    """Return a training of a recipe with the service's defaults; metadata are offered to all.

    A setting's names are those of hyperparameters, or of options of the training loop.
    """

    def train(a_round: Round, seed: int, **setting: Any) -> Answer:
        entry = registry.get(name)
        tables = datasets.load(dataset)
        of_loop = {key: setting.pop(key) for key in TRAINING_OPTIONS & setting.keys()}
        options = {}
        if of_loop:
            options["training"] = replace(TrainingOptions.from_environment(), **of_loop)
        model = entry.recipe(entry.config(**setting), seed=seed, **options)
        model.fit(a_round.train, items=tables.items.drop(columns="TITLE"), users=tables.users)
        return lambda: best_items(model, a_round)

    return train


def best_items(model: ScoresHistories, a_round: Round) -> np.ndarray:
    """Return (questions, 25) codes in the data's vocabulary, without what was seen."""
    known, slices = a_round.known, a_round.slices()
    in_data = np.append(known.items.encode(model.items_.ids), NOTHING)
    last = model.items_.encode(known.items.decode(known.item_codes[a_round.stops - 1]))
    names, users = known.users.decode(a_round.users), getattr(model, "users_", None)
    size = max(1, SCORES_AT_ONCE // len(model.items_))
    lists = []
    for start in range(0, len(a_round), size):
        batch = slice(start, start + size)
        histories = histories_before(known, slices[batch], items=model.items_)
        if users is not None:
            told = zip(histories, names[batch], strict=True)
            histories = [replace(history, user=users.row(name)) for history, name in told]
        scores = question_scores(model, histories, last[batch], True)
        lists.append(in_data[top_k_matrix(scores, LIST_LENGTH)])  # NOTHING picks the appended one
    return np.concatenate(lists)


@functools.cache
def load_split(**split: Any) -> Split:
    """Split the data as the benchmark did."""
    return split_data(**split)


def load_round(job: dict[str, Any], run: dict[str, Any]) -> Round:
    """Return the round of one of a job's runs."""
    split = load_split(**job["split"])
    return split.validation if run["round"] == "validation" else split.rounds[run["round"]]


def main() -> None:
    trainings = {name: train_simple(make) for name, make in SIMPLE.items()}
    dataset = read_job()["split"]["dataset"]
    trainings |= {name: train_recipe(name, dataset) for name in registry.RECIPES}
    answer_job(trainings, ["numpy", "torch"], load=load_round)


if __name__ == "__main__":
    main()
