"""DeepFM as a predictor of ratings: RMSE on ml-100k, a fifth of the ratings held out at random.

    python -m benchmarks.deepfm_rating --folds 5 --members 3

The ratings are cut at random into five parts of equal size, in the manner of the u1 to u5 of
ml-100k. Each part is asked for once and the other four are learned from; a tenth of those tells
when to stop, and then a model is trained on all four for as many epochs. The mean of --members
models of different seeds answers.

Fields: user, age, gender, occupation, the films that the user rated in training; film, genres,
year, the users who rated it in training; week of the rating, and how long it comes after the user's
first (--without-time leaves these two out). Loss: squared error.

The settings are one of six that were tried on that tenth of the first cut's training ratings
(widths 16, 32, 64; dropout 0.2, 0.4; weight decay 0.01, 0.1), where they differ by 0.009 at most;
of those that differ by less than 0.002 it is the quickest. The other cuts ask for ratings that were
in that tenth; the figure of the first one is free of any choice. Zip codes are not among the
fields: the data sets' loader leaves them out.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.machine import describe_run, parser, write_result
from benchmarks.rating_fields import Column, Fields, Ratings, read_fields, read_ratings
from personalens import datasets
from personalens.datasets.metadata import Metadata
from personalens.networks.deep_fm import DeepFM, Part
from personalens.networks.session_network import Dropout
from personalens.ratings.rating_evaluation import rmse

FEW_RATINGS = 10.0
"""A user or film with so many ratings starts half-way between its own mean and everybody's."""


@dataclass(frozen=True)
class Settings:
    """Sizes and rates."""

    embedding_size: int = 16
    hidden_sizes: tuple[int, ...] = (64, 32)
    dropout: float = 0.2
    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    batch_size: int = 1024
    max_epochs: int = 10
    patience: int = 2


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

    def _part(self, columns: Mapping[str, Column], rows: Tensor) -> Part:
        vectors, weights = {}, []
        for name, column in columns.items():
            codes, offsets, shares = column.bag.take(rows)
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
            fields = fields._replace(rating={})
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
            figure = self.rmse(predict(fit.model, self.ratings, asked), asked)
            if figure < best:
                best, best_epoch = figure, epoch
            elif epoch - best_epoch >= self.settings.patience:
                break
        return best_epoch, best

    def rmse(self, predicted: np.ndarray, rows: np.ndarray) -> float:
        """Return the root of the mean squared error at these rows."""
        return rmse(predicted - self.ratings.values[rows])

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
    options = parser(__doc__)
    add = options.add_argument
    add("--dataset", default="ml-100k", help="one with user metadata")
    add("--folds", type=int, default=5, choices=range(1, 6))
    add("--members", type=int, default=3)
    add("--epochs", type=int, default=10, help="at most; validation says when")
    add("--split-seed", type=int, default=0)
    add("--without-time", action="store_true")
    arguments = options.parse_args()
    study = Study(
        read_ratings(datasets.load(arguments.dataset)),
        Settings(max_epochs=arguments.epochs),
        with_time=not arguments.without_time,
    )
    order = np.random.default_rng(arguments.split_seed).permutation(len(study.ratings.values))
    parts = np.array_split(order, 5)
    folds = []
    for fold in range(arguments.folds):
        started = time.perf_counter()
        learn = np.concatenate(parts[:fold] + parts[fold + 1 :])
        answers = study.answers(learn, parts[fold], arguments.members)
        figures = {
            "alone": [study.rmse(answer, parts[fold]) for answer in answers],
            "together": study.rmse(answers.mean(0), parts[fold]),
            "seconds": time.perf_counter() - started,
        }
        folds.append(figures)
        print(f"fold {fold + 1}: {text(figures)}", flush=True)
    result = describe_run("deepfm ratings") | {
        "dataset": arguments.dataset,
        "members": arguments.members,
        "with_time": not arguments.without_time,
        "folds": folds,
        "alone": spread([figure for each in folds for figure in each["alone"]]),
        "together": spread([each["together"] for each in folds]),
    }
    for name in ("alone", "together"):
        print(f"{name}: RMSE {result[name]['mean']:.4f} ± {result[name]['sd']:.4f}")
    write_result(result, f"deepfm-ratings-{arguments.dataset}", arguments.results)


def text(figures: dict[str, Any]) -> str:
    """Return a fold's figures in words."""
    return (
        f"RMSE {np.mean(figures['alone']):.4f} alone, {figures['together']:.4f} the mean of "
        f"{len(figures['alone'])}, {figures['seconds']:.0f} s"
    )


def spread(figures: list[float]) -> dict[str, float]:
    """Return mean and standard deviation over the folds (and the models of each)."""
    return {"mean": float(np.mean(figures)), "sd": float(np.std(figures, ddof=len(figures) > 1))}


if __name__ == "__main__":
    main()
