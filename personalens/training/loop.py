"""The training loop: epochs, early stopping, a second model trained alongside, and checkpoints.

The state of a training is one file, replaced as a whole, from which one that was killed goes on
where it was: the weights, the optimiser's moments and the best weights so far as tensors,
everything else as JSON in the file's header. Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from personalens import durable_files
from personalens.networks.session_network import SessionNetwork
from personalens.progress import Progress, ProgressEvent
from personalens.training.devices import (
    InTurn,
    compute_threads,
    second_thread,
    tensor_cores,
    threads_of_each,
)
from personalens.training.trainer import Listener, Trainer, part_of

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN = 30.0
_SHARE_OF_TIME = 0.05
_STATE = "state"


def train(
    trainer: Trainer,
    reporter: Reporter,
    *,
    validate: Callable[[SessionNetwork], float] | None = None,
    patience: int = 1,
    companion: Trainer | None = None,
) -> int:
    """Train for as many epochs as the reporter expects, or stop early and go back to the best;
    return the number of epochs behind the weights.

    ``validate`` returns a figure after each epoch, the higher the better; after ``patience`` epochs
    without one at least as high as the best the training stops. Without it every epoch is run.

    A ``companion``, such as the model of all data, goes through the same epochs in a second thread
    and ends with its weights after the same one: two trainings side by side use two cores far
    better than one training on both.

    With ``checkpoint_folder`` among the trainer's options the training goes on where an earlier one
    of the same data and options was broken off, and ends with the same weights, bit for bit.
    """
    trainers = [trainer] if companion is None else [trainer, companion]
    checkpoint = Checkpoint(trainers, reporter)
    course = checkpoint.resume()
    threads = threads_of_each()
    second = InTurn() if trainer.replicas else second_thread(threads)
    with compute_threads(threads), tensor_cores(trainer.network.device), second:
        while course.epoch < reporter.epochs and course.epoch - course.best_epoch < patience:
            epoch = course.epoch + 1
            alongside = None if companion is None else second.submit(companion.run_epoch, epoch)
            try:
                listen = checkpoint.listener(reporter.listener(epoch), course)
                loss = trainer.run_epoch(epoch, listen)
                figure = math.inf if validate is None else validate(trainer.network)
                if trainer.replicas is not None:
                    figure = trainer.replicas.agree(figure)
                reporter.close_epoch(epoch, loss, None if validate is None else figure)
            except BaseException:
                for each in trainers:
                    each.stop()
                raise
            if alongside is not None:
                alongside.result()
            course.epoch = epoch
            if figure >= course.best:  # of equals the later one: a figure may be at its limit
                course.best, course.best_epoch = figure, epoch
                if validate is not None:
                    for each in trainers:
                        each.keep()
            checkpoint.save(course)
    if validate is not None:
        for each in trainers:
            each.go_back()
    reporter.finish()
    return course.best_epoch


@dataclass
class Reporter:
    """Turns the loop's figures into progress events and a log with a line for each epoch;
    ``epochs`` is how many there will be at most."""

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


@dataclass
class Course:
    """How far a training has come: epochs that are done, the best figure, the epoch that had it."""

    epoch: int = 0
    best: float = -math.inf
    best_epoch: int = 0


class Checkpoint:
    """The file of one training, which may be of several networks side by side.

    It is named by a digest of the trainers as they are before the first step, so trainings may
    share a folder, and none goes on from the state of another. The reporter's log goes into it and
    comes back.

    It is written after every epoch, and within long ones every 30 seconds, or less often where that
    would take more than a twentieth of the time. Where a trainer is within its epoch need not be
    where the other one is. What several processes drop is drawn again for each epoch, so a training
    of theirs is repeated exactly from the end of an epoch only.
    """

    def __init__(self, trainers: Sequence[Trainer], reporter: Reporter):
        self._trainers, self._reporter = trainers, reporter
        folder = trainers[0].options.checkpoint_folder
        self._path: Path | None = None
        if folder:
            name = _digest(trainers, reporter.epochs)
            self._path = Path(folder).absolute() / f"{name}.safetensors"
        self._due = time.monotonic() + _SECONDS_BETWEEN

    def resume(self) -> Course:
        """Put the trainers where they were and return how far that was: nowhere without a file."""
        if self._path is None or not self._path.exists():
            return Course()
        try:
            with safe_open(self._path, "pt") as file:
                state = json.loads(file.metadata()[_STATE])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("cannot read %s, so the training begins anew: %s", self._path, error)
            return Course()
        for place, trainer in enumerate(self._trainers):
            trainer.restore(part_of(tensors, f"{place}."), state["trainers"][place])
        self._reporter.log[:] = state["log"]
        course = Course(**state["course"])
        logger.info("going on with %s after epoch %d", self._path, course.epoch)
        return course

    def listener(self, listen: Listener, course: Course) -> Listener:
        """Return a listener that also writes the file when that is due."""

        def listen_and_save(done: float, loss: float) -> None:
            listen(done, loss)
            if self._path is not None and time.monotonic() > self._due:
                self.save(course)

        return listen_and_save

    def save(self, course: Course) -> None:
        """Write the file. Where that fails, the training goes on without."""
        replicas = self._trainers[0].replicas
        if self._path is None or (replicas is not None and replicas.rank > 0):
            return
        began = time.monotonic()
        tensors: dict[str, Tensor] = {}
        states = []
        for place, trainer in enumerate(self._trainers):
            of_trainer, state = trainer.capture()
            tensors |= {f"{place}.{name}": tensor for name, tensor in of_trainer.items()}
            states.append(state)
        state = {"course": asdict(course), "log": self._reporter.log, "trainers": states}
        try:
            _write(self._path, tensors, {_STATE: json.dumps(state)})
        except OSError as error:
            logger.warning("cannot write %s: %s", self._path, error)
        now = time.monotonic()
        self._due = now + max(_SECONDS_BETWEEN, (now - began) / _SHARE_OF_TIME)


def _digest(trainers: Sequence[Trainer], epochs: int) -> str:
    """Return what names a training: its data, options, start weights and generators."""
    digest = hashlib.blake2b(digest_size=12)
    for trainer in trainers:
        tensors, _ = trainer.capture()
        options = replace(trainer.options, checkpoint_folder="")
        processes = 1 if trainer.replicas is None else trainer.replicas.size
        order = trainer.rng.bit_generator.state
        settings = [epochs, processes, asdict(options), order, sorted(tensors)]
        digest.update(json.dumps(settings).encode())
        arrays = [tensors[name].numpy() for name in sorted(tensors)]
        for data in (trainer.sequences, trainer.windows):
            arrays += [array for array in vars(data).values() if array is not None]
        for array in arrays:
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def _write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write the file beside its place, flushed to disk, then put it there."""
    with durable_files.replacing(path) as partial:
        try:
            save_file(tensors, partial, metadata)
        except SafetensorError as error:
            raise durable_files.as_os_error(error, partial) or error from error
