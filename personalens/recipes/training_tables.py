"""What a fit is given, brought into the form in which recipes learn from it; and what a model
keeps of it: the histories from which it starts when a known user asks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from personalens.datasets.id_maps import IdMap, id_list
from personalens.datasets.interactions import ITEM_ID, USER_ID, Interactions
from personalens.datasets.metadata import Metadata

FORGOTTEN = "\x00forgotten "
"""How the names of forgotten users begin."""


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


def newest_events(interactions: Interactions, limit: int) -> Interactions:
    """Return the newest ``limit`` events of each user; itself when nobody has more."""
    counts = np.diff(interactions.offsets)
    if not len(counts) or counts.max() <= limit:
        return interactions
    place = interactions.offsets[1:][interactions.user_codes] - np.arange(len(interactions))
    return interactions.select(place <= limit)


def without_users(interactions: Interactions, user_ids: Collection[str]) -> Interactions:
    """Return the events without those of these users, whose places in the vocabulary have names
    that say nothing: a model's own arrays, which have a row for each user, keep their order."""
    codes = interactions.users.encode(id_list(user_ids, "user_ids"))
    codes = codes[codes >= 0]
    names = interactions.users.ids.copy()
    names[codes] = [f"{FORGOTTEN}{code}" for code in codes.tolist()]
    is_theirs = np.zeros(len(names), bool)
    is_theirs[codes] = True
    return replace(interactions.select(~is_theirs[interactions.user_codes]), users=IdMap(names))
