"""The trainer: a network, its optimiser, and where in the epochs they stand; and what validates it.

:mod:`personalens.training.loop` runs one trainer, or two side by side, through the epochs.
"""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from personalens.networks.session_network import SessionNetwork, seen_before
from personalens.training.batches import Sequences, Windows, bucketed_batches, make_batch
from personalens.training.devices import generators_of, joined_replicas, mixed_precision
from personalens.training.losses import OutputLoss
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
        self.optimizer = torch.optim.AdamW(
            network.parameters(),
            lr=options.learning_rate,
            weight_decay=options.weight_decay,
            fused=True,
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
        self.optimizer.zero_grad(set_to_none=True)
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
        rate = self.options.learning_rate * rise * 0.5 * (1.0 + math.cos(math.pi * done))
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    # -- all that the next steps depend on, for a checkpoint ---------------------------------------

    def capture(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return a copy of the state, tensors and what JSON can hold; from any thread."""
        with self.between_steps:
            tensors = {f"network.{name}": w for name, w in self.network.state_dict().items()}
            tensors |= {f"kept.{name}": w for name, w in self.kept.items()}
            for place, moments in self.optimizer.state_dict()["state"].items():
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
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
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
