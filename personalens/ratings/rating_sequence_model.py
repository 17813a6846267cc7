"""Models that read a user's ratings in their order and predict the next one.

Ratings are cut into windows; one training loop serves every network that predicts all places of a
window at once.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
import torch
from torch import nn

from personalens.datasets.id_maps import IdMap
from personalens.datasets.interactions import ITEM_ID, Interactions
from personalens.datasets.metadata import Metadata
from personalens.progress import Progress, ProgressEvent, ignore_progress
from personalens.ratings.rating_network import RatingBatch
from personalens.training.batches import bucketed_batches
from personalens.training.devices import choose_device, compute_threads

WINDOW, CONTEXT = 128, 64
"""Most ratings that are read at once, and how many of them lead in those that count."""
_WARM_UP_STEPS = 10
_PLACE = "PLACE_IN_THE_TABLE"


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


def _step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    rows: RatingRows,
    windows: list[Window],
    penalty: float,
) -> float:
    """Take one step and return the batch's sum of squared errors. The loss counts the network's own
    ``penalty()`` beside it."""
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
        for picks in bucketed_batches(np.array([len(w.rows) for w in windows], np.int64), 64):
            batch, counted = make_rating_batch(rows, [windows[p] for p in picks], device)
            values[counted] = network(batch)[batch.counts].cpu().numpy()
    return values[asked]


@dataclass(kw_only=True, eq=False)
class RatingSequenceModel(ABC):
    """Base: a network that reads each user's ratings in their order and predicts the next.

    ``items_`` are the items that are rated and those of the Items table. ``training_log_`` has one
    dict per epoch: epoch, and rmse one step ahead while training.
    """

    epochs: int
    learning_rate: float
    penalty: float
    batch_size: int = 32
    seed: int = 0
    device: str = "auto"
    network_: nn.Module | None = field(default=None, init=False, repr=False)

    @abstractmethod
    def _begin(self, ratings: Interactions, items: Metadata | None) -> None:
        """Set what :meth:`_read` and :meth:`_network` need."""

    @abstractmethod
    def _network(self, rng: np.random.Generator) -> nn.Module:
        """Return the untrained network."""

    @abstractmethod
    def _read(self, ratings: Interactions) -> tuple[RatingRows, np.ndarray]:
        """Return the rows, and what was taken from each rating."""

    def fit(
        self,
        ratings: Interactions | pd.DataFrame,
        *,
        items: pd.DataFrame | Metadata | None = None,
        progress: Progress = ignore_progress,
    ) -> Self:
        """Train and return self.

        Parameters
        ----------
        ratings
            USER_ID, ITEM_ID, TIMESTAMP and the ratings as EVENT_VALUE.
        items
            The Items table; what is known of an item helps where few have rated it.
        progress
            Called with each report.

        Raises
        ------
        ValueError
            If there are no ratings.
        """
        ratings = _interactions(ratings)
        if ratings.event_values is None or np.isnan(ratings.event_values).all():
            raise ValueError("there are no ratings to learn from: EVENT_VALUE holds them")
        if items is not None and not isinstance(items, Metadata):
            items = Metadata.from_frame(items, ITEM_ID)
        rated = ratings.items.ids[np.unique(ratings.item_codes)]
        self.network_ = None  # a fit that fails or is cancelled leaves no model
        self.items_ = IdMap.from_values([*rated, *([] if items is None else items.ids.ids)])
        self._begin(ratings, None if items is None else items.align(self.items_))
        rows, _ = self._read(ratings)
        rng = np.random.default_rng(self.seed)
        network = self._network(rng).to(choose_device(self.device))
        self.training_log_ = self._train(network, rows, rng, progress)
        self.network_ = network
        return self

    def predict(
        self, ratings: Interactions | pd.DataFrame, rows: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the expected rating at some rows, each from what stands before it in time.

        Parameters
        ----------
        ratings
            Histories, of users known or not. A missing EVENT_VALUE is a question: it is answered,
            and teaches nothing.
        rows
            Which rows of an Interactions, or of a table in its own order. Default: all.

        Returns
        -------
        ndarray
            (n,) float64.
        """
        self._check_fitted()
        place = None
        if isinstance(ratings, pd.DataFrame):
            numbered = ratings.reset_index(drop=True)
            ratings = _interactions(numbered.assign(**{_PLACE: np.arange(len(numbered))}))
            place = np.argsort(ratings.context[_PLACE])
        rows = np.arange(len(ratings)) if rows is None else np.asarray(rows)
        rows = rows if place is None else place[rows]
        read, taken = self._read(ratings)
        return taken[rows] + predict_values(self.network_, read, rows)

    def _train(
        self, network: nn.Module, rows: RatingRows, rng: np.random.Generator, progress: Progress
    ) -> list[dict[str, float]]:
        """Train a network to predict every known rating: a warm-up, then a cosine to nothing."""
        windows = known_windows(rows)
        lengths = np.array([len(window.rows) for window in windows])
        optimizer = torch.optim.Adam(network.parameters(), lr=self.learning_rate)
        total, epochs, log, step = int(rows.known.sum()), self.epochs, [], 0
        network.train()
        with compute_threads(1):
            for epoch in range(1, epochs + 1):
                squares = 0.0
                chosen = bucketed_batches(lengths, self.batch_size, rng)
                steps = len(chosen) * epochs
                for picks in chosen:
                    rate = min(1.0, (step + 1) / _WARM_UP_STEPS)
                    rate = rate * 0.5 * (1 + math.cos(math.pi * (step / steps)))
                    for group in optimizer.param_groups:
                        group["lr"] = self.learning_rate * rate
                    batch = [windows[pick] for pick in picks]
                    squares += _step(network, optimizer, rows, batch, self.penalty)
                    step += 1
                    done = {"fraction": step / steps, "epoch": epoch, "epochs": epochs}
                    progress(ProgressEvent("training on ratings", **done))
                log.append({"epoch": epoch, "rmse": math.sqrt(squares / total)})
        network.eval()
        return log

    def _check_fitted(self) -> None:
        if self.network_ is None:
            raise RuntimeError("this rating model has not been trained: call fit() first")


def _interactions(ratings: Interactions | pd.DataFrame) -> Interactions:
    return ratings if isinstance(ratings, Interactions) else Interactions.from_frame(ratings)
