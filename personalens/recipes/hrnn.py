"""aws-hrnn and aws-hrnn-metadata: a recurrent network that reads a user's events in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from personalens.recipes.hyperparameters import HistoryLengths, hyperparameter
from personalens.recipes.session_recipe import SessionRecipe

if TYPE_CHECKING:  # torch is loaded when training or serving starts, not when recipes are listed
    from personalens.recipes.session_model import NetworkBuilder

RECENT_DECAYS = (0.0, 0.8, 0.95)
"""The running means under ``recency_mask``: the last item, the last five or so, the last twenty."""


class HRNNConfig(HistoryLengths):
    """Hyperparameters of aws-hrnn, with the service's names, defaults and ranges."""

    hidden_dimension: int = hyperparameter(
        43, "Width of the recurrent state.", tunable=True, ge=32, le=256
    )
    bptt: int = hyperparameter(
        32,
        "Steps through which the recurrent layer's gradients flow back. The state itself is "
        "carried through the whole history.",
        tunable=True,
        ge=2,
        le=32,
    )
    recency_mask: bool = hyperparameter(
        True,
        "Whether newer events weigh more: a user's own, and, for new users, those of everybody. If "
        "false, all past events weigh the same.",
        tunable=True,
    )

    @property
    def weighs_recent(self) -> bool:
        """Whether new users see a lift of what is popular lately."""
        return self.recency_mask

    def builder(self) -> NetworkBuilder:
        """Return what builds the network."""
        from personalens.recipes.session_model import RecurrentBuilder

        decays = RECENT_DECAYS if self.recency_mask else ()
        return RecurrentBuilder(self.hidden_dimension, self.bptt, decays)


class WideHRNNConfig(HRNNConfig):
    """Hyperparameters of the recipes that read metadata by a wider state."""

    hidden_dimension: int = hyperparameter(
        149, "Width of the recurrent state.", tunable=True, ge=32, le=256
    )


class HRNN(SessionRecipe):
    """Read a user's events in order and predict the next item.

    Each event becomes a vector: that of its item, plus one for each of its features, among them the
    pause before it and the levels of session that it begins
    (:class:`~personalens.recipes.event_reader.EventReader`). A gated recurrence follows their
    order, running means keep what came lately, and the sum of both is compared with every item's
    vector (:class:`~personalens.networks.session_network.SessionNetwork`). Where items lead on to
    each other in a fixed order, as far as counting tells, a matrix says what follows the last one
    (:class:`~personalens.networks.session_network.RecurrentEncoder`). A user is nothing but their
    events: someone new, or a click of a second ago, needs no training.

    Training predicts every event of every user from those before it, among all items at once. Item
    vectors start from what stands near what in the histories, item biases from popularity, so that
    a few passes over the data are enough. How many, the newest events of some users tell, which are
    held out; a second model is trained on everything for as many.

    Parameters and attributes: :class:`~personalens.recipes.session_recipe.SessionRecipe`.

    Notes
    -----
    * A history begins with a start row, whose target is the user's first item. An empty history is
      that row alone: a new user is shown what others began with.
    * Long histories train in windows of 200 events, each led in by the 20 before; a request reads
      the newest 200.
    * ``bptt``: gradients in the recurrence stop after so many steps; the state is carried on. The
      weights are updated once per batch of whole windows, not once per ``bptt`` steps.
    * ``recency_mask``: running means with short memories, and for new users a lift of what is more
      popular lately than it used to be; without it one mean in which all of a user's events weigh
      the same, and no lift.
    * Up to 5,000 items the loss is the full softmax; beyond, the most popular items and a sample of
      the others stand for the catalogue (:mod:`personalens.training.losses`).

    Amazon Personalize: recipe aws-hrnn.

    References
    ----------
    Ma, Narayanaswamy, Lin and Ding, "Temporal-Contextual Recommendation in Real-Time", KDD 2020.
    Hidasi et al., "Session-based Recommendations with Recurrent Neural Networks", ICLR 2016.
    Klenitskiy and Vasilev, "Turning Dross Into Gold Loss: is BERT4Rec really better than SASRec?",
    RecSys 2023 (full softmax at every position).

    Examples
    --------
    Everybody goes through the same ten pages in their order, some not to the end:

    >>> import pandas as pd
    >>> visits = [(user, page) for user in range(40) for page in range(4 + user % 7)]
    >>> events = pd.DataFrame(visits, columns=["USER_ID", "ITEM_ID"])
    >>> events["TIMESTAMP"] = range(len(events))
    >>> model = HRNN().fit(events)
    >>> model.recommend(["0", "3", "somebody new"], k=1).ITEM_ID.tolist()
    ['4', '7', '0']
    """

    name = "aws-hrnn"
    description = (
        "A recurrent network that reads each user's events in their order, sessions "
        "included, and predicts the next item. Takes interactions only; new users and new "
        "events are read without retraining."
    )
    dataset_types = ("Interactions",)
    recipe_type = "USER_PERSONALIZATION"
    Config = HRNNConfig


class HRNNMetadata(SessionRecipe):
    """Read a user's events in order, with all their metadata, and predict the next item.

    HRNN, whose vectors are sums:

    * an item's vector is one of its own plus those of its fields' values
      (:class:`~personalens.recipes.event_reader.ItemFields`): categories such as GENRES, buckets of
      numbers such as YEAR;
    * each context column of the Interactions (DEVICE, an hour) is a feature of each event;
    * at a request, the vectors of its context and of the user's fields are added to that of the
      history, before the product with the items: a factorisation machine between
      {history, user fields, context} and {item, item fields}.

    In training the request's context is withheld from a part of the events: so a request without
    one is answered well too. A value that training had not met, or met less than five times, counts
    as missing.

    Parameters and attributes: as :class:`HRNN`.

    Notes
    -----
    * What the metadata explain of the start vectors (a ridge regression on the fields) goes to the
      fields, the rest stays with the item: before training the sums are those of HRNN.
    * Names of context columns match in any case. A context is read for new users too.
    * Text and CREATION_TIMESTAMP do not train. A context value is taken whole: "a|b" is one value.

    Amazon Personalize: recipe aws-hrnn-metadata.

    References
    ----------
    Ma, Narayanaswamy, Lin and Ding, "Temporal-Contextual Recommendation in Real-Time", KDD 2020.
    Rendle, "Factorization Machines", ICDM 2010.

    Examples
    --------
    In the evening everybody watches a film that begins with an e, else one that begins with a d:

    >>> import pandas as pd
    >>> rows = [
    ...     (user, "de"[hour > 17] + str((user + step) % 9), hour, 60 * user + step)
    ...     for user in range(60)
    ...     for step, hour in enumerate([9, 21, 8, 20, 10, 22][user % 3 :])
    ... ]
    >>> events = pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "HOUR", "TIMESTAMP"])
    >>> model = HRNNMetadata().fit(events)
    >>> from dataclasses import replace
    >>> asked = [replace(model.history("new"), context={"HOUR": hour}) for hour in ("9", "21")]
    >>> [model.items_.ids[scores.argmax()][0] for scores in model.score(asked)]
    ['d', 'e']
    """

    name = "aws-hrnn-metadata"
    description = (
        "HRNN that also reads the metadata of items and users and the context of events and "
        "requests, such as a device."
    )
    recipe_type = "USER_PERSONALIZATION"
    Config = HRNNConfig
    reads_metadata = keeps_context = keeps_users = True
