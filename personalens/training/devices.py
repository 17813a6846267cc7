"""Where to train, on how many threads, and how exactly to compute on a GPU."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

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

    Raises
    ------
    ValueError
        For another name, or for "cuda" where there is none, or in a process that was forked when
        its parent computed on it already: CUDA cannot be shared in this way.

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
