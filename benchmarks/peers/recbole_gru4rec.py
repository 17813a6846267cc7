"""RecBole's GRU4Rec: its data pipeline, model and training epochs, within a time limit.

Zhao et al., "RecBole: Towards a Unified, Comprehensive and Efficient Framework for Recommendation
Algorithms", CIKM 2021; https://github.com/RUCAIBox/RecBole. Hidasi et al., "Session-based
Recommendations with Recurrent Neural Networks", ICLR 2016.

RecBole trains on every prefix of every history, so an epoch takes as many recurrent steps for each
event as its window is long (50): minutes on a CPU. So it is trained until validation has not risen
for ``PATIENCE`` epochs or the limit is reached, and is not trained once more on everything. Batches
of 256 samples, where its default is 2,048, give it more steps in that time.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset
from recbole.data.dataloader import TrainDataLoader
from recbole.data.interaction import Interaction
from recbole.model.sequential_recommender import GRU4Rec
from recbole.trainer import Trainer
from recbole.utils import init_seed

from benchmarks.peers.exchange import LIST_LENGTH, Answer, Task, answer_job, ndcg_at_10

LENGTH, PATIENCE, MOST_EPOCHS = 50, 5, 300
SETTING = {"embedding_size": 64, "hidden_size": 128, "dropout_prob": 0.3, "learning_rate": 1e-3}


class Trained:
    """A RecBole model and its data set, which knows the tokens."""

    def __init__(self, task: Task, seed: int, folder: Path, batch: int):
        write_events(task, folder / "task" / "task.inter")
        self.config = Config(
            model="GRU4Rec",
            dataset="task",
            config_dict={
                **SETTING,
                "data_path": str(folder),
                "checkpoint_dir": str(folder / "saved"),
                "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
                "MAX_ITEM_LIST_LENGTH": LENGTH,
                "train_neg_sample_args": None,
                "train_batch_size": batch,
                "eval_args": {"split": {"LS": "valid_only"}, "order": "TO", "mode": "full"},
                "use_gpu": False,
                "show_progress": False,
                "seed": seed,
                "reproducibility": True,
                "state": "ERROR",
            },
        )
        init_seed(seed, True)
        self.dataset = create_dataset(self.config)
        held_in = self.dataset.build()[0]
        self.loader = TrainDataLoader(self.config, held_in, sampler=None, shuffle=True)
        self.samples = len(held_in)
        self.model = GRU4Rec(self.config, held_in)
        self.trainer = Trainer(self.config, self.model)
        tokens = self.dataset.field2id_token["item_id"]
        self.codes = np.array([-1] + [int(token) for token in tokens[1:]])
        self.ids = np.zeros(int(task.sizes[1]), np.int64)
        self.ids[self.codes[1:]] = np.arange(1, len(tokens))

    def lists(self, histories: list[np.ndarray]) -> np.ndarray:
        """Name the best items after each history, without those in it."""
        self.model.eval()
        lists = []
        for start in range(0, len(histories), 256):
            known = [self.ids[past] for past in histories[start : start + 256]]
            known = [past[past > 0] for past in known]
            rows = np.zeros((len(known), LENGTH), np.int64)
            for row, past in zip(rows, known, strict=True):
                newest = past[-LENGTH:]
                row[: len(newest)] = newest
            lengths = np.array([max(1, min(len(past), LENGTH)) for past in known])
            asked = Interaction(
                {"item_id_list": torch.from_numpy(rows), "item_length": torch.from_numpy(lengths)}
            )
            with torch.no_grad():
                scores = self.model.full_sort_predict(asked)
            scores[:, 0] = -torch.inf
            for row, past in zip(scores, known, strict=True):
                row[torch.from_numpy(past)] = -torch.inf
            lists.append(self.codes[scores.topk(LIST_LENGTH).indices.numpy()])
        return np.concatenate(lists)


def write_events(task: Task, path: Path) -> None:
    """Write RecBole's atomic file; the order of the rows is the order in time."""
    path.parent.mkdir(parents=True)
    lines = ["user_id:token\titem_id:token\ttimestamp:float"]
    events = zip(task.user_codes.tolist(), task.item_codes.tolist(), strict=True)
    lines += [f"{user}\t{item}\t{row}" for row, (user, item) in enumerate(events)]
    path.write_text("\n".join(lines) + "\n")


def train(
    task: Task, seed: int, *, limit: float = 1500.0, batch: int = 256
) -> tuple[Answer, dict[str, Any]]:
    """Train until validation no longer rises or the time is up; keep the best epoch's weights."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        trained = Trained(task, seed, Path(folder), batch)
        newest = np.flatnonzero(task.last_events())
        starts = np.append(0, newest[:-1] + 1)
        histories = [task.item_codes[a:b] for a, b in zip(starts, newest, strict=True)]
        best, best_epoch, kept, reason = -1.0, 0, None, "its last epoch"
        for epoch in range(1, MOST_EPOCHS + 1):
            trained.trainer._train_epoch(trained.loader, epoch)
            figure = ndcg_at_10(trained.lists(histories), task.item_codes[newest])
            print(f"GRU4Rec epoch {epoch}: validation NDCG@10 {figure:.4f}", flush=True)
            if figure > best:
                best, best_epoch = figure, epoch
                kept = {name: w.clone() for name, w in trained.model.state_dict().items()}
            if epoch - best_epoch >= PATIENCE:
                reason = "early stopping"
                break
            if time.perf_counter() - began > limit:
                reason = "its time limit"
                break
        trained.model.load_state_dict(kept)
    notes = {"stopped_by": reason, "epochs": best_epoch, "validation": best}
    return lambda: trained.lists([task.history(q) for q in range(len(task))]), notes


def train_for_speed(
    task: Task, seed: int, *, epochs: int, batch: int = 2048
) -> tuple[Answer, dict[str, Any]]:
    """Train one epoch, in RecBole's batches, and tell how long it took: minutes, so once is enough.

    A sample is a prefix of a history, and predicts one event.
    """
    with tempfile.TemporaryDirectory() as folder:
        trained = Trained(task, seed, Path(folder), batch)
        began = time.perf_counter()
        trained.trainer._train_epoch(trained.loader, 1)
        notes = {"seconds_per_epoch": [time.perf_counter() - began], "tokens": trained.samples}
    return lambda: trained.lists([task.history(q) for q in range(len(task))]), notes


if __name__ == "__main__":
    os.chdir(tempfile.mkdtemp(prefix="recbole-"))  # it writes logs where it stands
    trainings = {"GRU4Rec": train, "GRU4Rec speed": train_for_speed}
    answer_job(trainings, ["recbole", "torch", "numpy"])
