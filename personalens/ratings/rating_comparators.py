"""What the rating head is compared with: a factorisation machine, I-AutoRec, and a plain RNN.

They are no recipes: the service does not offer them. The first two learn from a table of who rated
what how, and know nothing of a person or a rating that came after. The RNN reads histories.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd

from personalens.datasets.id_maps import IdMap
from personalens.datasets.interactions import ITEM_ID, Interactions
from personalens.datasets.metadata import Metadata
from personalens.ratings.rating_sequence_model import RatingSequenceModel
from personalens.recipes.event_reader import ItemFields

if TYPE_CHECKING:  # torch is loaded when training or prediction starts
    import torch
    from torch import nn

    from personalens.ratings.rating_batches import RatingRows

AfterEpoch = Callable[[int], None]
"""Called with the number of each epoch; the model can be asked then."""


class FM:
    """Ratings from user, item and the item's metadata (genres and decade, say).

    Parameters
    ----------
    size
        Of the vectors. 0: weights alone, that is, offsets of user and item.
    penalty
        Of the squares of everything that makes a rating, per rating.
    epochs, learning_rate, batch_size, seed
        Of the training, by Adam.
    """

    def __init__(
        self,
        *,
        size: int = 8,
        penalty: float = 0.05,
        epochs: int = 10,
        learning_rate: float = 0.01,
        batch_size: int = 1024,
        seed: int = 0,
    ):
        self.size, self.penalty, self.epochs = size, penalty, epochs
        self.learning_rate, self.batch_size, self.seed = learning_rate, batch_size, seed

    def fit(
        self,
        ratings: Interactions,
        *,
        items: pd.DataFrame | None = None,
        after_epoch: AfterEpoch | None = None,
    ) -> Self:
        """Train and return self."""
        import torch

        from personalens.networks.session_network import FieldValues
        from personalens.ratings.comparator_networks import FactorizationMachine

        known = ratings.select(~np.isnan(ratings.event_values))
        self.users_ = IdMap.from_values(known.users.decode(np.unique(known.user_codes)))
        self.items_ = IdMap.from_values(known.items.decode(np.unique(known.item_codes)))
        metadata = Metadata.from_frame(_with_decade(items, self.items_), ITEM_ID)
        metadata = metadata.align(self.items_)
        fields = ItemFields.fit(metadata)
        table = (np.concatenate([part, 0 * part[:1]]) for part in fields.encode(metadata))
        rng = np.random.default_rng(self.seed)
        self.network_ = FactorizationMachine(
            len(self.users_),
            len(self.items_),
            FieldValues(*(torch.from_numpy(part) for part in table)),
            fields.size,
            size=self.size,
            mean=float(known.event_values.mean()),
            rng=rng,
        )
        self._train(known, rng, after_epoch)
        return self

    def _train(
        self, ratings: Interactions, rng: np.random.Generator, after_epoch: AfterEpoch | None
    ) -> None:
        import torch

        from personalens.training.devices import compute_threads

        users, items = self._codes(ratings)
        values = torch.from_numpy(ratings.event_values)
        optimizer = torch.optim.Adam(self.network_.parameters(), lr=self.learning_rate)
        with compute_threads(1):
            for epoch in range(1, self.epochs + 1):
                order = torch.from_numpy(rng.permutation(len(values)))
                for rows in order.split(self.batch_size):
                    predicted, squares = self.network_(users[rows], items[rows])
                    loss = (predicted - values[rows]).square().sum() + self.penalty * squares
                    optimizer.zero_grad()
                    (loss / len(rows)).backward()
                    optimizer.step()
                if after_epoch is not None:
                    after_epoch(epoch)

    def predict(self, ratings: Interactions, rows: np.ndarray) -> np.ndarray:
        """Return the expected ratings at some rows, (n,) float64."""
        import torch

        users, items = (codes[np.array(rows)] for codes in self._codes(ratings))
        with torch.no_grad():
            return self.network_(users, items)[0].numpy().astype(np.float64)

    def _codes(self, ratings: Interactions) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (n,) codes of users and of items; the number beyond stands for others."""
        import torch

        users = self.users_.encode(ratings.users.ids)[ratings.user_codes].astype(np.int64)
        items = self.items_.encode(ratings.items.ids)[ratings.item_codes].astype(np.int64)
        users[users < 0], items[items < 0] = len(self.users_), len(self.items_)
        return torch.from_numpy(users), torch.from_numpy(items)


class IAutoRec:
    """An autoencoder over each item's ratings, on what shrunk offsets of user and item leave over.

    Parameters
    ----------
    hidden_size
        Width of the hidden layer.
    penalty
        Of squared weights.
    item_shrink, user_shrink
        Ratings of zero offset that are mixed into each item's and each user's mean.
    epochs, learning_rate, batch_size, seed
        Of the training, by Adam; ``batch_size`` items at once.

    Notes
    -----
    Without the offsets it does worse on thin data, where most of a row are zeros that mean nothing.
    """

    def __init__(
        self,
        *,
        hidden_size: int = 200,
        penalty: float = 3.0,
        item_shrink: float = 5.0,
        user_shrink: float = 5.0,
        epochs: int = 20,
        learning_rate: float = 0.001,
        batch_size: int = 64,
        seed: int = 0,
    ):
        self.hidden_size, self.penalty = hidden_size, penalty
        self.item_shrink, self.user_shrink = item_shrink, user_shrink
        self.epochs, self.learning_rate = epochs, learning_rate
        self.batch_size, self.seed = batch_size, seed

    def fit(
        self,
        ratings: Interactions,
        *,
        items: pd.DataFrame | None = None,
        after_epoch: AfterEpoch | None = None,
    ) -> Self:
        """Train and return self. ``items`` are not read."""
        import torch

        from personalens.ratings.comparator_networks import AutoRec
        from personalens.training.devices import compute_threads

        known = ratings.select(~np.isnan(ratings.event_values))
        self._users, self._items = ratings.users, ratings.items
        self._fit_offsets(known)
        table = np.zeros((len(self._items), len(self._users)), np.float32)
        table[known.item_codes, known.user_codes] = known.event_values - self._offsets(known)
        is_rated = np.zeros(table.shape, np.float32)
        is_rated[known.item_codes, known.user_codes] = 1.0
        values, mask = torch.from_numpy(table), torch.from_numpy(is_rated)
        rng = np.random.default_rng(self.seed)
        network = AutoRec(len(self._users), hidden_size=self.hidden_size, rng=rng)
        optimizer = torch.optim.Adam(network.parameters(), lr=self.learning_rate)
        rated = np.unique(known.item_codes)
        with compute_threads(1):
            for epoch in range(1, self.epochs + 1):
                order = torch.from_numpy(rng.permutation(rated).astype(np.int64))
                for rows in order.split(self.batch_size):
                    errors = (network(values[rows]) - values[rows]) * mask[rows]
                    share = len(rows) / len(rated)
                    loss = errors.square().sum() + self.penalty * share * network.penalty()
                    optimizer.zero_grad()
                    (loss / len(rows)).backward()
                    optimizer.step()
                if after_epoch is not None or epoch == self.epochs:
                    with torch.no_grad():
                        self.table_ = network(values).numpy()
                if after_epoch is not None:
                    after_epoch(epoch)
        return self

    def predict(self, ratings: Interactions, rows: np.ndarray) -> np.ndarray:
        """Return the expected ratings at some rows, (n,) float64."""
        asked = ratings.select(np.sort(rows))
        users = self._users.encode(asked.users.ids)[asked.user_codes]
        items = self._items.encode(asked.items.ids)[asked.item_codes]
        predicted = self._offsets(asked)
        # Whoever, or whatever, has no rating in training has nothing that could be spelled out.
        known = (users >= 0) & (items >= 0)
        known &= self._is_known_user[users] & self._is_known_item[items]
        predicted[known] += self.table_[items[known], users[known]]
        answers = np.empty(len(rows))
        answers[np.argsort(rows, kind="stable")] = predicted
        return answers

    def _fit_offsets(self, ratings: Interactions) -> None:
        values = ratings.event_values.astype(np.float64)
        self.mean_ = values.mean()
        left = values - self.mean_
        self.item_offsets_, self._is_known_item = _shrunk_means(
            ratings.item_codes, left, len(self._items), self.item_shrink
        )
        left = left - self.item_offsets_[ratings.item_codes]
        self.user_offsets_, self._is_known_user = _shrunk_means(
            ratings.user_codes, left, len(self._users), self.user_shrink
        )

    def _offsets(self, ratings: Interactions) -> np.ndarray:
        """Return mean + offsets for each rating, (n,) float64; offsets are 0 where unknown."""
        users = self._users.encode(ratings.users.ids)[ratings.user_codes]
        items = self._items.encode(ratings.items.ids)[ratings.item_codes]
        of_item = np.where(items >= 0, self.item_offsets_[items], 0.0)
        return self.mean_ + of_item + np.where(users >= 0, self.user_offsets_[users], 0.0)


class RatingRNN(RatingSequenceModel):
    """A plain recurrent network over items and ratings.

    Parameters
    ----------
    hidden_dimension, embedding_dimension
        Widths of the recurrent state and of the item vectors.
    epochs, learning_rate, penalty, batch_size, seed, device
        As in :class:`~personalens.ratings.rating_sequence_model.RatingSequenceModel`.
    """

    def __init__(
        self,
        *,
        hidden_dimension: int = 64,
        embedding_dimension: int = 32,
        epochs: int = 6,
        learning_rate: float = 0.01,
        penalty: float = 10.0,
        batch_size: int = 32,
        seed: int = 0,
        device: str = "auto",
    ):
        super().__init__(
            epochs=epochs,
            learning_rate=learning_rate,
            penalty=penalty,
            batch_size=batch_size,
            seed=seed,
            device=device,
        )
        self.hidden_dimension = hidden_dimension
        self.embedding_dimension = embedding_dimension

    def _begin(self, ratings: Interactions, items: Metadata | None) -> None:
        self.mean_ = float(np.nanmean(ratings.event_values))

    def _network(self, rng: np.random.Generator) -> nn.Module:
        from personalens.ratings.comparator_networks import RatingGRU

        return RatingGRU(
            len(self.items_),
            hidden_size=self.hidden_dimension,
            embedding_size=self.embedding_dimension,
            rng=rng,
        )

    def _read(self, ratings: Interactions) -> tuple[RatingRows, np.ndarray]:
        from personalens.ratings.rating_batches import RatingRows

        codes = self.items_.encode(ratings.items.ids)[ratings.item_codes]
        nothing = np.zeros((len(ratings), 0), np.int64)
        rows = RatingRows(
            items=np.where(codes < 0, len(self.items_), codes).astype(np.int64),
            values=(ratings.event_values - self.mean_).astype(np.float32),
            features=nothing,
            sessions=nothing,
            circumstances=nothing.astype(np.float32),
            places=np.zeros(len(ratings), np.float32),
            offsets=ratings.offsets,
        )
        return rows, np.full(len(ratings), self.mean_)


def _shrunk_means(
    codes: np.ndarray, values: np.ndarray, size: int, shrink: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return (size,) sums divided by counts + shrink, and whether there is any."""
    counts = np.bincount(codes, minlength=size)
    sums = np.bincount(codes, weights=values, minlength=size)
    return sums / np.maximum(counts + shrink, 1e-9), counts > 0


def _with_decade(items: pd.DataFrame | None, ids: IdMap) -> pd.DataFrame:
    """Return the Items table with DECADE in place of YEAR; of nothing a table of ids."""
    if items is None:
        return pd.DataFrame({ITEM_ID: ids.ids})
    if "YEAR" not in items:
        return items
    decade = (items["YEAR"] // 10 * 10).astype("string") + "s"
    return items.drop(columns="YEAR").assign(DECADE=decade)
