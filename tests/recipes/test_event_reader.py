"""How histories become rows of small integers."""

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.interactions import History, Interactions, histories_of
from personalens.datasets.metadata import Metadata
from personalens.recipes.event_reader import GAP_EDGES, EventReader
from personalens.training.batches import NO_TARGET

DAY = 86_400


def interactions(**columns) -> Interactions:
    return Interactions.from_frame(pd.DataFrame(columns))


def column(reader: EventReader, histories: list[History], name: str) -> list[int]:
    """One feature of all rows, counted from zero again."""
    names = list(reader.sizes)
    place = names.index(name)
    before = sum(reader.sizes[other] for other in names[:place])
    return (reader.read(histories).features[:, place] - before).tolist()


@pytest.fixture
def events() -> Interactions:
    return interactions(
        USER_ID=list("aaaab"),
        ITEM_ID=["x", "y", "z", "x", "y"],
        TIMESTAMP=[1000, 1000, 1059, 1059 + 2 * DAY, 5000],
    )


def test_a_history_is_a_start_row_and_its_events(events):
    reader = EventReader.fit(events)
    rows = reader.read([*histories_of(events, [0, 1]), History.empty()])
    start = reader.catalogue_size
    assert start == 3
    first, second, *rest = events.item_codes[:4].tolist()
    assert rows.items.tolist() == [start, first, second, *rest, start, 1, start]
    expected = [first, second, *rest, NO_TARGET, 1, NO_TARGET, NO_TARGET]
    assert rows.targets.tolist() == expected
    assert rows.offsets.tolist() == [0, 5, 7, 8]


def test_gaps_fall_into_buckets_and_begin_sessions(events):
    reader = EventReader.fit(events)
    histories = histories_of(events, [0])
    same_second, within_a_minute = 2, 2 + int(np.searchsorted(GAP_EDGES, 59, side="right"))
    two_days = 2 + int(np.searchsorted(GAP_EDGES, 2 * DAY, side="right"))
    assert column(reader, histories, "gap") == [0, 1, same_second, within_a_minute, two_days]
    # Levels begun: all at the start and the first event, none, none, all three after two days.
    assert column(reader, histories, "session") == [3, 3, 0, 0, 3]


@pytest.mark.parametrize(("pause", "levels"), [(60, 0), (61, 1), (1801, 2), (DAY, 2), (DAY + 1, 3)])
def test_a_session_ends_when_the_pause_is_longer_than_its_gap(pause, levels):
    events = interactions(USER_ID=["a", "a"], ITEM_ID=["x", "y"], TIMESTAMP=[0, pause])
    reader = EventReader.fit(events)
    assert column(reader, histories_of(events, [0]), "session")[-1] == levels


def test_few_values_have_a_bucket_each_and_missing_ones_their_own():
    events = interactions(
        USER_ID=["a"] * 4,
        ITEM_ID=list("wxyz"),
        TIMESTAMP=[1, 2, 3, 4],
        EVENT_VALUE=[4.0, 0.5, np.nan, 3.5],
    )
    reader = EventReader.fit(events)
    assert column(reader, histories_of(events, [0]), "value") == [0, 3, 1, 0, 2]
    without = History(np.array([0, 1]), np.array([1, 2]))
    assert column(reader, [without], "value") == [0, 0, 0]


def test_many_values_are_cut_into_equal_shares():
    seconds = np.arange(1000.0)
    events = interactions(
        USER_ID=["a"] * 1000, ITEM_ID=["x"] * 1000, TIMESTAMP=range(1000), EVENT_VALUE=seconds**2
    )
    buckets = column(EventReader.fit(events), histories_of(events, [0]), "value")[1:]
    assert np.bincount(buckets)[1:].tolist() == [100] * 10


def test_types_are_numbered_and_new_ones_are_unknown():
    events = interactions(
        USER_ID=["a"] * 3, ITEM_ID=list("xyz"), TIMESTAMP=[1, 2, 3], EVENT_TYPE=["w", "c", "w"]
    )
    reader = EventReader.fit(events)
    assert column(reader, histories_of(events, [0]), "type") == [0, 2, 1, 2]
    bought = History(np.array([0]), np.array([9]), None, np.array(["bought"], dtype=object))
    assert column(reader, [bought], "type") == [0, 0]


def test_what_never_varies_is_no_feature():
    events = interactions(
        USER_ID=list("aab"),
        ITEM_ID=list("xyx"),
        TIMESTAMP=[7, 7, 7],
        EVENT_TYPE=["w"] * 3,
        EVENT_VALUE=[1.0] * 3,
    )
    assert set(EventReader.fit(events).sizes) == {"gap", "session"}


def test_a_users_fields_belong_to_requests_and_not_to_events():
    events = interactions(
        USER_ID=list("aabbccddeeffgghhiijj"), ITEM_ID=list("xy") * 10, TIMESTAMP=range(20)
    )
    plans = pd.DataFrame({"USER_ID": list("abcdefghij"), "PLAN": ["free", "paid"] * 5})
    users = Metadata.from_frame(plans, "USER_ID")
    reader = EventReader.fit(events, users=users)
    assert reader.query_sizes == {"user PLAN": 3}
    assert "user PLAN" not in reader.sizes
    asked = [*histories_of(events, [0, 1], users=users), History.empty()]
    assert reader.read(asked).queries.ravel().tolist() == [1, 1, 1, 2, 2, 2, 0]


def test_features_are_numbered_through(events):
    reader = EventReader.fit(events)
    features = reader.read(histories_of(events, [0, 1])).features
    ends = np.cumsum(list(reader.sizes.values()))
    assert (features >= ends - list(reader.sizes.values())).all()
    assert (features < ends).all()


def test_a_reader_survives_being_written_as_arrays(events):
    reader = EventReader(3, np.array([0.5]), ("click", "watch"))
    again = EventReader.from_arrays(3, reader.to_arrays())
    assert again.types == reader.types
    assert again.sizes == reader.sizes
