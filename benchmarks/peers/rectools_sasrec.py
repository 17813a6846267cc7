"""RecTools' SASRec: full softmax, trained until validation says so, or for a given time.

MobileTeleSystems, https://github.com/MobileTeleSystems/RecTools; Kang and McAuley, "Self-Attentive
Sequential Recommendation", ICDM 2018. RecTools orders events by time alone, so it is given their
order as their time: ties come as they come for everybody.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

from benchmarks.peers.exchange import LIST_LENGTH, NOTHING, Answer, Task, answer_job, ndcg_at_10

SETTING = {"n_factors": 64, "n_blocks": 2, "n_heads": 2, "dropout_rate": 0.3, "lr": 2e-3}
LENGTH, BATCH = 200, 64
MOST_EPOCHS, CHECK_EVERY, PATIENCE = 120, 2, 5


class BestEpoch(pl.Callback):
    """Measures NDCG@10 on the held-out events and stops after so many checks without a better one.

    RecTools offers the loss on them; lists are what is wanted.
    """

    def __init__(self, deadline: float):
        self.deadline = deadline
        self.figures: dict[int, float] = {}
        self.reason = "its last epoch"
        self._lists: list[np.ndarray] = []
        self._truths: list[np.ndarray] = []

    @property
    def epochs(self) -> int:
        """The number of epochs with the best figure."""
        return max(self.figures, key=self.figures.get)

    def on_validation_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: Any, *rest: Any
    ) -> None:
        scores = outputs["logits"].reshape(len(batch["x"]), -1).clone()
        scores.scatter_(1, batch["x"], -torch.inf)  # what the user had; item 0 pads
        self._lists.append(scores.topk(10).indices.cpu().numpy())
        self._truths.append(batch["y"][:, -1].cpu().numpy())

    def on_validation_epoch_end(self, trainer: Any, module: Any) -> None:
        if trainer.sanity_checking:
            return
        figure = ndcg_at_10(np.concatenate(self._lists), np.concatenate(self._truths))
        self._lists, self._truths = [], []
        epoch = trainer.current_epoch + 1
        self.figures[epoch] = figure
        print(f"SASRec epoch {epoch}: validation NDCG@10 {figure:.4f}", flush=True)
        if epoch - self.epochs >= PATIENCE * CHECK_EVERY:
            self.reason, trainer.should_stop = "early stopping", True
        elif time.perf_counter() > self.deadline:
            self.reason, trainer.should_stop = "its time limit", True


def interactions(users: np.ndarray, items: np.ndarray) -> pd.DataFrame:
    """Return RecTools' table; the order of the rows is the order in time."""
    order = pd.to_datetime(np.arange(len(users)), unit="s")
    return pd.DataFrame(
        {Columns.User: users, Columns.Item: items, Columns.Weight: 1.0, Columns.Datetime: order}
    )


def fit(
    table: pd.DataFrame, trainer: Callable[[], pl.Trainer], mask: Callable[..., Any] | None = None
) -> SASRecModel:
    """Train one model."""
    model = SASRecModel(
        **SETTING,
        loss="softmax",
        session_max_len=LENGTH,
        batch_size=BATCH,
        get_trainer_func=trainer,
        get_val_mask_func=mask,
        recommend_torch_device="cpu",
    )
    return model.fit(Dataset.construct(table))


def trainer_for(**options: Any) -> Callable[[], pl.Trainer]:
    """Return what makes a quiet trainer."""

    def make() -> pl.Trainer:
        return pl.Trainer(
            accelerator="cpu",
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            **options,
        )

    return make


def find_epochs(
    table: pd.DataFrame, newest: np.ndarray, limit: float
) -> tuple[SASRecModel, BestEpoch]:
    """Train without the newest event of each user until these are no longer guessed better."""
    best = BestEpoch(time.perf_counter() + limit)

    # RecTools copies the trainer, callbacks included, so the figures are read from the copy.
    def mask(raw: pd.DataFrame, **rest: Any) -> np.ndarray:
        return newest

    make = trainer_for(
        max_epochs=MOST_EPOCHS, check_val_every_n_epoch=CHECK_EVERY, callbacks=[best]
    )
    model = fit(table, make, mask)
    found = [each for each in model.fit_trainer.callbacks if isinstance(each, BestEpoch)]
    return model, found[0]


def train(
    task: Task, seed: int, *, seconds: float | None = None, limit: float = 1800.0
) -> tuple[Answer, dict[str, Any]]:
    """Train to the end and once more on everything; or on everything for so many seconds.

    Where the limit comes before the end there is no time for a second training: the model answers
    that has not seen the newest events in training, only in the histories.
    """
    pl.seed_everything(seed)
    table = interactions(task.user_codes, task.item_codes)
    notes: dict[str, Any] = {}
    if seconds is not None:
        make = trainer_for(max_epochs=10_000, max_time=timedelta(seconds=seconds))
    else:
        model, best = find_epochs(table, task.last_events(), limit)
        notes = {"stopped_by": best.reason, "validation": best.figures}
        if best.reason == "its time limit":
            notes["epochs"] = max(best.figures)
            return lambda: answer(model, task), notes
        make = trainer_for(max_epochs=best.epochs)
        pl.seed_everything(seed)
    model = fit(table, make)
    notes["epochs"] = int(model.fit_trainer.current_epoch)
    return lambda: answer(model, task), notes


class EpochClock(pl.Callback):
    """Takes the time at the end of each epoch."""

    def __init__(self):
        self.ends: list[float] = []

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        self.ends.append(time.perf_counter())


def train_for_speed(task: Task, seed: int, *, epochs: int) -> tuple[Answer, dict[str, Any]]:
    """Train one epoch to warm up and so many more, and tell how long each took."""
    pl.seed_everything(seed)
    make = trainer_for(max_epochs=epochs + 1, callbacks=[EpochClock()])
    model = fit(interactions(task.user_codes, task.item_codes), make)
    clock = next(each for each in model.fit_trainer.callbacks if isinstance(each, EpochClock))
    events = np.bincount(task.user_codes)
    notes = {
        "seconds_per_epoch": np.diff(clock.ends).tolist(),
        "tokens": int(np.clip(events - 1, 0, LENGTH).sum()),
    }
    return lambda: answer(model, task), notes


def answer(model: SASRecModel, task: Task) -> np.ndarray:
    """Name the best items; each question is a user of its own, with the history known there."""
    questions = np.repeat(np.arange(len(task)), np.diff(task.offsets))
    known = Dataset.construct(interactions(questions, task.history_items))
    table = model.recommend(
        np.unique(questions),
        known,
        k=LIST_LENGTH,
        filter_viewed=True,
        on_unsupported_targets="warn",
    )
    lists = np.full((len(task), LIST_LENGTH), NOTHING)
    lists[table[Columns.User], table[Columns.Rank] - 1] = table[Columns.Item]
    return lists


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    trainings = {"SASRec": train, "SASRec speed": train_for_speed}
    answer_job(trainings, ["rectools", "pytorch-lightning", "torch"])
