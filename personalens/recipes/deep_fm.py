"""aws-deepfm: a factorisation machine and a deep network over the same fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from personalens.recipes.field_recipe import FieldConfig, FieldRecipe
from personalens.recipes.hyperparameters import hyperparameter

if TYPE_CHECKING:  # torch is loaded when training or serving starts, not when recipes are listed
    from personalens.recipes.field_shapes import DeepFMShape


class DeepFMConfig(FieldConfig):
    """Hyperparameters of aws-deepfm; chosen here, see the base class."""

    hidden_dimension: int = hyperparameter(
        32, "Width of the deep network's first layer.", tunable=True, ge=8, le=256
    )


class DeepFMRecipe(FieldRecipe):
    """Score an item by the products of its vector with a user's fields, and by a deep network over
    all of them.

    The factorisation machine sums the products of all pairs of fields; the deep network reads the
    same vectors side by side, the item's among them, and finds what products of two do not tell
    (:class:`~personalens.networks.deep_fm.DeepFM`). The fields are those of
    :class:`~personalens.recipes.field_recipe.FieldRecipe`.

    Parameters and attributes: :class:`~personalens.recipes.session_recipe.SessionRecipe`.

    Notes
    -----
    What differs from Guo et al.: they tell clicks from other impressions; here each event is told
    from a sample of the catalogue, the most popular items and what others had, by a corrected
    softmax (:class:`~personalens.training.losses.PairSoftmax`), since what was shown and left
    is not known. As a predictor of ratings the same network is measured in
    ``benchmarks/deepfm_rating.py``.

    The layers above the first are computed for every pair of a user and an item, so they are
    narrow.

    Amazon Personalize: awspersonalizedeepfmmodel in the preview of 2018; no guide tells more.

    References
    ----------
    Guo, Tang, Ye, Li and He, "DeepFM: A Factorization-Machine based Neural Network for CTR
    Prediction", IJCAI 2017.

    Examples
    --------
    Half of the users read about cats, half about dogs; on both shelves there is something new:

    >>> import pandas as pd
    >>> rows = [
    ...     (user, ("cat", "dog")[user % 2] + str((user // 2 + step) % 6), 10 * user + step)
    ...     for user in range(40)
    ...     for step in range(4)
    ... ]
    >>> events = pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"])
    >>> shelf = [animal + str(number) for animal in ("cat", "dog") for number in range(7)]
    >>> items = pd.DataFrame({"ITEM_ID": shelf, "ANIMAL": [item[:3] for item in shelf]})
    >>> model = DeepFMRecipe().fit(events, items=items)
    >>> [model.rank(user, ["cat6", "dog6"]).ITEM_ID[0] for user in ("0", "1")]
    ['cat6', 'dog6']
    """

    name = "aws-deepfm"
    description = (
        "A factorisation machine and a deep network over the same fields: averages of the "
        "user's history, metadata of users and items, context. Recommends new items by their "
        "metadata."
    )
    Config = DeepFMConfig

    def _shape(self) -> DeepFMShape:
        from personalens.recipes.field_shapes import DeepFMShape

        return DeepFMShape(self.config.hidden_sizes, self.config.dropout)
