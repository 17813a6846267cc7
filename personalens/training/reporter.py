"""What a training tells while it goes on: progress events, and a log with a line for each epoch."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from personalens.progress import Progress, ProgressEvent

Listener = Callable[[float, float], None]
"""Called after each batch with the share of the epoch that is done and the mean loss so far."""


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
