"""What a fit is given, brought into the form in which recipes learn from it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from personalens.datasets.id_maps import IdMap
from personalens.datasets.interactions import ITEM_ID, USER_ID, Interactions
from personalens.datasets.metadata import Metadata


class CannotLearn(ValueError):
    """The data do not suit a recipe; the message says why, and what to do."""


class TrainingTables(NamedTuple):
    """Events whose vocabularies have no unused users and, unless cold items belong to it, no unused
    items; the metadata of all users of the table; None where none was given."""

    interactions: Interactions
    items: Metadata | None
    users: Metadata | None


def training_tables(
    interactions: Interactions | pd.DataFrame,
    items: Metadata | pd.DataFrame | None,
    users: Metadata | pd.DataFrame | None,
    *,
    has_cold_items: bool,
    needs_events: bool = True,
) -> TrainingTables:
    """Return tables that fit together; those that are plain tables become what recipes read.

    ``items`` has one row for each item of the vocabulary, to which items without an event belong
    only if the recipe ``has_cold_items``. CannotLearn if there are no interactions, but must be.
    """
    if not isinstance(interactions, Interactions):
        interactions = Interactions.from_frame(interactions)
    if needs_events and not len(interactions):
        raise CannotLearn("there are no interactions to learn from")
    if not _uses_all_ids(interactions):
        interactions = interactions.compact()
    if items is not None and not isinstance(items, Metadata):
        items = Metadata.from_frame(items, ITEM_ID)
    if users is not None and not isinstance(users, Metadata):
        users = Metadata.from_frame(users, USER_ID)
    if items is not None:
        if has_cold_items:
            known = np.concatenate([interactions.items.ids, items.ids.ids])
            interactions = interactions.with_items(IdMap.from_values(known))
        items = items.align(interactions.items)
    return TrainingTables(interactions, items, users)


def _uses_all_ids(interactions: Interactions) -> bool:
    items = np.bincount(interactions.item_codes, minlength=len(interactions.items))
    return bool(items.all() and np.diff(interactions.offsets).all())
