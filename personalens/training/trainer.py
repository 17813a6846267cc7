"""Training: a network and its optimiser, what validates them, and the loop over the epochs.

One trainer, or two side by side, goes through the epochs until the held-out figure is at its best.
The state of a training is one file, replaced as a whole. One that was killed goes on from it.
"""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from personalens import durable_files
from personalens.networks.session_network import SessionNetwork, seen_before
from personalens.progress import Progress, ProgressEvent
from personalens.training.batches import Sequences, Windows, bucketed_batches, make_batch
from personalens.training.devices import (
    InTurn,
    compute_threads,
    generators_of,
    joined_replicas,
    mixed_precision,
    second_thread,
    tensor_cores,
    threads_of_each,
)
from personalens.training.losses import OutputLoss
from personalens.training.optimizer import AdamW
from personalens.training.options import TrainingOptions

HELD_OUT_EVENTS, HELD_OUT_HISTORIES = 2, 1000
_VALIDATION_BATCH = 128

Listener = Callable[[float, float], None]
"""Called after each batch with the share of the epoch that is done and the mean loss so far."""


@dataclass
class Position:
    """Where a training is: steps taken, the epoch that they have come to (counted from 1), the
    state of the generator before it ordered that epoch's batches, and the epoch's loss so far."""

    steps: int = 0
    epoch: int = 0
    order: dict[str, Any] | None = None
    loss_sum: float = 0.0
    targets: int = 0

    @property
    def mean_loss(self) -> float:
        """Of the epoch so far."""
        return self.loss_sum / max(self.targets, 1)


class Trainer:
    """One network and its data; each call of :meth:`run_epoch` goes through them once.

    ``rng`` orders the batches. Whoever holds ``between_steps`` sees the trainer as it is between
    two of them. ``replicas`` are the processes that train the same network, each with a share of
    every batch; None where this one is alone.
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
        self.network, self.sequences, self.windows = network, sequences, windows
        self.options, self.rng = options, rng
        self._loss = loss
        self.replicas = joined_replicas()
        if self.replicas is not None:
            self.rng = copy.deepcopy(rng)  # orders the batches, and must do so alike everywhere
            self.replicas.begin(network)
        self.optimizer = AdamW(
            network.parameters(),
            learning_rate=options.learning_rate,
            weight_decay=options.weight_decay,
        )
        self.position = Position()
        self.kept: dict[str, Tensor] = {}  # the weights that keep() remembered
        self.between_steps = threading.Lock()
        self._stopped = False

    def run_epoch(self, epoch: int, listen: Listener | None = None) -> float:
        """Train on every window once, or on those that are left of an epoch that was broken off,
        and return the mean loss. ``listen`` may raise."""
        self.network.train()
        batches, position = self._batches(epoch), self.position
        first = (epoch - 1) * len(batches)
        while position.steps - first < len(batches) and not self._stopped:
            with self.between_steps:
                self._set_rate(len(batches))
                loss, targets = self._step(batches[position.steps - first])
                position.steps += 1
                position.loss_sum += loss * targets
                position.targets += targets
            if listen is not None:
                listen((position.steps - first) / len(batches), position.mean_loss)
        return position.mean_loss

    def stop(self) -> None:
        """Make :meth:`run_epoch` return after the batch that it is at; from another thread."""
        self._stopped = True

    def keep(self) -> None:
        """Remember the weights as they are."""
        self.kept = {name: w.clone() for name, w in self.network.state_dict().items()}

    def go_back(self) -> None:
        """Return to the weights that were kept."""
        self.network.load_state_dict(self.kept)

    def _batches(self, epoch: int) -> list[np.ndarray]:
        """Return the epoch's batches; once it has begun, the same ones every time."""
        size = self.options.batch_size_for(len(self.windows))
        with self.between_steps:
            if self.position.epoch == epoch:
                rng = copy.deepcopy(self.rng)
                rng.bit_generator.state = self.position.order
                return bucketed_batches(self.windows.lengths, size, rng)
            order = self.rng.bit_generator.state
            self.position = Position(self.position.steps, epoch, order)
            if self.replicas is not None:
                self.replicas.part_ways(self.network, self.rng)
            return bucketed_batches(self.windows.lengths, size, self.rng)

    def _step(self, chosen: np.ndarray) -> tuple[float, int]:
        if self.replicas is not None:
            chosen = self.replicas.share(chosen)
        self.optimizer.forget_gradients()
        loss, targets = self._find_gradients(chosen) if len(chosen) else (0.0, 0)
        if self.replicas is not None:
            loss, targets = self.replicas.merge_gradients(self.network, loss, targets)
        nn.utils.clip_grad_norm_(self.network.parameters(), self.options.clip_norm)
        self.optimizer.step()
        return loss, targets

    def _find_gradients(self, chosen: np.ndarray) -> tuple[float, int]:
        """Give the weights their gradients; return the mean loss and the number of targets."""
        network = self.network
        batch = make_batch(self.sequences, self.windows, chosen).to(network.device)
        with mixed_precision(network.device):
            vectors = network(batch.events, batch.positions).float()
        seen = seen_before(batch.events.items, batch.positions, network.catalogue_size)
        loss = self._loss(network, vectors, batch.targets, seen, batch.weights)
        loss.backward()
        return loss.item(), len(batch.targets)

    def _set_rate(self, batches: int) -> None:
        """Rise linearly, then fall along half a cosine to zero at the end of ``max_epochs``."""
        rise = min(1.0, (self.position.steps + 1) / self.options.warm_up_steps)
        done = min(1.0, self.position.steps / (batches * self.options.max_epochs))
        fall = 0.5 * (1.0 + math.cos(math.pi * done))
        self.optimizer.learning_rate = self.options.learning_rate * rise * fall

    # -- all that the next steps depend on, for a checkpoint ---------------------------------------

    def capture(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return a copy of the state, tensors and what JSON can hold; from any thread."""
        with self.between_steps:
            tensors = {f"network.{name}": w for name, w in self.network.state_dict().items()}
            tensors |= {f"kept.{name}": w for name, w in self.kept.items()}
            for place, moments in self.optimizer.moments.items():
                tensors |= {f"optimizer.{place}.{name}": value for name, value in moments.items()}
            generators = [rng.bit_generator.state for rng in self._generators()]
            return (
                {name: tensor.to("cpu", copy=True) for name, tensor in tensors.items()},
                {"position": asdict(self.position), "generators": generators},
            )

    def restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Take back what :meth:`capture` gave."""
        self.network.load_state_dict(part_of(tensors, "network."))
        like = self.network.state_dict()
        self.kept = {name: w.to(like[name]) for name, w in part_of(tensors, "kept.").items()}
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in part_of(tensors, "optimizer.").items():
            place, _, kind = name.partition(".")
            moments.setdefault(int(place), {})[kind] = value
        self.optimizer.restore(moments)
        self.position = replace(self.position, **state["position"])
        for rng, saved in zip(self._generators(), state["generators"], strict=True):
            rng.bit_generator.state = saved
        if self.replicas is not None:  # the file is the first process's
            self.replicas.part_ways(self.network, self.rng)

    def _generators(self) -> list[np.random.Generator]:
        """Return the generators of the trainer and of the parts of its network, each once."""
        owned = [self.rng, *generators_of(self.network)]
        return list({id(rng): rng for rng in owned}.values())


def part_of(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, named without it."""
    chosen = {name: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    return {name.removeprefix(prefix): tensor for name, tensor in chosen.items()}


# -- validation ------------------------------------------------------------------------------------


def newest_events(
    offsets: np.ndarray,
    rng: np.random.Generator,
    *,
    events: int = HELD_OUT_EVENTS,
    histories: int = HELD_OUT_HISTORIES,
) -> np.ndarray:
    """Choose what to hold out, (rows,) bool: the newest ``events`` of a history, and at most a
    third of it, from so many ``histories`` at most, drawn where there are more.

    Examples
    --------
    Histories of 6, 2 and 3 events:

    >>> rng = np.random.default_rng(0)
    >>> newest_events(np.array([0, 6, 8, 11]), rng, events=2).nonzero()[0].tolist()
    [4, 5, 10]
    """
    counts = np.diff(offsets)
    held = np.minimum(events, counts // 3)
    chosen = rng.permutation(np.flatnonzero(held))[:histories]
    from_end = np.repeat(offsets[1:], counts) - 1 - np.arange(offsets[-1])
    of_chosen = np.zeros(len(counts), np.int64)
    of_chosen[chosen] = held[chosen]
    return from_end < np.repeat(of_chosen, counts)


class NextItemValidation:
    """NDCG@10 of the next item, all items ranked, at every row of the windows that has a target.

    A window begins where the network is to begin knowing a history.
    """

    def __init__(self, sequences: Sequences, windows: Windows):
        self._sequences, self._windows = sequences, windows

    def __call__(self, network: SessionNetwork) -> float:
        """Return the mean over all targets, each with its weight."""
        network.eval()
        gains, weights = [], []
        with torch.inference_mode():
            for chosen in bucketed_batches(self._windows.lengths, _VALIDATION_BATCH):
                batch = make_batch(self._sequences, self._windows, chosen).to(network.device)
                vectors = network(batch.events, batch.positions)
                scores = network.scores(
                    vectors,
                    seen_before(batch.events.items, batch.positions, network.catalogue_size),
                )
                own = scores.gather(1, batch.targets[:, None])
                ranks = (scores > own).sum(1)
                gains.append(torch.where(ranks < 10, 1.0 / torch.log2(ranks + 2.0), 0.0))
                weights.append(
                    torch.ones_like(gains[-1]) if batch.weights is None else batch.weights
                )
        gained, weight = torch.cat(gains), torch.cat(weights)
        return float((gained * weight).sum() / weight.sum().clamp_min(torch.finfo().tiny))


# -- the loop over the epochs ----------------------------------------------------------------------

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
            logger.warning("cannot read %s, so the training starts again: %s", self._path, error)
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
