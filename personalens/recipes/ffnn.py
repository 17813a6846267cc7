"""aws-ffnn: a feed-forward network over averages of a user's history, their fields and context."""

from __future__ import annotations

from typing import TYPE_CHECKING

from personalens.recipes.field_recipe import FieldConfig, FieldRecipe
from personalens.recipes.hyperparameters import hyperparameter

if TYPE_CHECKING:  # torch is loaded when training or serving starts, not when recipes are listed
    from personalens.recipes.field_shapes import FeedForwardShape


class FFNNConfig(FieldConfig):
    """Hyperparameters of aws-ffnn; chosen here, see the base class."""

    hidden_dimension: int = hyperparameter(
        128, "Width of the tower's first layer.", tunable=True, ge=16, le=1024
    )


class FFNN(FieldRecipe):
    """Average what a user had, and let a tower of rectified linear units say what comes next.

    The fields of :class:`~personalens.recipes.field_recipe.FieldRecipe` lie side by side under a
    tower, whose last layer is compared with every item: a classification with as many classes as
    there are items. Beside the tower a wide, linear path hands on the averages themselves
    (:class:`~personalens.networks.feed_forward.FeedForwardNetwork`).

    Parameters and attributes: :class:`~personalens.recipes.session_recipe.SessionRecipe`.

    Notes
    -----
    What differs from Covington et al.: several averages in place of one, of which the shortest is
    the last item, so that some of the order is there; the vectors of the history are those of the
    softmax, not a second table; the whole catalogue up to 5,000 items, and a corrected sample
    beyond, stand in the loss.

    Amazon Personalize: awspersonalizeffnnmodel in the preview of 2018; no guide tells more.

    References
    ----------
    Covington, Adams and Sargin, "Deep Neural Networks for YouTube Recommendations", RecSys 2016.
    Cheng et al., "Wide & Deep Learning for Recommender Systems", DLRS 2016.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [
    ...     (user, ("cat", "dog")[user % 2] + str((user // 2 + step) % 6), 10 * user + step)
    ...     for user in range(60)
    ...     for step in range(4)
    ... ]
    >>> events = pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"])
    >>> model = FFNN().fit(events)
    >>> model.recommend(["0", "1"], k=1).ITEM_ID.tolist()
    ['cat4', 'dog4']
    """

    name = "aws-ffnn"
    description = (
        "A feed-forward network over averages of the user's history, metadata of users and "
        "items, and context; its output is compared with every item. Recommends new items by "
        "their metadata."
    )
    Config = FFNNConfig

    def _shape(self) -> FeedForwardShape:
        from personalens.recipes.field_shapes import FeedForwardShape

        return FeedForwardShape(self.config.hidden_sizes, self.config.dropout)
