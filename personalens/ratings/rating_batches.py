"""Ratings in the order of each user's time, cut into windows, and a training loop over them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from personalens.progress import Progress, ProgressEvent
from personalens.ratings.rating_network import RatingBatch
from personalens.training.batches import bucketed_batches
from personalens.training.devices import compute_threads

WINDOW, CONTEXT = 128, 64
"""Most ratings that are read at once, and how many of them lead in those that count."""
_WARM_UP_STEPS = 10


@dataclass(frozen=True, eq=False)
class RatingRows:
    """What a network reads of ratings: one row each, user by user, oldest first.

    As in :class:`~personalens.ratings.rating_network.RatingBatch`: ``items`` (n,), ``values``
    (n,) float32 with NaN where a rating is asked for, ``features`` (n, F), ``sessions`` (n, S),
    ``circumstances`` (n, A) float32, ``places`` (n,) float32: how many known ratings of the user
    stand before; ``offsets`` (users + 1,) are the users' borders.
    """

    items: np.ndarray
    values: np.ndarray
    features: np.ndarray
    sessions: np.ndarray
    circumstances: np.ndarray
    places: np.ndarray
    offsets: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """(n,) bool: the rows whose rating is known."""
        return ~np.isnan(self.values)


class Window(NamedTuple):
    """``rows`` (L,) of one user; those from ``first`` on count."""

    rows: np.ndarray
    first: int


def known_windows(rows: RatingRows) -> list[Window]:
    """Return windows in which every known rating counts once.

    They are cut from a history's beginning, so that what comes later moves no border: a rating at
    place p (from 0) is read with those from place 64 * max(0, p // 64 - 1) on.
    """
    windows = []
    places = np.flatnonzero(rows.known)
    borders = np.searchsorted(places, rows.offsets)
    for begin, end in pairwise(borders):
        history = places[begin:end]
        for start in range(0, max(1, len(history) - CONTEXT), WINDOW - CONTEXT):
            piece = history[start : start + WINDOW]
            if len(piece):
                windows.append(Window(piece, CONTEXT if start else 0))
    return windows


def question_windows(rows: RatingRows, asked: np.ndarray) -> list[Window]:
    """Return one window for each row that is asked for: known ratings before it, then itself."""
    places = np.flatnonzero(rows.known)
    user = np.searchsorted(rows.offsets, asked, side="right") - 1
    begin = np.searchsorted(places, rows.offsets[user])
    end = np.searchsorted(places, asked)
    step = WINDOW - CONTEXT
    begin = begin + step * np.maximum((end - begin) // step - 1, 0)
    return [
        Window(np.append(places[first:last], row), last - first)
        for first, last, row in zip(begin, end, asked, strict=True)
    ]


def make_rating_batch(
    rows: RatingRows, windows: Sequence[Window], device: torch.device
) -> tuple[RatingBatch, np.ndarray]:
    """Return windows side by side, and the rows at the places that count."""
    steps = max(len(window.rows) for window in windows)
    index = np.zeros((len(windows), steps), np.int64)
    present, counts = np.zeros((2, *index.shape), bool)
    for line, window in enumerate(windows):
        stop = len(window.rows)
        index[line, :stop] = window.rows
        present[line, :stop] = counts[line, window.first : stop] = True
    arrays = (
        rows.items[index],
        np.nan_to_num(rows.values[index]),
        rows.features[index],
        rows.sessions[index],
        rows.circumstances[index],
        rows.places[index],
        present,
        counts,
    )
    return RatingBatch(*(torch.from_numpy(a).to(device) for a in arrays)), index[counts]


def train_ratings(
    network: nn.Module,
    rows: RatingRows,
    *,
    epochs: int,
    learning_rate: float,
    penalty: float,
    batch_size: int,
    rng: np.random.Generator,
    progress: Progress,
) -> list[dict[str, float]]:
    """Train a network to predict every known rating; return one dict per epoch: epoch, rmse.

    Parameters
    ----------
    network
        Called with a batch, returns (B, L) values; its ``penalty()`` is kept small.
    penalty
        What ``network.penalty()`` counts beside the sum of squared errors.
    """
    windows = known_windows(rows)
    lengths = np.array([len(window.rows) for window in windows])
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
    total, log, step = int(rows.known.sum()), [], 0
    network.train()
    with compute_threads(1):
        for epoch in range(1, epochs + 1):
            squares = 0.0
            chosen = bucketed_batches(lengths, batch_size, rng)
            for number, picks in enumerate(chosen, start=1):
                done = step / (len(chosen) * epochs)
                rate = min(1.0, (step + 1) / _WARM_UP_STEPS) * 0.5 * (1 + math.cos(math.pi * done))
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate * rate
                squares += _step(network, optimizer, rows, [windows[p] for p in picks], penalty)
                step += 1
                progress(
                    ProgressEvent(
                        "training on ratings",
                        fraction=(epoch - 1 + number / len(chosen)) / epochs,
                        epoch=epoch,
                        epochs=epochs,
                    )
                )
            log.append({"epoch": epoch, "rmse": math.sqrt(squares / total)})
    network.eval()
    return log


def _step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    rows: RatingRows,
    windows: list[Window],
    penalty: float,
) -> float:
    """Take one step and return the batch's sum of squared errors."""
    batch, _ = make_rating_batch(rows, windows, next(network.parameters()).device)
    errors = (network(batch) - batch.values)[batch.counts]
    loss = errors.square().mean() + penalty / int(rows.known.sum()) * network.penalty()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return float(errors.detach().square().sum())


@torch.no_grad()
def predict_values(network: nn.Module, rows: RatingRows, asked: np.ndarray) -> np.ndarray:
    """Return the values expected at these rows, (len(asked),) float64."""
    values = np.full(len(rows.values), np.nan)
    is_asked = np.zeros(len(values), bool)
    is_asked[asked] = True
    windows = [w for w in known_windows(rows) if is_asked[w.rows[w.first :]].any()]
    windows += question_windows(rows, np.flatnonzero(is_asked & ~rows.known))
    device = next(network.parameters()).device
    with compute_threads(1):
        for batch, counted in _in_batches(rows, windows, device):
            values[counted] = network(batch)[batch.counts].cpu().numpy()
    return values[asked]


def _in_batches(
    rows: RatingRows, windows: list[Window], device: torch.device
) -> Iterator[tuple[RatingBatch, np.ndarray]]:
    for picks in bucketed_batches(np.array([len(w.rows) for w in windows], np.int64), 64):
        yield make_rating_batch(rows, [windows[p] for p in picks], device)
