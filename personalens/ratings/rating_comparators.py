"""What the rating head is compared with: a factorisation machine, I-AutoRec, and a plain RNN.

They are no recipes: the service does not offer them. The first two learn from a table of who rated
what how, and know nothing of a person or a rating that came after. The RNN reads histories. Each
network stands before the model that trains it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from personalens.datasets.id_maps import IdMap
from personalens.datasets.interactions import ITEM_ID, Interactions
from personalens.datasets.metadata import Metadata
from personalens.networks.gru import GRU
from personalens.networks.session_network import FieldValues
from personalens.ratings.rating_network import RatingBatch
from personalens.ratings.rating_sequence_model import RatingRows, RatingSequenceModel
from personalens.recipes.item_fields import ItemFields
from personalens.training.devices import compute_threads

AfterEpoch = Callable[[int], None]
"""Called with the number of each epoch; the model can be asked then."""


def _train(
    network: nn.Module,
    rows: np.ndarray,
    loss_of: Callable[[Tensor], Tensor],
    settings: FM | IAutoRec,
    rng: np.random.Generator,
    after_epoch: AfterEpoch | None,
) -> None:
    """Take the rows in another order in each epoch, ``batch_size`` at once, by Adam."""
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    with compute_threads(1):
        for epoch in range(1, settings.epochs + 1):
            order = torch.from_numpy(rng.permutation(rows).astype(np.int64))
            for batch in order.split(settings.batch_size):
                optimizer.zero_grad()
                (loss_of(batch) / len(batch)).backward()
                optimizer.step()
            if after_epoch is not None:
                after_epoch(epoch)


class FactorizationMachine(nn.Module):
    """Mean + weights of user, item and the item's fields + products of all pairs of their vectors.

    The products are summed as half of (the sum's square - the squares' sum). Code ``users`` stands
    for anybody else, code ``items`` for any other item: they have neither weight nor vector.

    References
    ----------
    Rendle, "Factorization Machines", ICDM 2010.
    """

    def __init__(
        self,
        users: int,
        items: int,
        fields: FieldValues,
        field_values: int,
        *,
        size: int,
        mean: float,
        rng: np.random.Generator,
    ):
        super().__init__()
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        # The last column of each table is the weight.
        self.user = nn.Embedding(users + 1, size + 1, padding_idx=users)
        self.item = nn.Embedding(items + 1, size + 1, padding_idx=items)
        self.field = nn.Embedding(field_values, size + 1)
        self.mean = nn.Parameter(torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("codes", fields.codes)
        self.register_buffer("weights", fields.weights)
        with torch.no_grad():
            for table in (self.user, self.item, self.field):
                nn.init.normal_(table.weight, std=0.02, generator=generator)
                table.weight[:, -1] = 0.0
            self.user.weight[users] = 0.0
            self.item.weight[items] = 0.0

    def forward(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Return (n,) ratings, and the sum of squares of all parameters that made them."""
        of_user, of_item = self.user(users), self.item(items)
        parts = self.field(self.codes[items]) * self.weights[items][..., None]  # (n, M, E + 1)
        total = of_user + of_item + parts.sum(1)
        squares = of_user.square() + of_item.square() + parts.square().sum(1)
        pairs = 0.5 * (total[:, :-1].square() - squares[:, :-1]).sum(1)
        return self.mean + total[:, -1] + pairs, squares.sum()


@dataclass(kw_only=True, eq=False)
class FM:
    """Ratings from user, item and the item's metadata (genres and decade, say).

    ``size`` is that of the vectors; 0 leaves weights alone, that is, offsets of user and item.
    ``penalty`` is of the squares of everything that makes a rating, per rating.
    """

    size: int = 8
    penalty: float = 0.05
    epochs: int = 10
    learning_rate: float = 0.01
    batch_size: int = 1024
    seed: int = 0

    def fit(
        self,
        ratings: Interactions,
        *,
        items: pd.DataFrame | None = None,
        after_epoch: AfterEpoch | None = None,
    ) -> Self:
        """Train and return self."""
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
        user_codes, item_codes = self._codes(known)
        values = torch.from_numpy(known.event_values)

        def loss_of(rows: Tensor) -> Tensor:
            predicted, squares = self.network_(user_codes[rows], item_codes[rows])
            return (predicted - values[rows]).square().sum() + self.penalty * squares

        _train(self.network_, np.arange(len(values)), loss_of, self, rng, after_epoch)
        return self

    def predict(self, ratings: Interactions, rows: np.ndarray) -> np.ndarray:
        """Return the expected ratings at some rows, (n,) float64."""
        users, items = (codes[np.array(rows)] for codes in self._codes(ratings))
        with torch.no_grad():
            return self.network_(users, items)[0].numpy().astype(np.float64)

    def _codes(self, ratings: Interactions) -> tuple[Tensor, Tensor]:
        """Return (n,) codes of users and of items; the number beyond stands for others."""
        users = self.users_.encode(ratings.users.ids)[ratings.user_codes].astype(np.int64)
        items = self.items_.encode(ratings.items.ids)[ratings.item_codes].astype(np.int64)
        users[users < 0], items[items < 0] = len(self.users_), len(self.items_)
        return torch.from_numpy(users), torch.from_numpy(items)


class AutoRec(nn.Module):
    """Squeeze an item's ratings by all users through one hidden layer, and spell them out again.

    References
    ----------
    Sedhain et al., "AutoRec: Autoencoders Meet Collaborative Filtering", WWW 2015 (I-AutoRec).
    """

    def __init__(self, users: int, *, hidden_size: int, rng: np.random.Generator):
        super().__init__()
        self.encode = nn.Linear(users, hidden_size)
        self.decode = nn.Linear(hidden_size, users)
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        for layer in (self.encode, self.decode):
            nn.init.normal_(layer.weight, std=0.02, generator=generator)
            nn.init.zeros_(layer.bias)

    def forward(self, ratings: Tensor) -> Tensor:
        """Return (B, users) for the ratings (B, users), 0 where there is none."""
        return self.decode(torch.sigmoid(self.encode(ratings)))

    def penalty(self) -> Tensor:
        """Return the sum of squares of the weights."""
        return self.encode.weight.square().sum() + self.decode.weight.square().sum()


@dataclass(kw_only=True, eq=False)
class IAutoRec:
    """An autoencoder over each item's ratings, on what shrunk offsets of user and item leave over.

    ``item_shrink`` and ``user_shrink`` are ratings of zero offset that are mixed into each mean;
    ``batch_size`` counts items.

    Notes
    -----
    Without the offsets it does worse on thin data, where most of a row are zeros that mean nothing.
    """

    hidden_size: int = 200
    penalty: float = 3.0
    item_shrink: float = 5.0
    user_shrink: float = 5.0
    epochs: int = 20
    learning_rate: float = 0.001
    batch_size: int = 64
    seed: int = 0

    def fit(
        self,
        ratings: Interactions,
        *,
        items: pd.DataFrame | None = None,
        after_epoch: AfterEpoch | None = None,
    ) -> Self:
        """Train and return self. ``items`` are not read."""
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
        rated = np.unique(known.item_codes)

        def loss_of(rows: Tensor) -> Tensor:
            errors = (network(values[rows]) - values[rows]) * mask[rows]
            share = len(rows) / len(rated)
            return errors.square().sum() + self.penalty * share * network.penalty()

        def spell_out(epoch: int) -> None:
            if after_epoch is not None or epoch == self.epochs:
                with torch.no_grad():
                    self.table_ = network(values).numpy()
            if after_epoch is not None:
                after_epoch(epoch)

        _train(network, rated, loss_of, self, rng, spell_out)
        return self

    def predict(self, ratings: Interactions, rows: np.ndarray) -> np.ndarray:
        """Return the expected ratings at some rows, (n,) float64."""
        asked = ratings.select(np.sort(rows))
        users = self._users.encode(asked.users.ids)[asked.user_codes]
        items = self._items.encode(asked.items.ids)[asked.item_codes]
        predicted = self._offsets(asked)
        # Users and items without a rating in training have only their offsets, which are zero.
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


class RatingGRU(nn.Module):
    """Read item and rating of each event, and compare the state with the next item's vector.

    No pauses, no sessions, no running means: what "RNN" stands for in the deck's chart.
    """

    def __init__(
        self, items: int, *, hidden_size: int, embedding_size: int, rng: np.random.Generator
    ):
        super().__init__()
        self.item = nn.Embedding(items + 1, embedding_size)  # the last is any other item
        self.bias = nn.Embedding(items + 1, 1)
        self.rating = nn.Linear(1, embedding_size)
        self.gru = GRU(embedding_size, hidden_size)
        self.to_item = nn.Linear(hidden_size, embedding_size)
        self.to_offset = nn.Linear(hidden_size, 1)
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        nn.init.normal_(self.item.weight, std=0.1, generator=generator)
        nn.init.zeros_(self.bias.weight)
        for part in (self.rating, self.gru, self.to_item, self.to_offset):
            for weights in part.parameters():
                bound = 1.0 if part is self.rating else hidden_size**-0.5
                nn.init.uniform_(weights, -bound, bound, generator=generator)

    def forward(self, batch: RatingBatch) -> Tensor:
        """Return (B, L): the values expected at all places."""
        item = self.item(batch.items)
        inputs = item + self.rating(batch.values[..., None])
        inputs = torch.cat([torch.zeros_like(inputs[:, :1]), inputs[:, :-1]], 1)
        states = self.gru(inputs.transpose(0, 1)).transpose(0, 1)
        taste = (self.to_item(states) * item).sum(-1)
        return taste + (self.to_offset(states) + self.bias(batch.items))[..., 0]

    def penalty(self) -> Tensor:
        """Return the sum of squares of what is known of single items."""
        return self.item.weight.square().sum() + self.bias.weight.square().sum()


@dataclass(kw_only=True, eq=False)
class RatingRNN(RatingSequenceModel):
    """A plain recurrent network over items and ratings.

    The dimensions are the widths of the recurrent state and of the item vectors.
    """

    hidden_dimension: int = 64
    embedding_dimension: int = 32
    epochs: int = 6
    learning_rate: float = 0.01
    penalty: float = 10.0

    def _begin(self, ratings: Interactions, items: Metadata | None) -> None:
        self.mean_ = float(np.nanmean(ratings.event_values))

    def _network(self, rng: np.random.Generator) -> nn.Module:

        return RatingGRU(
            len(self.items_),
            hidden_size=self.hidden_dimension,
            embedding_size=self.embedding_dimension,
            rng=rng,
        )

    def _read(self, ratings: Interactions) -> tuple[RatingRows, np.ndarray]:
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
