"""Where to train, and how to set the machine up for it."""

from __future__ import annotations

import torch


def choose_device(name: str) -> torch.device:
    """Return the device for "auto", "cpu" or "cuda".

    "auto" is CUDA where it is available, else the CPU.

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
