"""The trainer: a network, its optimiser, and where in the epochs they stand."""

from __future__ import annotations

import copy
import math
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from personalens.networks.session_network import SessionNetwork, seen_before
from personalens.training.batches import Sequences, Windows, bucketed_batches, make_batch
from personalens.training.devices import (
    mixed_precision,
)
from personalens.training.distributed import joined_replicas
from personalens.training.losses import OutputLoss
from personalens.training.optimizer import AdamW
from personalens.training.options import TrainingOptions
from personalens.training.reporter import Listener


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

    Attributes
    ----------
    position
        Where the training is.
    kept
        The weights that :meth:`keep` remembered.
    between_steps
        Held during each step: who holds it sees the trainer as it is between two of them.
    replicas
        The processes that train the same network, each with a share of every batch; None where this
        one is alone. They are those of the process group that has been joined.
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
        self.kept: dict[str, torch.Tensor] = {}
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
