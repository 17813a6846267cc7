"""What the benchmark and a contestant's process tell each other: files of numbers, nothing else.

A contestant runs in an environment of its own, where PersonaLens is not installed, so this module
needs numpy alone. The process is given a job (JSON) and the tasks that it names (npz); for each
it trains, names the best 25 items for every question, and writes them down. Metrics are no business
of its: the benchmark computes them, with the same code for everybody.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.clock import peak_mb

LIST_LENGTH = 25
NOTHING = -1


@dataclass(frozen=True, eq=False)
class Task:
    """Events to learn from and histories to continue, in codes.

    Attributes
    ----------
    sizes
        (2,) numbers of users and items in the vocabularies.
    user_codes, item_codes, timestamps
        (n,) the training events, sorted by user, then in the order in which they happened.
    askers
        (questions,) the user of each question; may be one without training events.
    offsets, history_items, history_times
        Question ``q`` knows the events ``offsets[q]:offsets[q + 1]``, oldest first.
    """

    sizes: np.ndarray
    user_codes: np.ndarray
    item_codes: np.ndarray
    timestamps: np.ndarray
    askers: np.ndarray
    offsets: np.ndarray
    history_items: np.ndarray
    history_times: np.ndarray

    def save(self, path: Path) -> None:
        """Write as npz."""
        np.savez(path, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Task:
        """Read what :meth:`save` wrote."""
        with np.load(path) as arrays:
            return cls(**arrays)

    def __len__(self) -> int:
        return len(self.askers)

    def history(self, question: int) -> np.ndarray:
        """Return the item codes known at a question, oldest first."""
        return self.history_items[self.offsets[question] : self.offsets[question + 1]]

    def last_events(self) -> np.ndarray:
        """Return (n,) booleans: the newest training event of each user, to stop training by."""
        return np.append(self.user_codes[1:] != self.user_codes[:-1], True)


Answer = Callable[[], np.ndarray]
"""Names the best items of every question, (questions, at most 25) codes, best first."""
Training = Callable[..., Answer | tuple[Answer, dict[str, Any]]]
"""Takes a task, a seed and a setting's values; returns the trained model's answer, and with it,
if there is more to tell, notes for the table."""


def read_job() -> dict[str, Any]:
    """Return the job that the command line names."""
    return json.loads(Path(sys.argv[1]).read_text())


def load_task(job: dict[str, Any], run: dict[str, Any]) -> Task:
    """Return the task of one of a job's runs."""
    return Task.load(Path(job["tasks"]) / f"{run['round']}.npz")


def answer_job(
    trainings: Mapping[str, Training],
    packages: list[str],
    *,
    load: Callable[[dict[str, Any], dict[str, Any]], Any] = load_task,
) -> None:
    """Do the job named on the command line: train and ask in each of its runs.

    A run is a round, a seed and a setting. Writes ``lists-0.npy`` (questions, 25) and so on, and
    ``figures.json``, into the job's folder.
    """
    job, folder = read_job(), Path(sys.argv[1]).parent
    busy = os.getloadavg()[0]
    figures = []
    for number, run in enumerate(job["runs"]):
        task = load(job, run)
        began = time.perf_counter()
        trained = trainings[job["model"]](task, run["seed"], **run["setting"])
        answer, notes = trained if isinstance(trained, tuple) else (trained, {})
        fitted = time.perf_counter()
        lists = fill_lists(answer(), len(task))
        asked = time.perf_counter()
        np.save(folder / f"lists-{number}.npy", lists)
        figures.append({"fit_seconds": fitted - began, "ask_seconds": asked - fitted, **notes})
        print(f"run {number + 1} of {len(job['runs'])}: {figures[-1]}", flush=True)
    measured = {
        "runs": figures,
        "peak_mb": peak_mb(),
        "load": round(busy, 1),  # of the machine before this process; above its cores, others work
        "versions": {name: version(name) for name in packages},
    }
    (folder / "figures.json").write_text(json.dumps(measured))


def fill_lists(lists: np.ndarray, questions: int) -> np.ndarray:
    """Return the lists as (questions, 25) int32, short ones ended by ``NOTHING``."""
    lists = np.asarray(lists, dtype=np.int32)[:, :LIST_LENGTH]
    if len(lists) != questions:
        raise ValueError(f"{len(lists)} lists for {questions} questions")
    missing = LIST_LENGTH - lists.shape[1]
    return np.pad(lists, ((0, 0), (0, missing)), constant_values=NOTHING)


def ndcg_at_10(lists: np.ndarray, truths: np.ndarray) -> float:
    """Return NDCG@10 with one truth a list: for a contestant that stops by its own validation."""
    place = (lists[:, :10] == truths[:, None]) @ np.arange(1, 1 + min(10, lists.shape[1]))
    return float(np.where(place > 0, 1.0 / np.log2(1.0 + np.maximum(place, 1)), 0.0).mean())
