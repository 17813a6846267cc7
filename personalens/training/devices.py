"""Where to train, on how many threads, and how exactly to compute on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch


def choose_device(name: str) -> torch.device:
    """Return the device for "auto", "cpu" or "cuda"; "auto" is CUDA where there is one.

    Raises
    ------
    ValueError
        For another name, or for "cuda" where there is none.

    Examples
    --------
    >>> choose_device("cpu")
    device(type='cpu')
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f'device is {name!r}; choose "auto", "cpu" or "cuda"')
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError('device is "cuda", but this machine has no CUDA device; use "auto"')
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
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
