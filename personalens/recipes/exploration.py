"""Recommending what is new in order to learn of it: a bonus that shrinks with exposure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from personalens.datasets.interactions import Interactions
from personalens.datasets.metadata import CREATION_TIMESTAMP, SEPARATOR, Metadata

IMPRESSION = "IMPRESSION"
REACH = 3.0
"""By how many standard deviations of a user's scores an item without any exposure gains at weight
1: enough to bring an average item among the best."""
_NOISE = 0.1
_DIVERSITY = 1.0 / np.sqrt(10.0)
_REMEMBERED = 50
_DAY = 86_400.0


@dataclass(frozen=True, eq=False)
class ItemExposure:
    """How much is known of each item: what exploration needs."""

    exposures: np.ndarray  # (items,) float32: how often an item was had or shown
    # (items,) float32: days from when it came, by CREATION_TIMESTAMP, else by its first event, to
    # the newest event of all. An item with neither has just come.
    ages: np.ndarray

    @classmethod
    def count(cls, interactions: Interactions, items: Metadata | None) -> Self:
        """Count the events and impressions of the interactions, whose items are coded alike."""
        size = len(interactions.items)
        exposures = np.bincount(interactions.item_codes, minlength=size).astype(np.float32)
        if IMPRESSION in interactions.context:
            shown = _shown(interactions.context[IMPRESSION])
            codes = interactions.items.encode(shown)
            exposures[codes[codes >= 0]] += np.array(list(shown.values()))[codes >= 0]
        newest = int(interactions.timestamps.max())
        came = np.full(size, newest, np.float64)
        np.minimum.at(came, interactions.item_codes, interactions.timestamps)
        if items is not None and CREATION_TIMESTAMP in items.fields:
            created = items.fields[CREATION_TIMESTAMP].values.astype(np.float64)
            came = np.where(np.isnan(created), came, created)
        ages = np.maximum(newest - came, 0.0) / _DAY
        return cls(exposures, ages.astype(np.float32))

    def select(self, codes: np.ndarray) -> Self:
        """Return the figures of the items with these codes, in their order."""
        return type(self)(self.exposures[codes], self.ages[codes])


def exploration_bonus(
    exposure: ItemExposure,
    vectors: np.ndarray,
    past: np.ndarray,
    *,
    weight: float,
    cutoff_days: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return (items,) float32: what to add to a user's scores, in their standard deviations.

    Items older than the cutoff get nothing. The others get, times ``weight``, what is not known of
    them: ``1 / sqrt(1 + exposures)`` for the item itself, and a share for how far it is from
    everything that this user has had; and a little noise, so that the same user is not shown the
    same few again and again. ``past`` (n,) are the codes of what the user has had, the newest last;
    ``vectors`` (items, E) those of the model.

    Notes
    -----
    With item vectors v of mean length 1 and D those of the user's past, the distance is
    ``sqrt(v' (I + D'D)^-1 v)``, the uncertainty of a linear bandit; it counts 1 / sqrt(10) of the
    item's own term, as in REN. Amazon Personalize: explorationWeight, explorationItemAgeCutOff.

    References
    ----------
    Wang et al., "Context Uncertainty in Contextual Bandits with Applications to Recommender
    Systems" (recurrent exploration networks), AAAI 2022.

    Examples
    --------
    >>> known = ItemExposure(np.array([0.0, 8.0, 0.0]), np.array([1.0, 1.0, 90.0]))
    >>> settings = {"weight": 1.0, "cutoff_days": 30.0, "rng": np.random.default_rng(0)}
    >>> bonus = exploration_bonus(known, np.eye(3), np.array([2]), **settings)
    >>> bonus[0] > bonus[1] > bonus[2] == 0.0
    np.True_
    """
    bonus = np.zeros(len(exposure.ages), np.float32)
    young = np.flatnonzero(exposure.ages < cutoff_days)
    if weight <= 0 or not len(young):
        return bonus
    unknown = 1.0 / np.sqrt(1.0 + exposure.exposures[young])
    scale = np.sqrt(np.maximum((vectors**2).sum(1).mean(), np.finfo(np.float32).tiny))
    had = vectors[past[-_REMEMBERED:]] / scale
    uncertain = _uncertainty(vectors[young] / scale, had)
    noise = _NOISE * unknown * rng.gumbel(size=len(young))
    bonus[young] = weight * REACH * ((unknown + _DIVERSITY * uncertain) / (1 + _DIVERSITY) + noise)
    return bonus


def _uncertainty(vectors: np.ndarray, had: np.ndarray) -> np.ndarray:
    """Return sqrt(v' (I + D'D)^-1 v) for each row v of vectors, D being what was had."""
    squares = (vectors**2).sum(1)
    if not len(had):
        return np.sqrt(squares)
    # (I + D'D)^-1 = I - D' (I + D D')^-1 D
    near = vectors @ had.T
    known = np.linalg.solve(np.eye(len(had)) + had @ had.T, near.T).T
    return np.sqrt(np.maximum(squares - (near * known).sum(1), 0.0))


def _shown(impressions: Iterable[object]) -> Counter[str]:
    """Return how often each item was on an impression such as ``a|b|c``."""
    shown: Counter[str] = Counter()
    for items in impressions:
        if not pd.isna(items):
            shown.update(str(items).split(SEPARATOR))
    return shown
