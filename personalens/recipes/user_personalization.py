"""aws-user-personalization: metadata, new items and exploration in one recipe."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from personalens.datasets.interactions import History, Interactions
from personalens.datasets.metadata import Metadata
from personalens.evaluation.holdouts import NextItemCases
from personalens.recipes.hrnn import WideHRNNConfig
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
from personalens.recipes.session_recipe import Lesson, SessionRecipe

if TYPE_CHECKING:  # torch is loaded when training or serving starts, not when recipes are listed
    from personalens.recipes.network_builders import TwinBuilder
    from personalens.recipes.session_model import SessionModel

_TUNING_BATCH = 128
SHARES_BESIDE = (0.0, 0.25, 0.5)
"""What the share of the network without metadata is chosen from."""


class UserPersonalizationConfig(WideHRNNConfig):
    """Hyperparameters of aws-user-personalization: those of HRNN, with a wider state."""

    def builder(self) -> TwinBuilder:
        """Return what builds the two networks."""
        from personalens.recipes.network_builders import TwinBuilder

        return TwinBuilder(**vars(super().builder()))


class UserPersonalization(SessionRecipe):
    """Recommend from all items, the new ones included, and explore those of which little is known.

    :class:`~personalens.recipes.hrnn.HRNNMetadata` over the whole items table; an item
    that nobody has had is what its metadata say. A campaign adds the bonus of
    :func:`~personalens.recipes.exploration.exploration_bonus` to the scores of young items, by its
    explorationWeight and explorationItemAgeCutOff. ``update`` adds items without a new training.

    Three more models have a say in the score of an item that somebody has had. They see other
    things than that network does, and their mistakes are others:

    * a network without metadata, that of :class:`~personalens.recipes.hrnn.HRNN`, which goes
      through the same batches (:class:`~personalens.networks.twin_network.TwinNetwork`);
    * two linear models of pairs of items: which are had by the same users, and which follow which
      (:mod:`personalens.recipes.item_pairs`).

    How much each counts is chosen by the events that are held out to find the number of epochs.

    Parameters and attributes: as :class:`~personalens.recipes.session_recipe.SessionRecipe`, and

    wide_
        The models of pairs and their shares, 0 to 0.2 of the network's spread.

    Notes
    -----
    * ``hidden_dimension`` is that of the network with metadata; the other's is 43, or as much.
    * Of the shares that are not clearly worse than the best, those nearest to the usual ones are
      taken: the best of 48 on some 2,000 events is often the one with most luck.

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
    recipe_type = "USER_PERSONALIZATION"
    takes_objective = True
    takes_exploration = True
    takes_updates = True
    updated_every = 7200.0
    Config = UserPersonalizationConfig
    reads_metadata = keeps_context = keeps_users = True
    has_cold_items = explores = adds_items = True

    def _prepare(
        self, interactions: Interactions, items: Metadata | None, users: Metadata | None
    ) -> Lesson:
        if self._known_epochs is None:
            self._choice = CHOICES[0]  # if no events can be held out
        return super()._prepare(interactions, items, users)

    def _take_stock(self, interactions: Interactions, items: Metadata | None) -> None:
        super()._take_stock(interactions, items)
        pairs = _pairs(self.config.training_events(interactions))
        self.wide_ = WidePart(pairs, self._choice[1])

    def _tune(self, model: SessionModel, lesson: Lesson, held_out: np.ndarray) -> None:
        events = lesson.events
        pairs = _pairs(events.select(~held_out))
        cases = NextItemCases(events, np.flatnonzero(held_out))
        found = []
        for first in range(0, len(cases), _TUNING_BATCH):
            batch = np.arange(first, min(first + _TUNING_BATCH, len(cases)))
            histories = cases.histories(batch, events.items, users=lesson.users)
            of_batch = []
            for share in SHARES_BESIDE:
                model.network.share.fill_(share)
                scores = model.score(histories)
                of_batch.append(gains(pairs, scores, histories, cases.item_codes[batch]))
            found.append(np.concatenate(of_batch))
        gained = dict(zip(_GRID, np.concatenate(found, axis=1), strict=True))
        best = nearly_best(np.array([gained[choice] for choice in CHOICES]))
        self._choice = CHOICES[best]

    def _take_findings(self, searched: Self) -> None:
        super()._take_findings(searched)
        self._choice = (float(searched.model_.network.share), searched.wide_.shares)

    def _complete(self, model: SessionModel) -> None:
        super()._complete(model)
        beside, shares = self._choice
        model.network.share.fill_(beside)
        self.wide_ = WidePart(self.wide_.pairs, shares)

    def _score(self, histories: Sequence[History]) -> np.ndarray:
        return self.wide_.add_to(super()._score(histories), histories)

    def _tensors(self) -> dict[str, Any]:
        return super()._tensors() | self.wide_.to_arrays()

    def _restore(self, tensors: dict[str, Any]) -> None:
        super()._restore(tensors)
        self.wide_ = WidePart.from_arrays(tensors)


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
