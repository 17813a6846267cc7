"""HRNN that predicts ratings: the session network's inputs and recurrence under a rating head."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import torch
from torch import nn

from personalens.datasets.array_tree import flatten
from personalens.datasets.id_maps import IdMap, id_list, one_id
from personalens.datasets.interactions import (
    EVENT_VALUE,
    ITEM_ID,
    TIMESTAMP,
    USER_ID,
    Interactions,
    histories_before,
)
from personalens.datasets.metadata import Metadata
from personalens.networks.session_network import FieldValues
from personalens.ratings.rating_evaluation import Offsets, RollingMeans
from personalens.ratings.rating_network import RatingNetwork
from personalens.ratings.rating_sequence_model import RatingRows, RatingSequenceModel
from personalens.recipes.event_reader import SESSION_GAPS, EventReader, ItemFields
from personalens.recipes.saved_models import Artifact, read_artifact, write_artifact
from personalens.training.devices import choose_device

CIRCUMSTANCES = 3
_KNOWN_ITEM = 3.0
"""Ratings after which an item's novelty is a half."""


@dataclass(frozen=True, eq=False)
class RatingReader:
    """Turns ratings into a network's rows.

    An item that is not among ``items`` has the code ``len(items)``. A row's value is its rating
    minus ``means.mean_`` minus the item's running offset.
    """

    items: IdMap
    events: EventReader
    means: RollingMeans

    def read(self, ratings: Interactions) -> tuple[RatingRows, np.ndarray]:
        """Return the rows, and what was taken from each rating, (n,) float64."""
        offsets = self.means.offsets_before(ratings)
        taken = self.means.mean_ + offsets.item
        codes = self.items.encode(ratings.items.ids)[ratings.item_codes]
        known = ~np.isnan(ratings.event_values)
        # Known ratings of all users before each row, and of its user.
        before = np.append(0, np.cumsum(known))
        places = before[:-1] - before[ratings.offsets[:-1]][ratings.user_codes]
        features, sessions = self._features(ratings, known, before[:-1], places)
        rows = RatingRows(
            items=np.where(codes < 0, len(self.items), codes).astype(np.int64),
            values=(ratings.event_values - taken).astype(np.float32),
            features=features,
            sessions=sessions,
            circumstances=_circumstances(offsets),
            places=places.astype(np.float32),
            offsets=ratings.offsets,
        )
        return rows, taken

    def _features(
        self, ratings: Interactions, known: np.ndarray, before: np.ndarray, places: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return (n, F) features and (n, S) numbers of sessions; questions begin none."""
        answered, known_rows = ratings.select(known), np.flatnonzero(known)
        borders = list(zip(answered.offsets[:-1], answered.offsets[1:], strict=True))
        of_known = self._read_slices(answered, [slice(*border) for border in borders])
        features = np.empty((len(ratings), of_known.shape[1]), np.int64)
        sessions = np.empty((len(ratings), len(SESSION_GAPS)), np.int64)
        features[known] = of_known
        levels = np.arange(len(SESSION_GAPS))
        numbers = np.cumsum(self._begins(of_known)[:, None] > levels, axis=0)
        sessions[known] = numbers
        for row in np.flatnonzero(~known):  # after the user's last known rating, if there is one
            last = known_rows[before[row] - int(places[row] > 0) : before[row]]
            pair = ratings.select(np.append(last, row))
            features[row] = self._read_slices(pair, [slice(0, len(pair))])[-1]
            begun = self._begins(features[row : row + 1])[:, None] > levels
            current = numbers[before[row] - 1] if len(last) else 0
            sessions[row] = np.where(begun[0], -1, current)
        return features, sessions

    def _read_slices(self, ratings: Interactions, slices: list[slice]) -> np.ndarray:
        sequences = self.events.read(histories_before(ratings, slices))
        is_event = np.ones(len(sequences.items), bool)
        is_event[sequences.offsets[:-1]] = False
        return sequences.features[is_event]

    def _begins(self, features: np.ndarray) -> np.ndarray:
        """Return how many levels of session each event begins, (n,)."""
        return features[:, 1] - self.events.sizes["gap"]


def _circumstances(offsets: Offsets) -> np.ndarray:
    """Return (n, 3) float32: the item's offset, its ratings so far on a log scale, its novelty."""
    count = offsets.item_count
    columns = [offsets.item, np.log1p(count) / 3 - 1, _KNOWN_ITEM / (count + _KNOWN_ITEM)]
    return np.stack(columns, axis=1).astype(np.float32)


_SETTINGS = (
    *("hidden_dimension", "taste_dimension", "sessions"),
    *("epochs", "learning_rate", "penalty", "batch_size", "seed"),
)


@dataclass(kw_only=True, eq=False)
class RatingHRNN(RatingSequenceModel):
    """HRNN with a rating head: what will this person make of that item, now?

    It starts from the running mean of the item's ratings, and adds what the person's own earlier
    ratings say (:class:`~personalens.ratings.rating_network.RatingNetwork`): a regression whose
    random effects are the person, their mood, the levels of session and their taste, and the
    recurrence of HRNN over items, pauses, sessions and ratings, which corrects it. Somebody new
    needs no training, a new item no more than its metadata or its first ratings.

    Parameters
    ----------
    hidden_dimension
        Width of the recurrent state; 0 leaves the recurrence out.
    taste_dimension
        Width of the item vectors.
    sessions
        Whether levels of session are random effects.
    means
        The running means. Default: those that did best on ml-100k's validation part.
    epochs, learning_rate, penalty, batch_size, seed, device
        As in :class:`RatingSequenceModel`.

    Notes
    -----
    Predictions are not cut to the scale of the ratings. A rating is read with up to 127 of the
    user's earlier ones.

    References
    ----------
    Ma, Narayanaswamy, Lin and Ding, "Temporal-Contextual Recommendation in Real-Time", KDD 2020:
    feedback as an input, a rating as the objective.

    Examples
    --------
    Every second person likes what the others do not:

    >>> rows = [(u, i, u, 5 - 4 * ((u + i) % 2)) for u in range(60) for i in range(9)]
    >>> ratings = pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP", "EVENT_VALUE"])
    >>> model = RatingHRNN(epochs=20, penalty=1.0).fit(ratings)
    >>> even, odd = model.rate(ratings, "0", ["4", "7"])
    >>> bool(even > odd + 2)
    True
    """

    name = "rating-hrnn"
    hidden_dimension: int = 64
    taste_dimension: int = 8
    sessions: bool = True
    means: RollingMeans = field(default_factory=RollingMeans)
    epochs: int = 5
    learning_rate: float = 0.01
    penalty: float = 400.0

    def rate(
        self,
        ratings: Interactions | pd.DataFrame,
        user_id: str,
        items: list[str],
        *,
        timestamp: int | None = None,
    ) -> np.ndarray:
        """Return what a user would rate these items after all of ``ratings``, (n,) float64.

        Parameters
        ----------
        ratings
            The ratings of everybody until now: they hold the user's history, and the items' means.
        user_id, items
            Who rates what; unknown ones are answered too.
        timestamp
            When; default: a second after the newest rating.
        """
        known = ratings.to_frame() if isinstance(ratings, Interactions) else ratings
        known = known[[USER_ID, ITEM_ID, TIMESTAMP, EVENT_VALUE]]
        now = int(known[TIMESTAMP].max()) + 1 if timestamp is None else timestamp
        asked = pd.DataFrame(
            {
                USER_ID: one_id(user_id, "user_id"),
                ITEM_ID: id_list(items, "items"),
                TIMESTAMP: now,
                EVENT_VALUE: np.nan,
            }
        )
        both = pd.concat([known.astype({USER_ID: str, ITEM_ID: str}), asked])
        return self.predict(both, np.arange(len(known), len(both)))

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the model as config.json, ids.json and weights.safetensors; all or nothing."""
        self._check_fitted()
        weights = {name: w.cpu().numpy() for name, w in self.network_.state_dict().items()}
        arrays = {"network": weights, "events": self.reader_.events.to_arrays()}
        config = {
            "recipe": self.name,
            "settings": {name: getattr(self, name) for name in _SETTINGS},
            "means": asdict(self.reader_.means) | {"mean": self.reader_.means.mean_},
            "field_values": self._fields[1],
            "training_log": self.training_log_,
        }
        write_artifact(Path(folder), Artifact(config, {"items": self.items_.ids.tolist()}, arrays))

    @classmethod
    def load(cls, folder: str | os.PathLike[str], *, device: str = "auto") -> Self:
        """Read a model that :meth:`save` wrote."""
        artifact = read_artifact(Path(folder))
        if artifact.config["recipe"] != cls.name:
            raise ValueError(f"{folder} holds a {artifact.config['recipe']} model, not {cls.name}")
        settings = dict(artifact.config["means"])
        mean = settings.pop("mean")
        model = cls(**artifact.config["settings"], means=RollingMeans(**settings), device=device)
        model.training_log_ = artifact.config["training_log"]
        model.items_ = IdMap(artifact.ids["items"])
        means = replace(model.means)
        means.mean_ = mean
        events = EventReader.from_arrays(len(model.items_), artifact.arrays["events"])
        model.reader_ = RatingReader(model.items_, events, means)
        weights = {n: torch.tensor(a) for n, a in flatten(artifact.arrays["network"]).items()}
        table = [
            weights[f"taste.{n}"][:-1] for n in ("codes", "weights") if "taste.field" in weights
        ]
        model._fields = table or None, artifact.config["field_values"]
        model.network_ = model._network(np.random.default_rng(0))
        model.network_.load_state_dict(weights)
        model.network_.to(choose_device(device)).eval()
        return model

    def _begin(self, ratings: Interactions, items: Metadata | None) -> None:
        means = replace(self.means).fit(ratings)
        self.reader_ = RatingReader(self.items_, EventReader.fit(ratings), means)
        self._fields = _field_values(items)

    def _read(self, ratings: Interactions) -> tuple[RatingRows, np.ndarray]:
        return self.reader_.read(ratings)

    def _network(self, rng: np.random.Generator) -> nn.Module:
        table, count = self._fields
        return RatingNetwork(
            len(self.items_),
            sum(self.reader_.events.sizes.values()),
            circumstances=CIRCUMSTANCES,
            levels=len(SESSION_GAPS) if self.sessions else 0,
            hidden_size=self.hidden_dimension,
            taste_size=self.taste_dimension,
            fields=None if table is None else FieldValues(*table),
            field_values=count,
            rng=rng,
        )


def _field_values(items: Metadata | None) -> tuple[FieldValues | None, int]:
    """Return the items' field values, with a row without any for other items, and their number."""
    fields = None if items is None else ItemFields.fit(items)
    if fields is None or not fields.columns:
        return None, 0
    table = fields.encode(items)
    codes, weights = (np.concatenate([part, np.zeros_like(part[:1])]) for part in table)
    return FieldValues(torch.from_numpy(codes), torch.from_numpy(weights)), fields.size
