"""Histories of very different lengths, as dense batches with little padding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

NO_TARGET = -1


@dataclass(frozen=True, eq=False)
class Sequences:
    """Rows of all histories, one after the other.

    Attributes
    ----------
    inputs
        Name -> (n,) int64: what the network reads at each row, item codes and features.
    targets
        (n,) int64, the item that follows; ``NO_TARGET`` where none is to be predicted.
    offsets
        (histories + 1,) int64: history ``h`` owns rows ``offsets[h]:offsets[h + 1]``.
    """

    inputs: dict[str, np.ndarray]
    targets: np.ndarray
    offsets: np.ndarray


@dataclass(frozen=True, eq=False)
class Windows:
    """Stretches of rows that go through the network in one piece.

    Rows ``starts[w]:stops[w]`` are read, and the targets of rows from ``first_targets[w]`` on
    count.
    """

    starts: np.ndarray
    stops: np.ndarray
    first_targets: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def lengths(self) -> np.ndarray:
        """Rows in each window."""
        return self.stops - self.starts


@dataclass(frozen=True, eq=False)
class Batch:
    """A few windows side by side, time first: L steps of B windows.

    ``inputs`` name -> (L, B) int64; ``positions`` (n,) index into the L * B places, of those that
    have a target; ``targets`` (n,) the targets there; ``owners`` (n,) the window each belongs to.
    """

    inputs: dict[str, Tensor]
    positions: Tensor
    targets: Tensor
    owners: np.ndarray

    def to(self, device: torch.device) -> Batch:
        """Return the batch on another device."""
        inputs = {name: values.to(device) for name, values in self.inputs.items()}
        return Batch(inputs, self.positions.to(device), self.targets.to(device), self.owners)


def cut_windows(offsets: np.ndarray, length: int, *, context: int = 0) -> Windows:
    """Cut histories into windows in which every row's target counts exactly once.

    Parameters
    ----------
    offsets
        Borders of the histories.
    length
        Most targets in a window. The cuts are counted from the end, so that the newest window is
        a full one.
    context
        Rows that a window reads, without their targets, before its own.

    Examples
    --------
    A history of 7 rows in windows of 3, each led in by 1 row:

    >>> windows = cut_windows(np.array([0, 7]), 3, context=1)
    >>> list(zip(windows.starts.tolist(), windows.first_targets.tolist(), windows.stops.tolist()))
    [(0, 0, 1), (0, 1, 4), (3, 4, 7)]
    """
    counts = np.diff(offsets)
    pieces = -(-counts // length)
    history = np.repeat(np.arange(len(counts)), pieces)
    behind = np.repeat(np.cumsum(pieces), pieces) - 1 - np.arange(len(history))
    stops = offsets[1:][history] - behind * length
    begin = offsets[:-1][history]
    first_targets = np.maximum(stops - length, begin)
    return Windows(np.maximum(first_targets - context, begin), stops, first_targets)


def bucketed_batches(
    lengths: np.ndarray, batch_size: int, rng: np.random.Generator | None = None
) -> list[np.ndarray]:
    """Return positions of windows in batches of similar length, so that little is padding.

    With ``rng`` the lengths are blurred by a few steps, so that the company changes from epoch to
    epoch, and the batches come in random order; without it the order is by length.
    """
    key = lengths if rng is None else lengths + rng.normal(0.0, 5.0, len(lengths))
    order = np.argsort(key, kind="stable")
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    if rng is not None:
        rng.shuffle(batches)
    return batches


def make_batch(sequences: Sequences, windows: Windows, chosen: np.ndarray) -> Batch:
    """Return the chosen windows side by side."""
    starts, lengths = windows.starts[chosen], windows.lengths[chosen]
    steps = np.arange(int(lengths.max(initial=0)))[:, None]
    rows = np.minimum(starts + steps, windows.stops[chosen] - 1)  # (L, B); pads repeat the last row
    real = (steps < lengths) & (rows >= windows.first_targets[chosen])
    targets = np.where(real, sequences.targets[rows], NO_TARGET).ravel()
    positions = np.flatnonzero(targets != NO_TARGET)
    return Batch(
        inputs={name: torch.from_numpy(values[rows]) for name, values in sequences.inputs.items()},
        positions=torch.from_numpy(positions),
        targets=torch.from_numpy(targets[positions]),
        owners=chosen[positions % len(chosen)],
    )


def iterate_batches(
    sequences: Sequences,
    windows: Windows,
    batch_size: int,
    rng: np.random.Generator | None = None,
) -> Iterator[Batch]:
    """Yield all windows once."""
    for chosen in bucketed_batches(windows.lengths, batch_size, rng):
        yield make_batch(sequences, windows, chosen)
