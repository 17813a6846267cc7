"""aws-user-personalization-v2: a transformer over events, metadata and context."""

from __future__ import annotations

from typing import TYPE_CHECKING

from personalens.datasets.interactions import Interactions
from personalens.recipes.hyperparameters import RecipeConfig, hyperparameter
from personalens.recipes.session_recipe import SessionRecipe

if TYPE_CHECKING:  # torch is loaded when training or serving starts, not when recipes are listed
    from personalens.recipes.network_builders import TransformerBuilder


class UserPersonalizationV2Config(RecipeConfig):
    """The one hyperparameter of the recipes of the second version."""

    apply_recency_bias: bool = hyperparameter(
        True,
        "Whether newer events weigh more: a user's own, and, for new users, those of everybody. If "
        "false, all past events weigh the same.",
    )

    @property
    def weighs_recent(self) -> bool:
        """Whether new users see a lift of what is popular lately."""
        return self.apply_recency_bias

    def training_events(self, interactions: Interactions) -> Interactions:
        """Return all events."""
        return interactions

    def builder(self) -> TransformerBuilder:
        """Return what builds the network."""
        from personalens.recipes.network_builders import TransformerBuilder

        return TransformerBuilder(self.apply_recency_bias)


class UserPersonalizationV2(SessionRecipe):
    """Recommend from all items, those included that only the items table knows.

    An item that nobody has had is what its metadata say. A user's events, with all their metadata,
    are read by attention, and the next item is predicted.

    Events, items and requests become vectors as in
    :class:`~personalens.recipes.hrnn.HRNNMetadata`, and training, start values and
    stopping are the same. What reads a history is a transformer: each event looks at those before
    it and takes in what they hold, weighed by what they are and by how long ago they were
    (:class:`~personalens.networks.causal_transformer.TransformerEncoder`).

    Parameters and attributes: as :class:`~personalens.recipes.session_recipe.SessionRecipe`.

    Notes
    -----
    * The service explores a tiny share of items from the last thirty days by itself; this recipe
      does not explore. It scores every item, where the service scores a subset.
    * ``apply_recency_bias``: attention that depends on distance, running means with short memories,
      and for new users a lift of what is more popular lately than it used to be. Without it a
      request is answered by the newest event and the set of those before it, in any order; only
      the pause before each, which is read with it, still hints at the order.
    * ``event_weights`` of the interactions are factors in the loss and in the figure that stops the
      training. Amazon Personalize: ``eventsConfig``.
    * One block, 64 wide: on validation events of ml-100k two blocks, or 128 columns, were no better
      and took half as long again or twice as long.
    * It is no better than aws-hrnn on thin data: next item, NDCG@10 is 0.153 on validation events
      of ml-100k (three a user, one seed; aws-hrnn 0.154) and 0.084 on ml-latest-small (two seeds;
      aws-hrnn 0.086).

    Amazon Personalize: recipe aws-user-personalization-v2.

    Examples
    --------
    Everybody goes through the same ten pages in their order, some not to the end:

    >>> import pandas as pd
    >>> visits = [(user, page) for user in range(40) for page in range(4 + user % 7)]
    >>> events = pd.DataFrame(visits, columns=["USER_ID", "ITEM_ID"])
    >>> events["TIMESTAMP"] = range(len(events))
    >>> model = UserPersonalizationV2().fit(events)
    >>> model.recommend(["0", "3", "somebody new"], k=1).ITEM_ID.tolist()
    ['4', '7', '0']
    """

    name = "aws-user-personalization-v2"
    description = (
        "A transformer that reads each user's events, metadata and context, and recommends "
        "from the whole catalogue, new items included."
    )
    weighs_events = True
    tells_metadata = True
    updated_every = 7200.0
    recipe_type = "USER_PERSONALIZATION"
    Config = UserPersonalizationV2Config
    reads_metadata = keeps_context = keeps_users = True
    has_cold_items = adds_items = True
