"""The state of a training on disk, so that one that was killed goes on where it was.

One file for a training, replaced as a whole: the weights, the optimiser's moments and the best
weights so far as tensors, everything else as JSON in the file's header. Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from personalens import durable_files
from personalens.networks.dropout import generators_of

if TYPE_CHECKING:
    from personalens.training.reporter import Listener, Reporter
    from personalens.training.trainer import Trainer

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN = 30.0
_SHARE_OF_TIME = 0.05
_STATE = "state"


@dataclass
class Course:
    """How far a training has come: epochs that are done, the best figure, the epoch that had it."""

    epoch: int = 0
    best: float = -math.inf
    best_epoch: int = 0


class Checkpoint:
    """The file of one training, which may be of several networks side by side.

    Parameters
    ----------
    trainers
        What is trained, as it is before the first step. The file is named by a digest of it, so
        trainings may share a folder, and none goes on from the state of another.
    reporter
        Its log goes into the file and comes back.

    Notes
    -----
    It is written after every epoch, and within long ones every 30 seconds, or less often where that
    would take more than a twentieth of the time. Where a trainer is within its epoch need not be
    where the other one is. What several processes drop is drawn anew for each epoch, so a training
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
            _restore(trainer, _part(tensors, f"{place}."), state["trainers"][place])
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
            of_trainer, state = _capture(trainer)
            tensors |= {f"{place}.{name}": tensor for name, tensor in of_trainer.items()}
            states.append(state)
        state = {"course": asdict(course), "log": self._reporter.log, "trainers": states}
        try:
            _write(self._path, tensors, {_STATE: json.dumps(state)})
        except OSError as error:
            logger.warning("cannot write %s: %s", self._path, error)
        now = time.monotonic()
        self._due = now + max(_SECONDS_BETWEEN, (now - began) / _SHARE_OF_TIME)


def _capture(trainer: Trainer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return a copy of all that a trainer's next steps depend on; from any thread."""
    with trainer.between_steps:
        tensors = {f"network.{name}": w for name, w in trainer.network.state_dict().items()}
        tensors |= {f"kept.{name}": w for name, w in trainer.kept.items()}
        for place, moments in trainer.optimizer.moments.items():
            tensors |= {f"optimizer.{place}.{name}": value for name, value in moments.items()}
        return (
            {name: tensor.to("cpu", copy=True) for name, tensor in tensors.items()},
            {
                "position": asdict(trainer.position),
                "generators": [rng.bit_generator.state for rng in _generators(trainer)],
            },
        )


def _restore(trainer: Trainer, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    network = trainer.network
    network.load_state_dict(_part(tensors, "network."))
    like = network.state_dict()
    trainer.kept = {name: w.to(like[name]) for name, w in _part(tensors, "kept.").items()}
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in _part(tensors, "optimizer.").items():
        place, _, kind = name.partition(".")
        moments.setdefault(int(place), {})[kind] = value
    trainer.optimizer.restore(moments)
    trainer.position = replace(trainer.position, **state["position"])
    for rng, saved in zip(_generators(trainer), state["generators"], strict=True):
        rng.bit_generator.state = saved
    if trainer.replicas is not None:  # the file is the first process's
        trainer.replicas.part_ways(network, trainer.rng)


def _generators(trainer: Trainer) -> list[np.random.Generator]:
    """Return the generators of a trainer and of the parts of its network, each once."""
    owned = [trainer.rng, *generators_of(trainer.network)]
    return list({id(rng): rng for rng in owned}.values())


def _digest(trainers: Sequence[Trainer], epochs: int) -> str:
    """Return what names a training: its data, options, start weights and generators."""
    digest = hashlib.blake2b(digest_size=12)
    for trainer in trainers:
        tensors, _ = _capture(trainer)
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


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    chosen = {name: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    return {name.removeprefix(prefix): tensor for name, tensor in chosen.items()}
