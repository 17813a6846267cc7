"""Where a training computes: on which device and how many threads, and in which processes."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta

import numpy as np
import torch
from torch import distributed as dist
from torch import nn

_gpu_in_use = _gpu_is_the_parents = False


def _before_fork() -> None:
    global _gpu_in_use
    _gpu_in_use = torch.cuda.is_initialized()


def _after_fork_in_child() -> None:
    """OpenMP keeps a pool of threads for the thread that computes, and a fork copies the pool's
    books without its threads: the first operation on several would wait for them for ever. With
    one thread the pool is not asked. That is what PyTorch's own data loaders do, and where several
    processes compute, it is what each should have."""
    global _gpu_is_the_parents
    _gpu_is_the_parents = _gpu_is_the_parents or _gpu_in_use
    torch.set_num_threads(1)


os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)


def choose_device(name: str) -> torch.device:
    """Return the device for "auto", "cpu" or "cuda"; "auto" is CUDA where there is one.

    CUDA is refused in a process that was forked when its parent computed on it: it cannot be shared
    in this way.

    Examples
    --------
    >>> choose_device("cpu")
    device(type='cpu')
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f'device is {name!r}; choose "auto", "cpu" or "cuda"')
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError('device is "cuda", but this machine has no CUDA device; use "auto"')
    if name == "cuda" and _gpu_is_the_parents:
        raise ValueError(
            'device is "cuda", but this process was forked from one that uses the GPU; start it by '
            'the "spawn" method, or use "auto"'
        )
    if name == "auto":
        name = "cuda" if not _gpu_is_the_parents and torch.cuda.is_available() else "cpu"
    return torch.device(name)


def threads_of_each() -> int:
    """Return on how many threads each of two trainings side by side should compute: half of those
    that PyTorch would use. One alone takes no more, so that both ways give the same model."""
    return max(1, torch.get_num_threads() // 2)


def second_thread(threads: int) -> Executor:
    """Return what does work beside the caller, its tensor operations on so many threads."""
    return ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(threads,))


def mixed_precision(device: torch.device) -> AbstractContextManager:
    """Have products run in bfloat16 on a GPU that has it, inside the block. A CPU keeps float32."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()


@contextmanager
def tensor_cores(device: torch.device) -> Iterator[None]:
    """Have products of float32 matrices on a GPU round their factors to TF32 inside the block."""
    before = torch.get_float32_matmul_precision()
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def compute_threads(count: int) -> Iterator[None]:
    """Have this thread's tensor operations run on ``count`` threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# -- one training in several processes, each with a share of every batch ---------------------------

_TIMEOUT = timedelta(minutes=30)


@contextmanager
def process_group() -> Iterator[int]:
    """Join the processes that ``torchrun`` started, and leave them afterwards; yield this one's
    rank. A process that nobody else was started with trains alone, with rank 0::

        torchrun --standalone --nproc-per-node 2 -m benchmarks.distributed_training events.csv model

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
    """The processes that train the same network together, and which of them this one is.

    Each holds the whole network and all data. It reads its share of the batch, and the gradients
    are added up over all processes before each step, so that the weights stay the same everywhere:
    synchronous data parallelism, as ``torch.nn.parallel.DistributedDataParallel`` does it (Li et
    al., "PyTorch Distributed", VLDB 2020), in its plainest form and with one difference: a process
    counts as much as it has targets.
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
        """Have each process drop other values: seed the network's generators again, by the rank and
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


def generators_of(network: nn.Module) -> list[np.random.Generator]:
    """Return the generators that the parts of a network draw from, each once."""
    owned = [value for part in network.modules() for value in vars(part).values()]
    return list({id(rng): rng for rng in owned if isinstance(rng, np.random.Generator)}.values())
