"""aws-user-personalization: metadata, new items and exploration in one recipe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np

from personalens.datasets.histories import History
from personalens.datasets.interactions import Interactions
from personalens.datasets.metadata import Metadata
from personalens.evaluation.holdouts import NextItemCases
from personalens.recipes.cold_items import ColdItemRecipe
from personalens.recipes.hrnn import HRNNConfig
from personalens.recipes.hyperparameters import hyperparameter
from personalens.recipes.item_pairs import SHARES, ItemPairs, gains_of_shares
from personalens.training.progress import Progress

if TYPE_CHECKING:  # torch is loaded when training or serving starts, not when recipes are listed
    from personalens.recipes.session_model import SessionModel

_TUNING_BATCH = 128


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

    Beside the network stands a linear model of pairs of items
    (:class:`~personalens.recipes.item_pairs.ItemPairs`). How much it counts, the events tell that
    are held out to find the number of epochs.

    Parameters and attributes: as :class:`~personalens.recipes.cold_items.ColdItemRecipe`, and

    pairs_
        The linear model.
    pairs_share_
        How much it counts, 0 to 0.2 of the network's spread.

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
            self.pairs_share_ = 0.0  # where there is nothing to hold out
        super()._fit(interactions, items, users, progress, refit)

    def _take_stock(self, interactions: Interactions, items: Metadata | None) -> None:
        super()._take_stock(interactions, items)
        self.pairs_ = ItemPairs.learn(self._training_events(interactions))

    def _tune(self, model: SessionModel, events: Interactions, held_out: np.ndarray) -> None:
        pairs = ItemPairs.learn(events.select(~held_out))
        cases = NextItemCases(events, np.flatnonzero(held_out))
        gains = np.zeros(len(SHARES))
        for first in range(0, len(cases), _TUNING_BATCH):
            batch = np.arange(first, min(first + _TUNING_BATCH, len(cases)))
            histories = cases.histories(batch, events.items, users=self._side.users)
            scores = model.score(histories)
            gains += gains_of_shares(pairs, scores, histories, cases.item_codes[batch])
        self.pairs_share_ = SHARES[int(gains.argmax())]

    def _take_findings(self, searched: Self) -> None:
        super()._take_findings(searched)
        self.pairs_share_ = searched.pairs_share_

    def _score(self, histories: Sequence[History]) -> np.ndarray:
        return self.pairs_.add_to(super()._score(histories), histories, self.pairs_share_)

    def _tensors(self) -> dict[str, np.ndarray]:
        pairs = {f"pairs.{name}": array for name, array in self.pairs_.to_arrays().items()}
        return super()._tensors() | pairs | {"pairs_share": np.array([self.pairs_share_])}

    def _restore(self, tensors: dict[str, np.ndarray]) -> None:
        super()._restore(tensors)
        arrays = {name: tensors[f"pairs.{name}"] for name in ("values", "columns", "borders")}
        self.pairs_ = ItemPairs.from_arrays(arrays)
        self.pairs_share_ = float(tensors["pairs_share"][0])
