"""The training loop: batches, epochs, early stopping, and a second model trained alongside."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from personalens.networks.session_network import SessionNetwork, seen_before
from personalens.training.batches import Sequences, Windows, bucketed_batches, make_batch
from personalens.training.devices import compute_threads
from personalens.training.losses import OutputLoss
from personalens.training.options import TrainingOptions
from personalens.training.progress import Progress, ProgressEvent

Listener = Callable[[float, float], None]
"""Called after each batch with the share of the epoch that is done and the mean loss so far."""


class Trainer:
    """One network and its data; each call of :meth:`run_epoch` goes through them once.

    Parameters
    ----------
    network
        To be trained, on the device where it is.
    sequences, windows
        The data.
    loss
        Of the network's vectors against the targets.
    options
        Rates and limits.
    rng
        Of the order of the batches.
    """

    def __init__(
        self,
        network: SessionNetwork,
        sequences: Sequences,
        windows: Windows,
        loss: OutputLoss,
        options: TrainingOptions,
        rng: np.random.Generator,
    ):
        self.network = network
        self._sequences, self._windows, self._loss = sequences, windows, loss
        self._options, self._rng = options, rng
        self._optimizer = torch.optim.AdamW(
            network.parameters(),
            lr=options.learning_rate,
            weight_decay=options.weight_decay,
            fused=True,
        )
        self._steps = 0
        self._stopped = False
        self._kept: dict[str, torch.Tensor] = {}

    def run_epoch(self, listen: Listener | None = None) -> float:
        """Train on every window once and return the mean loss. ``listen`` may raise."""
        self.network.train()
        size = self._options.batch_size_for(len(self._windows))
        batches = bucketed_batches(self._windows.lengths, size, self._rng)
        total, count = 0.0, 0
        for number, chosen in enumerate(batches, start=1):
            if self._stopped:
                break
            self._set_rate(len(batches))
            loss, targets = self._step(chosen)
            total, count = total + loss * targets, count + targets
            if listen is not None:
                listen(number / len(batches), total / max(count, 1))
        return total / max(count, 1)

    def stop(self) -> None:
        """Make :meth:`run_epoch` return after the batch that it is at; from another thread."""
        self._stopped = True

    def keep(self) -> None:
        """Remember the weights as they are."""
        self._kept = {name: w.clone() for name, w in self.network.state_dict().items()}

    def go_back(self) -> None:
        """Return to the weights that were kept."""
        self.network.load_state_dict(self._kept)

    def _step(self, chosen: np.ndarray) -> tuple[float, int]:
        network = self.network
        batch = make_batch(self._sequences, self._windows, chosen).to(network.device)
        vectors = network(batch.events, batch.positions)
        seen = seen_before(batch.events.items, batch.positions, network.catalogue_size)
        loss = self._loss(network, vectors, batch.targets, seen, batch.weights)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), self._options.clip_norm)
        self._optimizer.step()
        self._steps += 1
        return loss.item(), len(batch.targets)

    def _set_rate(self, batches: int) -> None:
        """Rise linearly, then fall along half a cosine to zero at the end of ``max_epochs``."""
        rise = min(1.0, (self._steps + 1) / self._options.warm_up_steps)
        done = min(1.0, self._steps / (batches * self._options.max_epochs))
        rate = self._options.learning_rate * rise * 0.5 * (1.0 + math.cos(math.pi * done))
        for group in self._optimizer.param_groups:
            group["lr"] = rate


@dataclass
class Reporter:
    """Turns the loop's figures into progress events and a log.

    ``epochs`` is how many there will be at most.
    """

    progress: Progress
    stage: str
    epochs: int

    def __post_init__(self) -> None:
        self.log: list[dict[str, float]] = []
        self._began = time.perf_counter()

    def listener(self, epoch: int) -> Listener:
        """Return the listener of an epoch, counted from 1."""

        def listen(done: float, loss: float) -> None:
            self._report((epoch - 1 + done) / self.epochs, epoch, loss)

        return listen

    def close_epoch(self, epoch: int, loss: float, metric: float | None = None) -> None:
        """Log an epoch; the seconds are those since the last one."""
        now = time.perf_counter()
        entry = {"epoch": epoch, "loss": loss, "seconds": now - self._began}
        self._began = now
        if metric is not None:
            entry["ndcg_at_10"] = metric
            self._report(epoch / self.epochs, epoch, loss, metric)
        self.log.append(entry)

    def finish(self) -> None:
        """Report that all is done, however many epochs it took."""
        self.progress(ProgressEvent(self.stage, fraction=1.0, epochs=self.epochs))

    def _report(self, done: float, epoch: int, loss: float, metric: float | None = None) -> None:
        self.progress(
            ProgressEvent(
                self.stage, fraction=done, epoch=epoch, epochs=self.epochs, loss=loss, metric=metric
            )
        )


def train(
    trainer: Trainer,
    reporter: Reporter,
    *,
    validate: Callable[[SessionNetwork], float] | None = None,
    patience: int = 1,
    companion: Trainer | None = None,
) -> int:
    """Train for as many epochs as the reporter expects, or stop early and go back to the best.

    Parameters
    ----------
    trainer
        What is trained, in the calling thread.
    reporter
        Hears of it.
    validate
        Returns a figure after each epoch; higher is better. Without it every epoch is run.
    patience
        Epochs without a figure at least as high as the best after which to stop.
    companion
        Another model, such as that of all data, which goes through the same epochs in a second
        thread and ends with its weights after the same one. Two trainings side by side use two
        cores far better than one training on both.

    Returns
    -------
    int
        The epochs behind the weights, counted from 1.
    """
    trainers = [trainer] if companion is None else [trainer, companion]
    best, best_epoch = -math.inf, 0
    second = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,))
    with compute_threads(1), second:
        for epoch in range(1, reporter.epochs + 1):
            alongside = None if companion is None else second.submit(companion.run_epoch)
            try:
                loss = trainer.run_epoch(reporter.listener(epoch))
                figure = math.inf if validate is None else validate(trainer.network)
                reporter.close_epoch(epoch, loss, None if validate is None else figure)
            except BaseException:
                for each in trainers:
                    each.stop()
                raise
            if alongside is not None:
                alongside.result()
            if figure >= best:  # of equals the later one: a figure may be at its limit
                best, best_epoch = figure, epoch
                if validate is not None:
                    for each in trainers:
                        each.keep()
            elif epoch - best_epoch >= patience:
                break
    if validate is not None:
        for each in trainers:
            each.go_back()
    reporter.finish()
    return best_epoch
