"""aws-personalized-ranking, and -v2: put given items in the order in which a user wants them."""

from __future__ import annotations

from personalens.recipes.hrnn import WideHRNNConfig
from personalens.recipes.session_recipe import SessionRecipe
from personalens.recipes.user_personalization_v2 import UserPersonalizationV2Config


class PersonalizedRanking(SessionRecipe):
    """Order given items for a user, by history, metadata and context.

    The model of :class:`~personalens.recipes.hrnn.HRNNMetadata`; asked for an order of the
    items it is given instead of for the best of all. Items without interactions have no score.

    Amazon Personalize: recipe aws-personalized-ranking, GetPersonalizedRanking.

    Examples
    --------
    >>> import pandas as pd
    >>> visits = [(user, page) for user in range(40) for page in range(4 + user % 7)]
    >>> events = pd.DataFrame(visits, columns=["USER_ID", "ITEM_ID"])
    >>> events["TIMESTAMP"] = range(len(events))
    >>> PersonalizedRanking().fit(events).rank("0", ["9", "4", "no such page"]).ITEM_ID.tolist()
    ['4', '9', 'no such page']
    """

    name = "aws-personalized-ranking"
    description = (
        "Puts a given list of items into the order in which a user wants them, by history, "
        "metadata and context."
    )
    takes_objective = True
    recipe_type = "PERSONALIZED_RANKING"
    Config = WideHRNNConfig
    reads_metadata = keeps_context = keeps_users = True


class PersonalizedRankingV2(SessionRecipe):
    """Order given items for a user, by history, metadata and context.

    The network of :class:`~personalens.recipes.user_personalization_v2.UserPersonalizationV2`;
    asked for an order of the items it is given instead of for the best of all. Items without
    interactions have no score.

    Amazon Personalize: recipe aws-personalized-ranking-v2, GetPersonalizedRanking.

    Examples
    --------
    >>> import pandas as pd
    >>> visits = [(user, page) for user in range(40) for page in range(4 + user % 7)]
    >>> events = pd.DataFrame(visits, columns=["USER_ID", "ITEM_ID"])
    >>> events["TIMESTAMP"] = range(len(events))
    >>> PersonalizedRankingV2().fit(events).rank("0", ["9", "4", "no such page"]).ITEM_ID.tolist()
    ['4', '9', 'no such page']
    """

    name = "aws-personalized-ranking-v2"
    description = (
        "A transformer that puts a given list of items into the order in which a user wants "
        "them, by events, metadata and context."
    )
    weighs_events = True
    tells_metadata = True
    recipe_type = "PERSONALIZED_RANKING"
    Config = UserPersonalizationV2Config
    reads_metadata = keeps_context = keeps_users = True
