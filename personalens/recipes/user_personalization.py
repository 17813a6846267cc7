"""aws-user-personalization: metadata, new items and exploration in one recipe."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np

from personalens.datasets.histories import History
from personalens.datasets.interactions import Interactions
from personalens.datasets.metadata import Metadata
from personalens.evaluation.holdouts import NextItemCases
from personalens.progress import Progress
from personalens.recipes.cold_items import ColdItemRecipe
from personalens.recipes.hrnn import HRNNConfig
from personalens.recipes.hyperparameters import hyperparameter
from personalens.recipes.item_pairs import (
    SHARES,
    ItemPairs,
    WidePart,
    combinations,
    gains,
    nearly_best,
    pairs_had_together,
    pairs_in_order,
)

if TYPE_CHECKING:  # torch is loaded when training or serving starts, not when recipes are listed
    from personalens.recipes.session_model import SessionModel
    from personalens.recipes.twin_shape import TwinShape

_TUNING_BATCH = 128
SHARES_BESIDE = (0.0, 0.25, 0.5)
"""What the share of the network without metadata is chosen from."""


class UserPersonalizationConfig(HRNNConfig):
    """Hyperparameters of aws-user-personalization: those of HRNN, with a wider state."""

    hidden_dimension: int = hyperparameter(
        149, "Width of the recurrent state.", tunable=True, ge=32, le=256
    )


class UserPersonalization(ColdItemRecipe):
    """Recommend from all items, the new ones included, and explore those of which little is known.

    :class:`~personalens.recipes.hrnn_metadata.HRNNMetadata` over the whole items table; an item
    that nobody has had is what its metadata say. A campaign adds the bonus of
    :func:`~personalens.recipes.exploration.exploration_bonus` to the scores of young items, by its
    explorationWeight and explorationItemAgeCutOff. ``update`` adds items without a new training.

    Three more models have a say in the score of an item that somebody has had. They see other
    things than that network does, and their mistakes are others:

    * a network without metadata, that of :class:`~personalens.recipes.hrnn.HRNN`, which goes
      through the same batches (:class:`~personalens.networks.twin_network.TwinNetwork`);
    * two linear models of pairs of items: which are had by the same users, and which follow which
      (:mod:`personalens.recipes.item_pairs`).

    How much each counts, the events tell that are held out to find the number of epochs.

    Parameters and attributes: as :class:`~personalens.recipes.cold_items.ColdItemRecipe`, and

    wide_
        The models of pairs and their shares, 0 to 0.2 of the network's spread.

    Notes
    -----
    * ``hidden_dimension`` is that of the network with metadata; the other's is 43, or as much.
    * Of the shares those nearest to the usual ones stand that are not clearly worse than the best:
      the best of 48 on some 2,000 events is often the one with most luck.

    Amazon Personalize: recipe aws-user-personalization.

    Examples
    --------
    Half of the users read about cats, half about dogs; on both shelves there is something new:

    >>> import numpy as np
    >>> import pandas as pd
    >>> rows = [
    ...     (user, ("cat", "dog")[user % 2] + str((user // 2 + step) % 6), 10 * user + step)
    ...     for user in range(60)
    ...     for step in range(4)
    ... ]
    >>> events = pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"])
    >>> shelf = [animal + str(number) for animal in ("cat", "dog") for number in range(7)]
    >>> items = pd.DataFrame({"ITEM_ID": shelf, "ANIMAL": [item[:3] for item in shelf]})
    >>> model = UserPersonalization().fit(events, items=items)
    >>> model.rank("0", ["cat6", "dog6"]).ITEM_ID.tolist()
    ['cat6', 'dog6']
    >>> history = model.history("0")
    >>> plain = model.score([history])[0]
    >>> settings = {"weight": 1.0, "cutoff_days": 30.0, "rng": np.random.default_rng(0)}
    >>> explored = model.explore(plain, history, **settings)
    >>> model.items_.ids[(explored - plain).argmax()] in ("cat6", "dog6")
    True
    """

    name = "aws-user-personalization"
    description = (
        "Recommends from the whole catalogue by history, metadata and context, new items "
        "included, and explores items of which little is known."
    )
    takes_objective = True
    explores = True
    takes_exploration = True
    takes_updates = True
    updated_every = 7200.0
    Config = UserPersonalizationConfig

    def _fit(
        self,
        interactions: Interactions,
        items: Metadata | None,
        users: Metadata | None,
        progress: Progress,
        refit: bool,
    ) -> None:
        if self._known_epochs is None:
            self._share_beside, self._shares = CHOICES[0]  # if no events can be held out
        super()._fit(interactions, items, users, progress, refit)
        self.wide_ = WidePart(self.wide_.pairs, self._shares)
        self.model_.network.share.fill_(self._share_beside)

    def _shape(self) -> TwinShape:
        from personalens.recipes.twin_shape import TwinShape

        return TwinShape(**vars(super()._shape()))

    def _take_stock(self, interactions: Interactions, items: Metadata | None) -> None:
        super()._take_stock(interactions, items)
        self.wide_ = WidePart(_pairs(self._training_events(interactions)), self._shares)

    def _tune(self, model: SessionModel, events: Interactions, held_out: np.ndarray) -> None:
        pairs = _pairs(events.select(~held_out))
        cases = NextItemCases(events, np.flatnonzero(held_out))
        found = []
        for first in range(0, len(cases), _TUNING_BATCH):
            batch = np.arange(first, min(first + _TUNING_BATCH, len(cases)))
            histories = cases.histories(batch, events.items, users=self._side.users)
            of_batch = []
            for share in SHARES_BESIDE:
                model.network.share.fill_(share)
                scores = model.score(histories)
                of_batch.append(gains(pairs, scores, histories, cases.item_codes[batch]))
            found.append(np.concatenate(of_batch))
        gained = dict(zip(_GRID, np.concatenate(found, axis=1), strict=True))
        best = nearly_best(np.array([gained[choice] for choice in CHOICES]))
        self._share_beside, self._shares = CHOICES[best]

    def _take_findings(self, searched: Self) -> None:
        super()._take_findings(searched)
        self._shares = searched.wide_.shares
        self._share_beside = float(searched.model_.network.share)

    def _score(self, histories: Sequence[History]) -> np.ndarray:
        return self.wide_.add_to(super()._score(histories), histories)

    def _tensors(self) -> dict[str, np.ndarray]:
        tensors = super()._tensors() | {"shares": np.array(self.wide_.shares)}
        for number, pairs in enumerate(self.wide_.pairs):
            arrays = pairs.to_arrays()
            tensors |= {f"pairs.{number}.{name}": array for name, array in arrays.items()}
        return tensors

    def _restore(self, tensors: dict[str, np.ndarray]) -> None:
        super()._restore(tensors)
        pairs = tuple(
            ItemPairs.from_arrays(
                {
                    name.removeprefix(f"pairs.{number}."): array
                    for name, array in tensors.items()
                    if name.startswith(f"pairs.{number}.")
                }
            )
            for number in range(len(CHOICES[0][1]))
        )
        self.wide_ = WidePart(pairs, tuple(tensors["shares"].tolist()))


def _pairs(events: Interactions) -> tuple[ItemPairs, ItemPairs]:
    return pairs_had_together(events), pairs_in_order(events)


def _steps(choice: tuple[float, tuple[float, ...]]) -> int:
    """Return how far a choice is from what is usual: a quarter of the network without metadata, and
    a little of what is had together."""
    beside, (together, in_order) = choice
    places = SHARES_BESIDE.index(beside), SHARES.index(together), SHARES.index(in_order)
    return sum(abs(place - usual) for place, usual in zip(places, (1, 1, 0), strict=True))


_GRID = list(itertools.product(SHARES_BESIDE, combinations(2)))
CHOICES = sorted(_GRID, key=_steps)
"""Shares of the network without metadata and of the pairs: what is usual first."""
