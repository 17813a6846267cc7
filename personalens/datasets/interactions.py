"""Interactions in memory: the table that every recipe learns from, and one user's past in it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from personalens.datasets.frame_columns import (
    id_column,
    is_boolean,
    number_column,
    require_columns,
    seconds_column,
    text_column,
    time_column,
)
from personalens.datasets.id_maps import IdMap, id_list
from personalens.datasets.metadata import Metadata

USER_ID, ITEM_ID, TIMESTAMP = "USER_ID", "ITEM_ID", "TIMESTAMP"
EVENT_TYPE, EVENT_VALUE = "EVENT_TYPE", "EVENT_VALUE"
NOT_CONTEXT = ("IMPRESSION", "RECOMMENDATION_ID", "EVENT_ATTRIBUTION_SOURCE")
"""Reserved columns that tell how an event came about, not in which circumstances."""
_COLUMN_TYPES = {TIMESTAMP: np.int64, EVENT_VALUE: np.float32, EVENT_TYPE: object}


@dataclass(frozen=True, eq=False)
class Interactions:
    """Events sorted by user, then time, then the tie rule; identifiers coded.

    Attributes
    ----------
    users, items
        Vocabularies. Codes index into them.
    user_codes, item_codes
        (n,) int32.
    timestamps
        (n,) int64, epoch seconds.
    event_values
        (n,) float32, NaN where absent; or None when there is no such column.
    event_types
        (n,) object of strings, or None when there is no such column.
    context
        Further columns by name (upper case), each (n,).
    event_weights
        (n,) float32 >= 0, or None when all weigh the same: how much it matters to predict each
        event. Amazon Personalize: ``eventsConfig``.
    offsets
        (len(users) + 1,) int64: user ``u`` owns rows ``offsets[u]:offsets[u + 1]``.

    Notes
    -----
    **Tie rule.** Half of the neighbouring events of ml-100k share a second, and ml-latest-small is
    stored sorted by item inside a user, so a stable sort would leak "a higher id comes next".
    Events of one user in one second are therefore ordered by a hash of (seed, user, item): an order
    that has nothing to do with the identifiers' order or the file's order, and that is the same in
    every run and on every machine. Events of one user with one item in one second keep the order
    in which they came.
    """

    users: IdMap
    items: IdMap
    user_codes: np.ndarray
    item_codes: np.ndarray
    timestamps: np.ndarray
    event_values: np.ndarray | None = None
    event_types: np.ndarray | None = None
    context: dict[str, np.ndarray] = field(default_factory=dict)
    event_weights: np.ndarray | None = None
    offsets: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        counts = np.bincount(self.user_codes, minlength=len(self.users))
        object.__setattr__(
            self, "offsets", np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        )

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        users: IdMap | None = None,
        items: IdMap | None = None,
        tie_seed: int = 0,
    ) -> Interactions:
        """Build from a table with USER_ID, ITEM_ID, TIMESTAMP and optional further columns.

        Parameters
        ----------
        frame
            One row per event. USER_ID and ITEM_ID are texts or whole numbers; TIMESTAMP is in epoch
            seconds, or a datetime of any unit and time zone (UTC where it tells none).
        users, items
            Vocabularies to use; rows whose user or item is not in them are left out. Default: built
            from the table.
        tie_seed
            Seed of the tie rule (see Notes).

        Raises
        ------
        ValueError
            If a required column is missing, or a row lacks what an import asks of it too: the
            message names row, column and value.
        """
        require_columns(frame, (USER_ID, ITEM_ID, TIMESTAMP), "interactions")
        user_ids, item_ids = id_column(frame, USER_ID), id_column(frame, ITEM_ID)
        users = IdMap.from_values(user_ids) if users is None else users
        items = IdMap.from_values(item_ids) if items is None else items
        columns = {
            str(name): _frame_column(frame, name)
            for name in frame.columns
            if name not in (USER_ID, ITEM_ID)
        }
        return cls._sorted(
            users, items, users.encode(user_ids), items.encode(item_ids), columns, tie_seed
        )

    @classmethod
    def from_table(cls, table: pa.Table, *, tie_seed: int = 0) -> Interactions:
        """Build from an Arrow table, as :meth:`from_frame` does from a frame.

        USER_ID and ITEM_ID may be dictionaries; they are then never spelled out row by row.
        """
        required = (USER_ID, ITEM_ID, TIMESTAMP)
        if missing := [name for name in required if name not in table.column_names]:
            raise ValueError(f"the interactions lack the column {', '.join(missing)}")
        users, user_codes = _code_column(table[USER_ID])
        items, item_codes = _code_column(table[ITEM_ID])
        columns = {
            name: _spell_column(name, table[name])
            for name in table.column_names
            if name not in (USER_ID, ITEM_ID)
        }
        return cls._sorted(users, items, user_codes, item_codes, columns, tie_seed)

    @classmethod
    def _sorted(
        cls,
        users: IdMap,
        items: IdMap,
        user_codes: np.ndarray,
        item_codes: np.ndarray,
        columns: dict[str, np.ndarray],
        tie_seed: int,
    ) -> Interactions:
        known = np.flatnonzero((user_codes >= 0) & (item_codes >= 0))
        if len(known) < len(user_codes):
            user_codes, item_codes = user_codes[known], item_codes[known]
            columns = {name: values[known] for name, values in columns.items()}
        tie = tie_keys(users, items, user_codes, item_codes, tie_seed)
        order = _order_events(user_codes, columns[TIMESTAMP], tie)
        columns = {name: values[order] for name, values in columns.items()}
        return cls(
            users=users,
            items=items,
            user_codes=user_codes[order],
            item_codes=item_codes[order],
            timestamps=columns.pop(TIMESTAMP),
            event_values=columns.pop(EVENT_VALUE, None),
            event_types=columns.pop(EVENT_TYPE, None),
            context=columns,
        )

    def __len__(self) -> int:
        return len(self.user_codes)

    def rows_of(self, user_code: int) -> slice:
        """Return the rows of one user, oldest first."""
        return slice(int(self.offsets[user_code]), int(self.offsets[user_code + 1]))

    def select(self, rows: np.ndarray) -> Interactions:
        """Return the events under a boolean mask or at ascending positions; vocabularies stay."""
        return replace(
            self,
            user_codes=self.user_codes[rows],
            item_codes=self.item_codes[rows],
            timestamps=self.timestamps[rows],
            event_values=None if self.event_values is None else self.event_values[rows],
            event_types=None if self.event_types is None else self.event_types[rows],
            context={name: values[rows] for name, values in self.context.items()},
            event_weights=None if self.event_weights is None else self.event_weights[rows],
        )

    @property
    def request_context(self) -> dict[str, np.ndarray]:
        """The columns that a request may give as its context, such as DEVICE, each (n,)."""
        return {name: values for name, values in self.context.items() if name not in NOT_CONTEXT}

    def with_items(self, items: IdMap) -> Interactions:
        """Return the same events in another vocabulary of items, which must know all of them."""
        translation = items.encode(self.items.ids)
        if (translation < 0).any():
            missing = self.items.ids[translation < 0][0]
            raise ValueError(f"the vocabulary lacks the item {missing!r}")
        return replace(self, items=items, item_codes=translation[self.item_codes])

    def compact(self) -> Interactions:
        """Return the same events with vocabularies cut to the users and items that occur."""
        users, user_codes = _renumber(self.users, self.user_codes)
        items, item_codes = _renumber(self.items, self.item_codes)
        return replace(self, users=users, items=items, user_codes=user_codes, item_codes=item_codes)

    def to_frame(self) -> pd.DataFrame:
        """Return the events as a table with the service's column names."""
        frame = pd.DataFrame(
            {
                USER_ID: self.users.decode(self.user_codes),
                ITEM_ID: self.items.decode(self.item_codes),
                TIMESTAMP: self.timestamps,
            }
        )
        if self.event_types is not None:
            frame[EVENT_TYPE] = self.event_types
        if self.event_values is not None:
            frame[EVENT_VALUE] = self.event_values
        return frame.assign(**self.context)


def _renumber(ids: IdMap, codes: np.ndarray) -> tuple[IdMap, np.ndarray]:
    """Return the identifiers that occur, in the order in which they were, and the codes in them."""
    occurs = np.bincount(codes, minlength=len(ids)) > 0
    return IdMap(ids.ids[occurs]), (np.cumsum(occurs, dtype=np.int32) - 1)[codes]


def tie_keys(
    users: IdMap, items: IdMap, user_codes: np.ndarray, item_codes: np.ndarray, seed: int
) -> np.ndarray:
    """Return the (n,) uint64 keys that order events of one user in one second."""
    user_hash = _hash_ids(users, f"user/{seed}")
    item_hash = _hash_ids(items, f"item/{seed}")
    mixed = user_hash[user_codes] ^ (item_hash[item_codes] * np.uint64(0x9E3779B97F4A7C15))
    mixed ^= mixed >> np.uint64(31)
    return mixed * np.uint64(0xBF58476D1CE4E5B9)


def _order_events(user_codes: np.ndarray, timestamps: np.ndarray, tie: np.ndarray) -> np.ndarray:
    """Return ``np.lexsort((tie, timestamps, user_codes))``, several times faster.

    User and second are packed into one integer, which NumPy sorts by vector instructions; only runs
    of equal ones are then ordered by the tie rule.
    """
    if not len(user_codes):
        return np.zeros(0, np.int64)
    start, end = int(timestamps.min()), int(timestamps.max())
    bits = (end - start).bit_length()
    if bits + int(user_codes.max()).bit_length() > 62:
        return np.lexsort((tie, timestamps, user_codes))
    packed = (user_codes.astype(np.int64) << bits) | (timestamps - start)
    order = np.argsort(packed)
    packed = packed[order]
    same = packed[1:] == packed[:-1]
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
    rows = order[tied]
    order[tied] = rows[np.lexsort((rows, tie[rows], packed[tied]))]
    return order


def _frame_column(frame: pd.DataFrame, name: str) -> np.ndarray:
    column = frame[name]
    if name == TIMESTAMP:
        return time_column(frame, name)
    if name == EVENT_VALUE:
        return number_column(column).astype(np.float32)
    if name == EVENT_TYPE:
        return text_column(column)
    if (seconds := seconds_column(column)) is not None:
        return seconds
    if column.dtype == bool:
        return column.to_numpy()
    if pd.api.types.is_numeric_dtype(column.dtype) and not is_boolean(column):
        return number_column(column)
    return column.astype(object).where(column.notna(), np.nan).to_numpy()


def _code_column(column: pa.ChunkedArray) -> tuple[IdMap, np.ndarray]:
    """Return the vocabulary of a column of identifiers, and the column as (n,) int32 codes."""
    words, places = _dictionary(column)
    occurring = np.flatnonzero(np.bincount(places, minlength=len(words)))
    spelled = [words[place] for place in occurring]
    ids = IdMap.from_values(spelled)
    codes = np.zeros(len(words), np.int32)
    codes[occurring] = ids.encode(spelled)
    return ids, codes[places]


def _spell_column(name: str, column: pa.ChunkedArray) -> np.ndarray:
    """Return a column as NumPy has it; equal strings are one object, missing ones NaN."""
    if not (pa.types.is_dictionary(column.type) or pa.types.is_string(column.type)):
        return column.to_pandas().to_numpy(_COLUMN_TYPES.get(name))
    words, places = _dictionary(column)
    return np.array([*words, np.nan], dtype=object)[places]


def _dictionary(column: pa.ChunkedArray) -> tuple[list[str], np.ndarray]:
    """Return the distinct strings of a column, and (n,) places in them, -1 where there is none."""
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    coded = coded.unify_dictionaries()
    if not coded.num_chunks:
        return [], np.zeros(0, np.int32)
    places = [chunk.indices.fill_null(-1).to_numpy() for chunk in coded.chunks]
    return coded.chunk(0).dictionary.to_pylist(), np.concatenate(places)


def _hash_ids(ids: IdMap, salt: str) -> np.ndarray:
    digest = (
        hashlib.blake2b(f"{salt}/{identifier}".encode(), digest_size=8).digest()
        for identifier in ids.ids
    )
    return np.frombuffer(b"".join(digest), dtype="<u8") if len(ids) else np.zeros(0, np.uint64)


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
