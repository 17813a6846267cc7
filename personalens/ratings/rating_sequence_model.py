"""What models have in common that read a user's ratings in their order and predict the next."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd

from personalens.datasets.id_maps import IdMap
from personalens.datasets.interactions import ITEM_ID, Interactions
from personalens.datasets.metadata import Metadata
from personalens.progress import Progress, ignore_progress

if TYPE_CHECKING:  # torch is loaded when training or prediction starts
    from torch import nn

    from personalens.ratings.rating_batches import RatingRows

_PLACE = "PLACE_IN_THE_TABLE"


class RatingSequenceModel(ABC):
    """Base: a network that reads each user's ratings in their order and predicts the next.

    Parameters
    ----------
    epochs, learning_rate, penalty, batch_size
        Of the training; see :func:`~personalens.ratings.rating_batches.train_ratings`.
    seed, device
        As in every recipe.

    Attributes
    ----------
    items_
        Vocabulary: the items that are rated, and those of the Items table.
    training_log_
        One dict per epoch: epoch, and rmse one step ahead while training.
    """

    def __init__(
        self,
        *,
        epochs: int,
        learning_rate: float,
        penalty: float,
        batch_size: int = 32,
        seed: int = 0,
        device: str = "auto",
    ):
        self.epochs, self.learning_rate, self.penalty = epochs, learning_rate, penalty
        self.batch_size, self.seed, self.device = batch_size, seed, device
        self.network_: nn.Module | None = None

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
        from personalens.ratings.rating_batches import train_ratings
        from personalens.training.devices import choose_device

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
        self.training_log_ = train_ratings(
            network,
            rows,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            penalty=self.penalty,
            batch_size=self.batch_size,
            rng=rng,
            progress=progress,
        )
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
        from personalens.ratings.rating_batches import predict_values

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

    def _check_fitted(self) -> None:
        if self.network_ is None:
            raise RuntimeError("this rating model has not been trained: call fit() first")


def _interactions(ratings: Interactions | pd.DataFrame) -> Interactions:
    return ratings if isinstance(ratings, Interactions) else Interactions.from_frame(ratings)
