"""The table that recipes learn from: order, ties, vocabularies, and two ways in that agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from personalens.datasets import IdMap, Interactions
from personalens.datasets.interactions import _order_events


def frame(*rows, columns=("USER_ID", "ITEM_ID", "TIMESTAMP")):
    return pd.DataFrame(rows, columns=list(columns))


def test_events_are_sorted_by_user_then_time():
    events = Interactions.from_frame(frame(("b", "x", 5), ("a", "y", 9), ("b", "z", 1)))
    assert events.to_frame().values.tolist() == [["a", "y", 9], ["b", "z", 1], ["b", "x", 5]]
    assert events.offsets.tolist() == [0, 1, 3]
    assert events.rows_of(1) == slice(1, 3)


def test_codes_follow_the_order_of_the_identifiers():
    events = Interactions.from_frame(frame(("10", "b", 1), ("9", "a", 2)))
    assert events.users.ids.tolist() == ["10", "9"]
    assert events.items.ids.tolist() == ["a", "b"]
    assert events.item_codes.tolist() == [1, 0]


def test_the_order_of_ties_does_not_depend_on_the_order_of_the_rows():
    rows = [("u", f"i{number}", 7) for number in range(50)]
    expected = Interactions.from_frame(frame(*rows)).item_codes
    for seed in range(3):
        shuffled = [rows[place] for place in np.random.default_rng(seed).permutation(50)]
        assert Interactions.from_frame(frame(*shuffled)).item_codes.tolist() == expected.tolist()


def test_the_order_of_ties_has_nothing_to_do_with_the_order_of_the_ids():
    rows = [(f"u{user}", f"i{item:02d}", 7) for user in range(100) for item in range(20)]
    codes = Interactions.from_frame(frame(*rows)).item_codes.reshape(100, 20)
    rising = (np.diff(codes, axis=1) > 0).mean()
    assert 0.45 < rising < 0.55
    assert len({tuple(row) for row in codes}) == 100  # another order for every user


@pytest.mark.parametrize("span", [3, 50, 2**40])
def test_the_fast_order_is_that_of_lexsort(span):
    rng = np.random.default_rng(1)
    users = rng.integers(0, 40, 2000).astype(np.int32)
    times = rng.integers(-span, span, 2000)
    times[:2] = -span, span * 2**20  # the last is too wide to be packed
    tie = rng.integers(0, 5, 2000).astype(np.uint64)
    expected = np.lexsort((tie, times, users))
    assert _order_events(users, times, tie).tolist() == expected.tolist()


def test_another_tie_seed_gives_another_order():
    rows = [("u", f"i{number}", 7) for number in range(50)]
    first, second = (Interactions.from_frame(frame(*rows), tie_seed=seed) for seed in (0, 1))
    assert first.item_codes.tolist() != second.item_codes.tolist()


def test_given_vocabularies_leave_strangers_out():
    events = Interactions.from_frame(
        frame(("a", "x", 1), ("b", "x", 2), ("a", "new", 3)),
        users=IdMap(["a"]),
        items=IdMap(["w", "x"]),
    )
    assert events.to_frame().values.tolist() == [["a", "x", 1]]
    assert len(events.items) == 2


def test_further_columns_move_with_their_rows():
    columns = ("USER_ID", "ITEM_ID", "TIMESTAMP", "EVENT_TYPE", "EVENT_VALUE", "DEVICE")
    events = Interactions.from_frame(
        frame(
            ("b", "x", 2, "Click", None, "tv"), ("a", "y", 1, "Watch", 4.5, "web"), columns=columns
        )
    )
    assert events.event_types.tolist() == ["Watch", "Click"]
    assert events.event_values.dtype == np.float32
    assert events.event_values[0] == 4.5
    assert np.isnan(events.event_values[1])
    assert events.context["DEVICE"].tolist() == ["web", "tv"]
    assert events.select(np.array([False, True])).context["DEVICE"].tolist() == ["tv"]


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match="ITEM_ID, TIMESTAMP"):
        Interactions.from_frame(pd.DataFrame({"USER_ID": ["a"]}))
    with pytest.raises(ValueError, match="TIMESTAMP"):
        Interactions.from_table(pa.table({"USER_ID": ["a"], "ITEM_ID": ["x"]}))


@pytest.mark.parametrize("coded", [False, True])
def test_a_table_gives_what_a_frame_gives(coded):
    rng = np.random.default_rng(0)
    rows = frame(*zip(*(rng.integers(0, n, 300).tolist() for n in (20, 30, 40)), strict=True))
    rows = rows.assign(
        USER_ID=rows.USER_ID.astype(str), ITEM_ID=rows.ITEM_ID.astype(str), EVENT_TYPE="Watch"
    )
    halves = [pa.Table.from_pandas(rows[:100]), pa.Table.from_pandas(rows[100:])]
    table = pa.concat_tables([half.select(list(rows)) for half in halves])
    if coded:
        for place in range(2):
            column = table.column(place).dictionary_encode()
            table = table.set_column(place, table.column_names[place], column)
    expected, found = Interactions.from_frame(rows), Interactions.from_table(table)
    assert found.users == expected.users
    assert found.items == expected.items
    for name in ("user_codes", "item_codes", "timestamps", "event_types"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist()


def test_an_empty_table_is_taken():
    empty = frame().astype({"TIMESTAMP": "int64"})
    assert len(Interactions.from_frame(empty)) == 0
    table = pa.table(
        {
            "USER_ID": pa.array([], "str"),
            "ITEM_ID": pa.array([], "str"),
            "TIMESTAMP": pa.array([], "i8"),
        }
    )
    assert len(Interactions.from_table(table)) == 0


def test_compact_keeps_the_events_and_drops_what_does_not_occur():
    events = Interactions.from_frame(frame(("a", "x", 1), ("b", "y", 2)))
    only = events.select(np.array([False, True]))
    assert len(only.users) == 2
    compact = only.compact()
    assert compact.users.ids.tolist() == ["b"]
    assert compact.items.ids.tolist() == ["y"]
    assert compact.to_frame().equals(only.to_frame())


@pytest.mark.parametrize("seed", range(5))
def test_compact_keeps_every_event_in_its_place(seed):
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "USER_ID": rng.integers(0, 9, 300).astype(str),
            "ITEM_ID": rng.integers(0, 40, 300).astype(str),
            "TIMESTAMP": rng.integers(0, 4, 300),  # mostly ties
            "DEVICE": rng.choice(["tv", "web"], 300),
        }
    )
    items = IdMap(rng.permutation(40).astype(str))
    events = Interactions.from_frame(rows, items=items, tie_seed=seed)
    some = events.select(np.isin(events.user_codes, rng.permutation(9)[:4]))
    compact = some.select(rng.random(len(some)) < 0.2).compact()
    again = compact.compact()
    assert compact.to_frame().equals(again.to_frame())
    assert set(compact.users.ids[compact.user_codes]) == set(compact.users.ids)
    assert set(compact.items.ids[compact.item_codes]) == set(compact.items.ids)
    whole = some.compact()
    assert whole.to_frame().equals(some.to_frame())
    assert (np.diff(whole.user_codes) >= 0).all()
    assert whole.item_codes.dtype == whole.user_codes.dtype == np.int32


def test_weights_stay_with_their_events():
    events = Interactions.from_frame(frame(("a", "x", 1), ("b", "y", 2), ("b", "z", 3)))
    weighted = replace(events, event_weights=np.array([0.1, 0.2, 0.3], np.float32))
    rest = weighted.select(np.array([False, False, True])).compact()
    assert rest.items.ids.tolist() == ["z"]
    assert rest.event_weights.tolist() == [np.float32(0.3)]
