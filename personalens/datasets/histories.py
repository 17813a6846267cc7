"""One user's past, in the form that a model reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from personalens.datasets.id_maps import IdMap, id_list
from personalens.datasets.interactions import Interactions
from personalens.datasets.metadata import Metadata


@dataclass(eq=False, slots=True)  # not frozen, which is slow to make: a batch makes many
class History:
    """One user's past, oldest first, in a model's item codes. Not to be changed.

    ``item_codes`` (n,) int32 (no unknown items), ``timestamps`` (n,) int64 epoch seconds,
    ``event_values`` (n,) float32 or None, ``event_types`` (n,) object or None; ``event_context``
    has the (n,) values of each context column, such as DEVICE. ``user`` is what is known of the
    user (metadata by field name), ``request_time`` the second of the request, ``context`` the
    request's context by column name. ``reading`` is what a model keeps of having read it
    (:meth:`~personalens.recipes.base.Recipe.read`), to be scored without reading it again.
    """

    item_codes: np.ndarray
    timestamps: np.ndarray
    event_values: np.ndarray | None = None
    event_types: np.ndarray | None = None
    request_time: int | None = None
    context: Mapping[str, str] = field(default_factory=dict)
    event_context: Mapping[str, np.ndarray] = field(default_factory=dict)
    user: Mapping[str, Any] = field(default_factory=dict)
    reading: Any = None

    @classmethod
    def empty(cls) -> History:
        """The past of a user nobody has seen."""
        return cls(np.zeros(0, np.int32), np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.item_codes)

    def select(self, rows: slice | np.ndarray) -> History:
        """Return the events of a slice, under a boolean mask or at positions; unread."""
        return replace(
            self,
            item_codes=self.item_codes[rows],
            timestamps=self.timestamps[rows],
            event_values=None if self.event_values is None else self.event_values[rows],
            event_types=None if self.event_types is None else self.event_types[rows],
            event_context={name: values[rows] for name, values in self.event_context.items()},
            reading=None,
        )


def histories_of(
    interactions: Interactions,
    user_codes: Sequence[int],
    *,
    items: IdMap | None = None,
    users: Metadata | None = None,
) -> list[History]:
    """Return the whole past of the users with these codes in ``interactions.users``.

    ``items`` is the vocabulary of the histories, such as a model's ``items_``; events with an item
    that it lacks are left out. Default: the interactions' own.
    """
    codes, offsets = np.asarray(user_codes, np.int64), interactions.offsets
    borders = offsets[codes].tolist(), offsets[codes + 1].tolist()
    rows = [slice(start, stop) for start, stop in zip(*borders, strict=True)]
    histories = histories_before(interactions, rows, items=items)
    return histories if users is None else _told(histories, interactions.users.decode(codes), users)


def histories_by_id(
    interactions: Interactions, user_ids: Sequence[str], *, users: Metadata | None = None
) -> list[History]:
    """Return the whole past of the users with these ids, empty for unknown ones; ``users`` as in
    :func:`histories_of`."""
    user_ids = id_list(user_ids, "user_ids")
    codes = interactions.users.encode(user_ids)
    found = iter(histories_of(interactions, codes[codes >= 0]))
    pasts = [History.empty() if code < 0 else next(found) for code in codes.tolist()]
    return pasts if users is None else _told(pasts, user_ids, users)


def _told(histories: list[History], user_ids: Sequence[str], users: Metadata) -> list[History]:
    """Return the histories with what is known of their users."""
    pairs = zip(histories, user_ids, strict=True)
    return [replace(history, user=users.row(user_id)) for history, user_id in pairs]


def histories_before(
    interactions: Interactions, rows: Sequence[slice], *, items: IdMap | None = None
) -> list[History]:
    """Return one history for each slice of rows (of one user, oldest first).

    ``items`` as in :func:`histories_of`. So ``slice(offsets[u], r)`` is what user ``u`` had done
    before event ``r``.
    """
    codes, times = interactions.item_codes, interactions.timestamps
    values, types = interactions.event_values, interactions.event_types
    context = interactions.request_context
    histories = [
        History(
            codes[row],
            times[row],
            None if values is None else values[row],
            None if types is None else types[row],
            event_context={name: column[row] for name, column in context.items()},
        )
        for row in rows
    ]
    if items is None or items is interactions.items:
        return histories
    translation = items.encode(interactions.items.ids)
    translated = (replace(each, item_codes=translation[each.item_codes]) for each in histories)
    return [
        each if (known := each.item_codes >= 0).all() else each.select(known) for each in translated
    ]
