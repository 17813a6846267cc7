"""aws-deepfm and aws-ffnn: the next item is predicted from fields that follow no order.

The fields of a user are averages of the vectors of what they had, over memories of several
lengths (from the last item alone to about a hundred), the circumstances of the last event
(pause, rating, event type, context), and what is known of the request: its context and the
user's metadata. A user has no vector of their own, so new users and events need no training. An
item is its own vector and bias plus those of its metadata; items of the items table that nobody
has had are their metadata alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from personalens.recipes.hyperparameters import HistoryLengths, hyperparameter
from personalens.recipes.session_recipe import SessionRecipe

if TYPE_CHECKING:  # torch is loaded when training or serving starts, not when recipes are listed
    from personalens.recipes.network_builders import DeepFMBuilder, FeedForwardBuilder


class FieldConfig(HistoryLengths):
    """Sizes of a deep network over fields.

    The service never published hyperparameters of these recipes. The names, defaults and ranges are
    PersonaLens's own: the widths, depths and dropout rates that Guo et al. (2017) compare.
    """

    hidden_layers: int = hyperparameter(
        2, "Layers of the deep network; each is half as wide as the one below.", ge=1, le=4
    )
    dropout: float = hyperparameter(
        0.3,
        "Share of the deep network's units that is left out at a training step.",
        tunable=True,
        ge=0.0,
        le=0.8,
    )

    weighs_recent: ClassVar[bool] = True

    @property
    def hidden_sizes(self) -> tuple[int, ...]:
        """Widths of the layers."""
        return tuple(max(1, self.hidden_dimension >> layer) for layer in range(self.hidden_layers))


class DeepFMConfig(FieldConfig):
    """Hyperparameters of aws-deepfm."""

    hidden_dimension: int = hyperparameter(
        32, "Width of the deep network's first layer.", tunable=True, ge=8, le=256
    )

    def builder(self) -> DeepFMBuilder:
        """Return what builds the network."""
        from personalens.recipes.network_builders import DeepFMBuilder

        return DeepFMBuilder(self.hidden_sizes, self.dropout)


class DeepFMRecipe(SessionRecipe):
    """Score an item by the products of its vector with a user's fields, and by a deep network over
    all of them.

    The factorisation machine sums the products of all pairs of fields; the deep network reads the
    same vectors side by side, the item's among them, and finds what products of two do not tell
    (:class:`~personalens.networks.deep_fm.DeepFM`). The fields are those
    that the module's docstring describes.

    Parameters and attributes: :class:`~personalens.recipes.session_recipe.SessionRecipe`.

    Notes
    -----
    What differs from Guo et al.: they tell clicks from other impressions; here each event is told
    from a sample of the catalogue, the most popular items and what others had, by a corrected
    softmax (:class:`~personalens.recipes.network_builders.PairSoftmax`), since it is not known what
    was shown and left. As a predictor of ratings the same network is measured in
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
    recipe_type = "USER_PERSONALIZATION"
    reads_metadata = keeps_context = keeps_users = has_cold_items = True


class FFNNConfig(FieldConfig):
    """Hyperparameters of aws-ffnn."""

    hidden_dimension: int = hyperparameter(
        128, "Width of the tower's first layer.", tunable=True, ge=16, le=1024
    )

    def builder(self) -> FeedForwardBuilder:
        """Return what builds the network."""
        from personalens.recipes.network_builders import FeedForwardBuilder

        return FeedForwardBuilder(self.hidden_sizes, self.dropout)


class FFNN(SessionRecipe):
    """Average what a user had, and let a tower of rectified linear units say what comes next.

    The fields that the module's docstring describes lie side by side under a tower, whose last
    layer is compared with every item: a classification with as many classes as there are items.
    Beside the tower a wide, linear path hands on the averages themselves
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
    recipe_type = "USER_PERSONALIZATION"
    reads_metadata = keeps_context = keeps_users = has_cold_items = True
