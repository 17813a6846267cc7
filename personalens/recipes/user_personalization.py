"""aws-user-personalization: metadata, new items and exploration in one recipe."""

from __future__ import annotations

from personalens.recipes.cold_items import ColdItemRecipe
from personalens.recipes.hrnn import HRNNConfig
from personalens.recipes.hyperparameters import hyperparameter


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

    Parameters and attributes: as :class:`~personalens.recipes.cold_items.ColdItemRecipe`.

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
