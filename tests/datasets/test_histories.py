"""Histories as a model reads them: oldest first, in the model's codes, nothing unknown."""

import numpy as np
import pandas as pd

from personalens.datasets.id_maps import IdMap
from personalens.datasets.interactions import History, Interactions, histories_before, histories_of

EVENTS = Interactions.from_frame(
    pd.DataFrame(
        {
            "USER_ID": ["p", "p", "p", "q"],
            "ITEM_ID": ["c", "a", "b", "a"],
            "TIMESTAMP": [30, 10, 20, 5],
            "EVENT_VALUE": [3.0, 1.0, 2.0, 9.0],
            "EVENT_TYPE": ["z", "x", "y", "x"],
        }
    )
)


def test_whole_histories_oldest_first():
    p, q = histories_of(EVENTS, [0, 1])
    assert EVENTS.items.decode(p.item_codes).tolist() == ["a", "b", "c"]
    assert p.timestamps.tolist() == [10, 20, 30]
    assert p.event_values.tolist() == [1.0, 2.0, 3.0]
    assert p.event_types.tolist() == ["x", "y", "z"]
    assert (len(p), len(q)) == (3, 1)


def test_another_vocabulary_drops_what_it_lacks_from_every_column():
    model = IdMap(["c", "zzz", "a"])
    [p] = histories_of(EVENTS, [0], items=model)
    assert model.decode(p.item_codes).tolist() == ["a", "c"]
    assert p.timestamps.tolist() == [10, 30]
    assert p.event_values.tolist() == [1.0, 3.0]
    assert p.event_types.tolist() == ["x", "z"]


def test_what_was_known_before_an_event():
    [before] = histories_before(EVENTS, [slice(0, 2)])
    assert EVENTS.items.decode(before.item_codes).tolist() == ["a", "b"]
    [nothing] = histories_before(EVENTS, [slice(0, 0)])
    assert len(nothing) == 0


def test_optional_columns_stay_absent():
    bare = Interactions.from_frame(EVENTS.to_frame()[["USER_ID", "ITEM_ID", "TIMESTAMP"]])
    [p] = histories_of(bare, [0])
    assert p.event_values is None
    assert p.event_types is None


def test_nobody_has_an_empty_past():
    empty = History.empty()
    assert len(empty) == 0
    assert empty.item_codes.dtype == np.int32
    assert empty.timestamps.dtype == np.int64
