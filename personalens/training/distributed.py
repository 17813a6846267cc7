"""One training in several processes, each with a share of every batch.

Each process holds the whole network and all data. It reads its share of the batch, and the
gradients are added up over all processes before each step, so that the weights stay the same
everywhere: synchronous data parallelism, as ``torch.nn.parallel.DistributedDataParallel`` does it
(Li et al., "PyTorch Distributed: Experiences on Accelerating Data Parallel Training", VLDB 2020),
in its plainest form and with one difference: a process counts as much as it has targets.

How to use it: a script that trains inside :func:`process_group`, started by ``torchrun``::

    torchrun --standalone --nproc-per-node 2 benchmarks/distributed_training.py events.csv model
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from datetime import timedelta

import numpy as np
import torch
from torch import distributed as dist
from torch import nn

from personalens.networks.dropout import generators_of

_TIMEOUT = timedelta(minutes=30)


@contextmanager
def process_group() -> Iterator[int]:
    """Join the processes that ``torchrun`` started, and leave them afterwards; yield this one's
    rank. A process that nobody else was started with trains alone, with rank 0.

    Weights on a CPU are sent by Gloo; those on GPUs by NCCL, each process on the GPU of its local
    rank.
    """
    if "RANK" not in os.environ:
        yield 0
        return
    backend = "gloo"
    if torch.cuda.is_available():
        backend = "cpu:gloo,cuda:nccl"
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group(backend, timeout=_TIMEOUT)
    try:
        yield dist.get_rank()
    finally:
        dist.destroy_process_group()


def joined_replicas() -> Replicas | None:
    """Return the processes that this one trains with; None where it is alone."""
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return None
    return Replicas(dist.get_rank(), dist.get_world_size())


class InTurn(Executor):
    """Runs what it is given at once. What two threads send would come in another order in every
    process, and be mistaken for each other."""

    def submit(self, task, /, *arguments, **named):
        done = Future()
        done.set_result(task(*arguments, **named))
        return done


class Replicas:
    """The processes that train the same network together.

    Attributes
    ----------
    rank, size
        Which of them this one is, and how many there are.
    """

    def __init__(self, rank: int, size: int):
        self.rank, self.size = rank, size

    def share(self, chosen: np.ndarray) -> np.ndarray:
        """Return this process's part of a batch; empty if there are more processes than rows."""
        return chosen[self.rank :: self.size]

    def begin(self, network: nn.Module) -> None:
        """Give all processes the first one's weights."""
        for weights in network.parameters():
            dist.broadcast(weights.data, 0)

    def part_ways(self, network: nn.Module, rng: np.random.Generator) -> None:
        """Have each process drop other values: seed the network's generators anew, by the rank and
        by the state of a generator that is alike in all processes."""
        seed = int(copy.deepcopy(rng).integers(2**63))
        for place, own in enumerate(generators_of(network)):
            fresh = np.random.default_rng([seed, place, self.rank])
            own.bit_generator.state = fresh.bit_generator.state

    def merge_gradients(self, network: nn.Module, loss: float, targets: int) -> tuple[float, int]:
        """Turn the gradients of this share's mean loss into those of the whole batch's mean loss;
        return that loss and the number of all targets.

        The mean over a batch is the mean of the shares' means, each weighted by its targets.
        """
        parameters = list(network.parameters())
        for weights in parameters:
            if weights.grad is None:
                weights.grad = torch.zeros_like(weights)
        figures = parameters[0].new_tensor([loss, 1.0])
        whole = torch.cat([*(weights.grad.flatten() for weights in parameters), figures])
        whole *= targets
        dist.all_reduce(whole)
        loss_sum, count = whole[-2:].tolist()
        whole /= max(count, 1.0)
        sizes = [weights.numel() for weights in parameters]
        for weights, gradient in zip(parameters, whole[:-2].split(sizes), strict=True):
            weights.grad.copy_(gradient.view_as(weights))
        return loss_sum / max(count, 1.0), int(count)

    def agree(self, figure: float) -> float:
        """Return the first process's figure in all of them, so that all decide alike."""
        value = torch.tensor(figure, dtype=torch.float64)
        dist.broadcast(value, 0)
        return value.item()
