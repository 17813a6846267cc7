"""The histories that a model keeps: what it starts from when a known user asks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import pandas as pd

from personalens.datasets import column_arrays
from personalens.datasets.id_maps import IdMap, id_list
from personalens.datasets.interactions import Interactions

FORGOTTEN = "\x00forgotten "
"""How the names of forgotten users begin."""


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


def history_arrays(interactions: Interactions) -> dict[str, np.ndarray]:
    """Return the events as arrays for :func:`restore_histories`; event types go in as codes."""
    arrays = {
        "offsets": interactions.offsets,
        "items": interactions.item_codes,
        "timestamps": interactions.timestamps,
    }
    if interactions.event_values is not None:
        arrays["values"] = interactions.event_values
    if interactions.event_types is not None:
        names = event_type_names(interactions)
        codes = pd.Index(names, dtype=object).get_indexer(interactions.event_types)
        arrays["types"] = codes.astype(np.int16 if len(names) < 2**15 else np.int32)
    context = column_arrays.to_arrays(interactions.context)
    arrays |= {f"context.{name}": array for name, array in context.items()}
    return arrays


def event_type_names(interactions: Interactions) -> list[str]:
    """Return the distinct event types, sorted; the empty ones (None, NaN) are not among them."""
    if interactions.event_types is None:
        return []
    distinct = pd.unique(pd.Series(interactions.event_types, dtype=object))
    return sorted(str(name) for name in distinct if not pd.isna(name))


def restore_histories(
    users: IdMap, items: IdMap, type_names: list[str], arrays: dict[str, np.ndarray]
) -> Interactions:
    """Return the events that :func:`history_arrays` took apart.

    Raises
    ------
    ValueError
        If the arrays are not of these users, items and types.
    """
    types = arrays.get("types")
    sizes, codes = np.diff(arrays["offsets"]), arrays["items"]
    if len(sizes) != len(users) or (sizes < 0).any() or sizes.sum() != len(codes):
        raise ValueError("the histories are not of these users")
    if len(codes) and not 0 <= codes.min() <= codes.max() < len(items):
        raise ValueError("the histories are not of these items")
    context = {
        name.removeprefix("context."): array
        for name, array in arrays.items()
        if name.startswith("context.")
    }
    return Interactions(
        users=users,
        items=items,
        user_codes=np.repeat(np.arange(len(users), dtype=np.int32), np.diff(arrays["offsets"])),
        item_codes=arrays["items"],
        timestamps=arrays["timestamps"],
        event_values=arrays.get("values"),
        # The empty event type has code -1, so it stands last.
        event_types=None if types is None else np.array([*type_names, None], object)[types],
        context=column_arrays.from_arrays(context),
    )
