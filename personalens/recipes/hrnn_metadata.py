"""aws-hrnn-metadata: HRNN with what is known of items, users and the circumstances of events."""

from __future__ import annotations

from personalens.recipes.hrnn import HRNN


class HRNNMetadata(HRNN):
    """Read a user's events in order, with all their metadata, and predict the next item.

    HRNN, whose vectors are sums:

    * an item's vector is one of its own plus those of its fields' values
      (:class:`~personalens.recipes.item_fields.ItemFields`): categories such as GENRES, buckets of
      numbers such as YEAR;
    * each context column of the Interactions (DEVICE, an hour) is a feature of each event;
    * at a request, the vectors of its context and of the user's fields are added to that of the
      history, before the product with the items: a factorisation machine between
      {history, user fields, context} and {item, item fields}.

    In training the request's context is withheld from a part of the events: so a request without
    one is answered well too. A value that training had not met, or met less than five times, counts
    as missing.

    Parameters and attributes: as :class:`~personalens.recipes.hrnn.HRNN`.

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
    dataset_types = ("Interactions", "Items", "Users")
    reads_metadata = True
    keeps_context = True
    keeps_users = True
