"""The training loop: epochs, batches, early stopping, progress."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from personalens.training.batches import Batch, Sequences, Windows, bucketed_batches, make_batch
from personalens.training.losses import softmax_loss
from personalens.training.options import TrainingOptions
from personalens.training.progress import Progress, ProgressEvent


@dataclass
class Trainer:
    """Train a network on windows of sequences.

    Parameters
    ----------
    network
        Has ``forward(inputs, positions)``, ``table`` and ``bias``.
    sequences, windows
        The data.
    options
        Rates and limits.
    rng
        Of the order of the batches.
    validate
        Returns the validation figure of the network as it stands; higher is better.
    progress, stage, share
        Whom to report to, what the work is called, and which part (from, to) of the whole it is.
    """

    network: nn.Module
    sequences: Sequences
    windows: Windows
    options: TrainingOptions
    rng: np.random.Generator
    progress: Progress
    stage: str
    share: tuple[float, float] = (0.0, 1.0)
    validate: Callable[[], float] | None = None
    log: list[dict[str, float]] = field(default_factory=list)

    def run(self, epochs: int | None = None) -> int:
        """Train and return the number of epochs behind the weights that the network now has.

        Without ``epochs``: until the validation figure has not risen for ``patience`` epochs, then
        go back to the best weights. With it: so many epochs.
        """
        device = next(self.network.parameters()).device
        optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=self.options.learning_rate,
            weight_decay=self.options.weight_decay,
            fused=True,
        )
        best, best_epoch, best_weights = -math.inf, 0, None
        last = self.options.max_epochs if epochs is None else epochs
        for epoch in range(1, last + 1):
            began = time.perf_counter()
            loss = self._run_epoch(optimizer, epoch, last, device)
            entry = {"epoch": epoch, "loss": loss, "seconds": time.perf_counter() - began}
            if self.validate is not None:
                self.network.eval()
                figure = entry["ndcg_at_10"] = self.validate()
                if figure > best:
                    best, best_epoch = figure, epoch
                    best_weights = {n: w.clone() for n, w in self.network.state_dict().items()}
                self._report(epoch, last, 1.0, loss, figure)
            self.log.append(entry)
            if epochs is None and epoch - best_epoch >= self.options.patience:
                break
        if epochs is None and best_weights is not None:
            self.network.load_state_dict(best_weights)
            return best_epoch
        return last

    def _run_epoch(self, optimizer, epoch: int, last: int, device: torch.device) -> float:
        self.network.train()
        batches = bucketed_batches(self.windows.lengths, self.options.batch_size, self.rng)
        total, count = 0.0, 0
        for number, chosen in enumerate(batches):
            rate = self._rate((epoch - 1) * len(batches) + number, len(batches))
            for group in optimizer.param_groups:
                group["lr"] = rate
            batch = make_batch(self.sequences, self.windows, chosen).to(device)
            total += self._step(optimizer, batch) * len(batch.targets)
            count += len(batch.targets)
            self._report(epoch, last, (number + 1) / len(batches), total / count)
        return total / max(count, 1)

    def _step(self, optimizer, batch: Batch) -> float:
        vectors = self.network(batch.inputs, batch.positions)
        loss = softmax_loss(vectors, self.network.table, self.network.bias, batch.targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.options.clip_norm)
        optimizer.step()
        return loss.item()

    def _rate(self, step: int, steps_per_epoch: int) -> float:
        rise = min(1.0, (step + 1) / self.options.warm_up_steps)
        done = step / (steps_per_epoch * self.options.max_epochs)
        return self.options.learning_rate * rise * 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))

    def _report(
        self, epoch: int, last: int, part: float, loss: float, metric: float | None = None
    ) -> None:
        begin, end = self.share
        done = (epoch - 1 + part) / last
        self.progress(
            ProgressEvent(
                self.stage,
                fraction=begin + (end - begin) * done,
                epoch=epoch,
                epochs=last,
                loss=loss,
                metric=metric,
            )
        )
