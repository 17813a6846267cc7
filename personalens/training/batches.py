"""Histories of very different lengths, as dense batches with little padding."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from personalens.networks.session_network import Events

NO_TARGET = -1
_BLUR = 5.0
"""Steps by which window lengths are blurred before batches are formed."""


@dataclass(frozen=True, eq=False)
class Sequences:
    """The rows of all histories, one history after the other."""

    items: np.ndarray  # (n,) int64: the item read at each row
    features: np.ndarray  # (n, F) int64: the row's features
    targets: np.ndarray  # (n,) int64: the item that follows; NO_TARGET: none is to be predicted
    offsets: np.ndarray  # (histories + 1,): history h owns rows offsets[h]:offsets[h + 1]
    queries: np.ndarray  # (n, Q) int64: what is known of the request that follows
    weights: np.ndarray | None = None  # (n,) float32: how much each target matters, 1 on average

    def weighted(self, weights: np.ndarray | None) -> Sequences:
        """Return the same rows with weights, in any unit, for those that have a target."""
        if weights is None:
            return self
        asked = self.targets != NO_TARGET
        of_rows = np.zeros(len(asked), np.float32)
        of_rows[asked] = weights / max(weights.mean(), np.finfo(np.float32).tiny)
        return replace(self, weights=of_rows)


@dataclass(frozen=True, eq=False)
class Windows:
    """Stretches of rows that go through the network in one piece.

    Rows ``starts[w]:stops[w]`` are read; the targets of those from ``first_targets[w]`` on count.
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
    """A few windows side by side, time first: L steps of B windows."""

    events: Events
    positions: Tensor  # (n,): those of the L * B places that have a target
    targets: Tensor  # (n,): the targets there
    owners: np.ndarray  # (n,): the windows that they belong to
    weights: Tensor | None = None  # (n,): how much each target matters; None: all the same

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device. Copies to a GPU go on while the caller does other work."""
        if device.type == "cpu":
            return self

        def move(values: Tensor) -> Tensor:
            return values.pin_memory().to(device, non_blocking=True)

        weights = None if self.weights is None else move(self.weights)
        events = Events(*map(move, self.events))
        return Batch(events, move(self.positions), move(self.targets), self.owners, weights)


def cut_windows(offsets: np.ndarray, length: int, *, context: int = 0) -> Windows:
    """Cut histories into windows of at most ``length`` targets, in which every row's target counts
    exactly once. Cuts are counted from the end: the newest window is a full one. A window reads
    ``context`` rows before its own, whose targets count in the window before.

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
    later = np.repeat(np.cumsum(pieces), pieces) - 1 - np.arange(len(history))
    begin, stops = offsets[:-1][history], offsets[1:][history] - later * length
    first_targets = np.maximum(stops - length, begin)
    return Windows(np.maximum(first_targets - context, begin), stops, first_targets)


def newest_windows(offsets: np.ndarray, length: int, *, asked: int | np.ndarray) -> Windows:
    """Return one window for each history: its newest rows, of which the last ``asked`` count.

    The first that counts is read with at most ``length`` rows, itself included.

    Examples
    --------
    >>> windows = newest_windows(np.array([0, 9, 11]), 3, asked=2)
    >>> list(zip(windows.starts.tolist(), windows.first_targets.tolist(), windows.stops.tolist()))
    [(5, 7, 9), (9, 9, 11)]
    """
    stops = offsets[1:]
    first_targets = np.maximum(stops - asked, offsets[:-1])
    return Windows(np.maximum(first_targets + 1 - length, offsets[:-1]), stops, first_targets)


def bucketed_batches(
    lengths: np.ndarray, batch_size: int, rng: np.random.Generator | None = None
) -> list[np.ndarray]:
    """Return positions of windows in batches of similar length, so that little is padding.

    With ``rng`` the lengths are blurred by a few steps, so that windows meet others in every epoch,
    and the batches come in random order; without it they come by length.
    """
    key = lengths if rng is None else lengths + rng.normal(0.0, _BLUR, len(lengths))
    order = np.argsort(key, kind="stable")
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    if rng is not None:
        rng.shuffle(batches)
    return batches


def make_batch(sequences: Sequences, windows: Windows, chosen: np.ndarray) -> Batch:
    """Return the chosen windows side by side. Pads repeat a window's last row and have no target;
    they come after it, so that nothing that counts has read them."""
    starts, stops = windows.starts[chosen], windows.stops[chosen]
    steps = np.arange(int((stops - starts).max(initial=0)))[:, None]
    rows = np.minimum(starts + steps, stops - 1)  # (L, B)
    counts = (starts + steps < stops) & (rows >= windows.first_targets[chosen])
    targets = np.where(counts, sequences.targets[rows], NO_TARGET).ravel()
    positions = np.flatnonzero(targets != NO_TARGET)
    weights = sequences.weights
    return Batch(
        Events(
            torch.from_numpy(sequences.items[rows]),
            torch.from_numpy(sequences.features[rows]),
            torch.from_numpy(sequences.queries[rows]),
        ),
        positions=torch.from_numpy(positions),
        targets=torch.from_numpy(targets[positions]),
        owners=chosen[positions % max(1, len(chosen))],
        weights=None if weights is None else torch.from_numpy(weights[rows.ravel()[positions]]),
    )
