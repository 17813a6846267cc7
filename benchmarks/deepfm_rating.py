"""DeepFM as a predictor of ratings: RMSE on ml-100k, a fifth of the ratings held out at random.

    python benchmarks/deepfm_rating.py --folds 5 --members 3

The ratings are cut at random into five parts of equal size, in the manner of the u1 to u5 of
ml-100k. Each part is asked for once and the other four are learned from; a tenth of those tells
when to stop, and then a model is trained on all four for as many epochs. The mean of --members
models of different seeds answers.

Fields: user, age, gender, occupation, the films that the user rated in training; film, genres,
year, the users who rated it in training; week of the rating, and how long it comes after the user's
first (--without-time leaves these two out). Loss: squared error.

The settings were chosen on the tenth of the first cut's training ratings; see ``Settings``.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from personalens import datasets
from personalens.datasets.film_tables import FilmTables
from personalens.datasets.interactions import ITEM_ID, USER_ID, Interactions
from personalens.datasets.metadata import Field, Metadata, categorical_values
from personalens.networks.deep_fm import DeepFM, Part
from personalens.networks.dropout import Dropout
from personalens.recipes.value_codes import ValueCodes

HOUR, DAY, WEEK = 3600, 86_400, 7 * 86_400
SINCE_FIRST = np.array([600, HOUR, DAY, WEEK, 30 * DAY])
"""Borders between the buckets of the seconds since a user's first rating."""
FEW_RATINGS = 10.0
"""A user or film with so many ratings starts half-way between its own mean and everybody's."""


@dataclass(frozen=True)
class Settings:
    """Sizes and rates."""

    embedding_size: int = 32
    hidden_sizes: tuple[int, ...] = (64, 32)
    dropout: float = 0.2
    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    batch_size: int = 1024
    max_epochs: int = 10
    patience: int = 2


class Ratings(NamedTuple):
    """n ratings: codes of users and films, epoch seconds, values."""

    users: np.ndarray
    films: np.ndarray
    times: np.ndarray
    values: np.ndarray

    def take(self, rows: np.ndarray) -> Ratings:
        """Return some of them."""
        return Ratings(*(column[rows] for column in self))


class Bag(NamedTuple):
    """The values of one field in each row: ``codes[offsets[r]:offsets[r + 1]]`` of row r, with
    ``weights``."""

    codes: Tensor
    offsets: Tensor
    weights: Tensor

    @classmethod
    def of_rows(cls, codes: np.ndarray, counts: np.ndarray) -> Bag:
        """Return a bag of rows of so many values each; of k values each counts 1 / sqrt(k)."""
        weights = 1.0 / np.sqrt(np.repeat(counts, counts))
        return cls(
            torch.from_numpy(codes.astype(np.int64)),
            torch.from_numpy(np.concatenate([[0], np.cumsum(counts)])),
            torch.from_numpy(weights.astype(np.float32)),
        )

    def take(self, rows: Tensor) -> Bag:
        """Return some of the rows, in their order."""
        counts = self.offsets[rows + 1] - self.offsets[rows]
        offsets = functional.pad(counts.cumsum(0), (1, 0))
        place = torch.repeat_interleave(self.offsets[rows] - offsets[:-1], counts)
        place += torch.arange(len(place))
        return Bag(self.codes[place], offsets, self.weights[place])


class Fields(NamedTuple):
    """The fields of users, films and ratings, and the number of values of each."""

    user: dict[str, Bag]
    film: dict[str, Bag]
    rating: dict[str, Bag]
    sizes: dict[str, int]


def read_ratings(data: FilmTables) -> tuple[Ratings, Metadata, Metadata]:
    """Return the ratings, and what is known of users and films in the order of their codes."""
    events = Interactions.from_frame(data.interactions)
    ratings = Ratings(
        events.user_codes.astype(np.int64),
        events.item_codes.astype(np.int64),
        events.timestamps,
        events.event_values,
    )
    users = Metadata.from_frame(data.users, USER_ID).align(events.users)
    return ratings, users, Metadata.from_frame(data.items, ITEM_ID).align(events.items)


def read_fields(ratings: Ratings, known: np.ndarray, users: Metadata, films: Metadata) -> Fields:
    """Return the fields; which user rated which film only of the ``known`` rows."""
    learned = ratings.take(known)
    sizes: dict[str, int] = {}

    def single(name: str, codes: np.ndarray, size: int) -> dict[str, Bag]:
        sizes[name] = size
        return {name: Bag.of_rows(codes, np.ones(len(codes), np.int64))}

    def rated(name: str, rows: np.ndarray, codes: np.ndarray, size: int, values: int):
        sizes[name] = values
        order = np.argsort(rows, kind="stable")
        return {name: Bag.of_rows(codes[order], np.bincount(rows, minlength=size))}

    def described(table: Metadata, names: Sequence[str]) -> dict[str, Bag]:
        found = {}
        for name in names:
            found[name], sizes[name] = _metadata_bag(table.fields[name])
        return found

    count, catalogue = len(users), len(films)
    week = np.clip((ratings.times - learned.times.min()) // WEEK, 0, None)
    week = np.minimum(week, (learned.times.max() - learned.times.min()) // WEEK)
    first = np.full(count, learned.times.max())
    np.minimum.at(first, learned.users, learned.times)
    since = np.searchsorted(SINCE_FIRST, ratings.times - first[ratings.users], side="right")
    return Fields(
        single("user", np.arange(count), count)
        | described(users, ["AGE", "GENDER", "OCCUPATION"])
        | rated("films rated", learned.users, learned.films, count, catalogue),
        single("film", np.arange(catalogue), catalogue)
        | described(films, ["GENRES", "YEAR"])
        | rated("raters", learned.films, learned.users, catalogue, count),
        single("week", week, int(week.max()) + 1)
        | single("since first", since, len(SINCE_FIRST) + 1),
        sizes,
    )


def _metadata_bag(field: Field) -> tuple[Bag, int]:
    if field.kind == "categorical":
        offsets, codes, vocabulary = categorical_values(field)
        return Bag.of_rows(codes, np.diff(offsets)), len(vocabulary)
    codes = ValueCodes.fit(field.values, buckets=20)
    return Bag.of_rows(codes.encode(field.values), np.ones(len(field.values), np.int64)), codes.size


class RatingModel(nn.Module):
    """Vectors of fields under the network of aws-deepfm (:mod:`personalens.networks.deep_fm`).

    The last column of each table is the weight of a value.
    """

    def __init__(self, fields: Fields, settings: Settings, seed: int):
        super().__init__()
        rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
        size = settings.embedding_size
        self.fields = fields
        self.drop = Dropout(settings.dropout, rng)
        self.tables = nn.ParameterDict()
        for name, values in fields.sizes.items():
            table = torch.zeros(values, size + 1)
            nn.init.normal_(table[:, :-1], std=0.02, generator=generator)
            self.tables[name] = nn.Parameter(table)
        self.deep_fm = DeepFM(
            fields.sizes,
            embedding_size=size,
            hidden_sizes=settings.hidden_sizes,
            drop=Dropout(settings.dropout, rng),
            generator=generator,
        )

    def start_at_means(self, ratings: Ratings) -> None:
        """Start the weights of users and films from their mean ratings, shrunk."""
        mean = float(ratings.values.mean())
        rest = ratings.values - mean
        with torch.no_grad():
            self.deep_fm.out.bias.fill_(mean)
            for name, codes in (("film", ratings.films), ("user", ratings.users)):
                size = len(self.tables[name])
                found = np.bincount(codes, rest, size)
                found /= np.bincount(codes, minlength=size) + FEW_RATINGS
                rest = rest - found[codes]
                self.tables[name][:, -1] = torch.from_numpy(found.astype(np.float32))

    def forward(self, users: Tensor, films: Tensor, rows: Tensor) -> Tensor:
        """Return (n,) ratings; users and films are read once each, however often they occur."""
        some_users, user = users.unique(return_inverse=True)
        some_films, film = films.unique(return_inverse=True)
        whole = self._part(self.fields.user, some_users).take(user)
        whole = whole.joined(self._part(self.fields.film, some_films).take(film))
        if self.fields.rating:
            whole = whole.joined(self._part(self.fields.rating, rows))
        return self.deep_fm.score_rows(whole)

    def _part(self, bags: Mapping[str, Bag], rows: Tensor) -> Part:
        vectors, weights = {}, []
        for name, bag in bags.items():
            codes, offsets, shares = bag.take(rows)
            pooled = functional.embedding_bag(
                codes,
                self.tables[name],
                offsets,
                mode="sum",
                per_sample_weights=shares,
                include_last_offset=True,
            )
            vectors[name] = self.drop(pooled[:, :-1])
            weights.append(pooled[:, -1])
        return self.deep_fm.part(vectors, weights)


def predict(model: RatingModel, ratings: Ratings, rows: np.ndarray) -> np.ndarray:
    """Return the ratings at these rows, between 1 and 5."""
    model.eval()
    with torch.inference_mode():
        parts = [_ask(model, ratings, some) for some in np.array_split(rows, len(rows) // 4096 + 1)]
    return torch.cat(parts).clamp(1.0, 5.0).numpy()


def _ask(model: RatingModel, ratings: Ratings, rows: np.ndarray) -> Tensor:
    some = ratings.take(rows)
    return model(*(torch.from_numpy(values) for values in (some.users, some.films, rows)))


def rmse(predicted: np.ndarray, ratings: Ratings, rows: np.ndarray) -> float:
    """Return the root of the mean squared error."""
    return float(np.sqrt(np.mean((predicted - ratings.values[rows]) ** 2)))


@dataclass
class Fit:
    """One model in training on some rows."""

    model: RatingModel
    ratings: Ratings
    rows: np.ndarray
    settings: Settings
    rng: np.random.Generator

    def __post_init__(self) -> None:
        self.model.start_at_means(self.ratings.take(self.rows))
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), weight_decay=self.settings.weight_decay, fused=True
        )
        self.steps = 0

    def run_epoch(self) -> None:
        """Go through the rows once; the rate falls along half a cosine over all epochs."""
        self.model.train()
        settings = self.settings
        batches = math.ceil(len(self.rows) / settings.batch_size)
        for rows in np.array_split(self.rng.permutation(self.rows), batches):
            done = self.steps / (batches * settings.max_epochs)
            rate = 0.5 * (1.0 + math.cos(math.pi * done)) * min(1.0, (self.steps + 1) / 20)
            self.optimizer.param_groups[0]["lr"] = settings.learning_rate * rate
            right = torch.from_numpy(self.ratings.values[rows])
            loss = (_ask(self.model, self.ratings, rows) - right).square().mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.steps += 1


class Study:
    """What is learned from, and the settings with which."""

    def __init__(
        self,
        data: tuple[Ratings, Metadata, Metadata],
        settings: Settings,
        *,
        with_time: bool = True,
    ):
        self.ratings, self.users, self.films = data
        self.settings, self.with_time = settings, with_time

    def begin(self, rows: np.ndarray, seed: int) -> Fit:
        """Return an untrained model that will know of these rows only."""
        fields = read_fields(self.ratings, rows, self.users, self.films)
        if not self.with_time:
            sizes = {n: size for n, size in fields.sizes.items() if n not in fields.rating}
            fields = fields._replace(rating={}, sizes=sizes)
        model = RatingModel(fields, self.settings, seed)
        return Fit(model, self.ratings, rows, self.settings, np.random.default_rng(seed))

    def best_epochs(self, learn: np.ndarray, seed: int) -> tuple[int, float]:
        """Return how many epochs do best on a tenth of the rows, and the RMSE there."""
        order = np.random.default_rng(seed).permutation(learn)
        asked, rest = order[: len(order) // 10], order[len(order) // 10 :]
        fit = self.begin(rest, seed)
        best, best_epoch = math.inf, 0
        for epoch in range(1, self.settings.max_epochs + 1):
            fit.run_epoch()
            figure = rmse(predict(fit.model, self.ratings, asked), self.ratings, asked)
            if figure < best:
                best, best_epoch = figure, epoch
            elif epoch - best_epoch >= self.settings.patience:
                break
        return best_epoch, best

    def answers(self, learn: np.ndarray, asked: np.ndarray, members: int) -> np.ndarray:
        """Return (members, asked) predictions of models that learned from ``learn``."""
        epochs, _ = self.best_epochs(learn, 0)
        found = []
        for seed in range(members):
            fit = self.begin(learn, seed)
            for _ in range(epochs):
                fit.run_epoch()
            found.append(predict(fit.model, self.ratings, asked))
        return np.stack(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="ml-100k", help="one with user metadata")
    parser.add_argument("--folds", type=int, default=5, choices=range(1, 6))
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--split-seed", type=int, default=0)
    parser.add_argument("--without-time", action="store_true")
    arguments = parser.parse_args()
    study = Study(
        read_ratings(datasets.load(arguments.dataset)),
        Settings(),
        with_time=not arguments.without_time,
    )
    order = np.random.default_rng(arguments.split_seed).permutation(len(study.ratings.values))
    parts = np.array_split(order, 5)
    single, together = [], []
    for fold in range(arguments.folds):
        started = time.perf_counter()
        learn = np.concatenate(parts[:fold] + parts[fold + 1 :])
        answers = study.answers(learn, parts[fold], arguments.members)
        single += [rmse(answer, study.ratings, parts[fold]) for answer in answers]
        together.append(rmse(answers.mean(0), study.ratings, parts[fold]))
        print(
            f"fold {fold + 1}: RMSE {single[-1]:.4f} alone, {together[-1]:.4f} mean of "
            f"{arguments.members}, {time.perf_counter() - started:.0f} s",
            flush=True,
        )
    for name, figures in (("one model", single), (f"mean of {arguments.members}", together)):
        print(f"{name}: RMSE {np.mean(figures):.4f} ± {np.std(figures):.4f}")


if __name__ == "__main__":
    main()
