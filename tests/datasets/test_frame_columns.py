"""Tables made in Python are held to what an import holds a file to, in its words."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.interactions import Interactions
from personalens.datasets.metadata import Metadata

SECONDS = [1_600_000_000, 1_600_000_001]
EVENTS = pd.DataFrame({"USER_ID": ["u", "v"], "ITEM_ID": ["i", "j"], "TIMESTAMP": SECONDS})


def times_of(column):
    events = Interactions.from_frame(EVENTS.assign(TIMESTAMP=column))
    return events.timestamps.tolist()


def why_refused(frame, **columns):
    with pytest.raises(ValueError, match="column") as caught:
        Interactions.from_frame(frame.assign(**columns))
    return str(caught.value)


MOMENTS = pd.Series(pd.to_datetime(SECONDS, unit="s"))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Seoul", "America/New_York"])
def test_datetimes_of_any_unit_and_zone_are_epoch_seconds(unit, zone):
    moments = MOMENTS.dt.as_unit(unit)
    if zone is not None:
        moments = moments.dt.tz_localize("UTC").dt.tz_convert(zone)
    assert times_of(moments) == SECONDS
    assert Interactions.from_frame(EVENTS.assign(TIMESTAMP=moments)).timestamps.dtype == np.int64


def test_a_moment_without_a_zone_is_in_utc_and_one_with_a_zone_is_not():
    hour = datetime.timedelta(hours=1)
    zone = datetime.timezone(9 * hour)
    plain = [datetime.datetime(2020, 9, 13, 12, 26, 40), datetime.datetime(2020, 9, 13, 12, 26, 41)]
    assert times_of(plain) == SECONDS
    assert times_of([each.replace(tzinfo=zone) for each in plain]) == [
        s - 9 * 3600 for s in SECONDS
    ]
    assert times_of([datetime.date(1970, 1, 2), datetime.date(1970, 1, 3)]) == [86_400, 172_800]


@pytest.mark.parametrize(
    "column",
    [
        np.array(SECONDS, np.int32),
        np.array(SECONDS, np.float64) + 0.75,
        np.array(SECONDS, object),
        [str(second) for second in SECONDS],
        pd.array(SECONDS, "Int64"),
        pd.array(SECONDS, "UInt32"),
        pd.array(SECONDS, "Float64"),
        pd.Categorical(SECONDS),
        pd.array(SECONDS, "int64[pyarrow]"),
        pd.array(MOMENTS, "timestamp[ms][pyarrow]"),
        MOMENTS + pd.Timedelta(milliseconds=999),
    ],
    ids=lambda column: str(getattr(column, "dtype", "text")),
)
def test_seconds_may_be_numbers_of_any_kind(column):
    assert times_of(column) == SECONDS


MISSING = {
    "NaN": np.array([1.6e9, np.nan]),
    "NaT": pd.to_datetime([1.6e9, np.nan], unit="s"),
    "None": np.array([1, None], object),
    "NA": pd.array([1, None], "Int64"),
}


@pytest.mark.parametrize("kind", MISSING)
def test_a_missing_time_is_named_by_its_row(kind):
    frame = EVENTS.assign(TIMESTAMP=MISSING[kind])
    expected = 'row 1, column TIMESTAMP, value "": is missing, and an event has a time'
    assert why_refused(frame) == expected
    assert why_refused(frame.set_index(pd.Index(["x", "y"]))) == expected.replace("row 1", "row y")


@pytest.mark.parametrize("factor", [1_000, 1_000_000, 1_000_000_000])
def test_times_in_another_unit_are_refused_as_by_the_import(factor):
    assert f"so divide by {factor:,} (1600000000) (and 1 more)" in why_refused(
        EVENTS, TIMESTAMP=EVENTS.TIMESTAMP * factor
    )


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (["soon", "2"], 'row 0, column TIMESTAMP, value "soon": is not a time'),
        (["2020-09-13", "2020-09-14"], 'value "2020-09-13": is not a time: give epoch seconds'),
        ([True, False], 'value "True": is not a time'),
        ([5, -5], 'row 1, column TIMESTAMP, value "-5": must be at least 0'),
        ([5.0, np.inf], 'row 1, column TIMESTAMP, value "inf": is not in epoch seconds'),
        (pd.to_timedelta([1, 2], unit="s"), "is not a time"),
        ([(1,), [2]], "is not a time"),
    ],
)
def test_what_is_no_time_is_refused(column, reason):
    frame = EVENTS.assign(TIMESTAMP=pd.Series(column))
    assert reason in why_refused(frame)


IDS = {
    "text": (["1", " b "], ["1", " b "]),
    "integers": ([1, 2], ["1", "2"]),
    "small integers": (np.array([1, 2], np.uint8), ["1", "2"]),
    "Int64": (pd.array([1, 2], "Int64"), ["1", "2"]),
    "mixed": (np.array([1, "b"], object), ["1", "b"]),
    "categories": (pd.Categorical(["1", "b"]), ["1", "b"]),
    "categories of numbers": (pd.Categorical([1, 2]), ["1", "2"]),
    "string[python]": (pd.array(["1", "b"], "string[python]"), ["1", "b"]),
    "string[pyarrow]": (pd.array(["1", "b"], "string[pyarrow]"), ["1", "b"]),
    "pyarrow": (pd.array(["1", "b"], pd.ArrowDtype(__import__("pyarrow").string())), ["1", "b"]),
}


@pytest.mark.parametrize("kind", IDS)
def test_identifiers_are_texts_or_whole_numbers(kind):
    column, ids = IDS[kind]
    events = Interactions.from_frame(EVENTS.assign(ITEM_ID=column, USER_ID=column))
    assert sorted(events.items.ids) == sorted(events.users.ids) == sorted(ids)
    assert Metadata.from_frame(pd.DataFrame({"ITEM_ID": column}), "ITEM_ID").ids.ids.tolist() == ids


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (["a", None], 'row 1, column ITEM_ID, value "": is missing; an identifier has 1 to 256'),
        (["a", np.nan], 'value "": is missing'),
        (pd.array([1, None], "Int64"), 'value "": is missing'),
        (pd.Categorical(["a", None]), 'value "": is missing'),
        (["a", ""], 'row 1, column ITEM_ID, value "": is empty'),
        (["a", "x" * 257], "is too long"),
        ([1.0, 2.0], 'row 0, column ITEM_ID, value "1.0": is a number with a decimal point'),
        ([1.0, np.nan], 'row 0, column ITEM_ID, value "1.0": is a number with a decimal point'),
        (np.array(["a", 2.0], object), 'row 1, column ITEM_ID, value "2.0": is a number with'),
        ([True, False], "is no identifier"),
        (pd.to_datetime([0, 1]), "is no identifier"),
        ([["a", "b"], ["c"]], "is no identifier"),
    ],
)
def test_what_is_no_identifier_is_refused(column, reason):
    assert reason in why_refused(EVENTS, ITEM_ID=pd.Series(column))
    with pytest.raises(ValueError, match="ITEM_ID") as caught:
        Metadata.from_frame(pd.DataFrame({"ITEM_ID": pd.Series(column)}), "ITEM_ID")
    assert reason in str(caught.value)


def test_half_a_character_is_no_identifier():
    frame = pd.DataFrame({"ITEM_ID": pd.Series(["a", "\ud800"], dtype=object)})
    with pytest.raises(ValueError, match=r"row 1, column ITEM_ID, .* has half a character"):
        Metadata.from_frame(frame, "ITEM_ID")


def test_columns_must_be_there_and_once():
    assert (
        "the interactions lack the column TIMESTAMP; the table has USER_ID, ITEM_ID, time"
        in why_refused(EVENTS.rename(columns={"TIMESTAMP": "time"}))
    )
    twice = pd.concat([EVENTS, EVENTS[["ITEM_ID"]]], axis=1)
    assert "the interactions have the column ITEM_ID more than once" in why_refused(twice)
    with pytest.raises(ValueError, match="the column YEAR more than once"):
        Metadata.from_frame(
            pd.DataFrame([["a", 1, 2]], columns=["ITEM_ID", "YEAR", "YEAR"]), "ITEM_ID"
        )
    with pytest.raises(TypeError, match="the interactions must be a table"):
        Interactions.from_frame([("u", "i", 1)])


def test_empty_tables_are_empty():
    nothing = Interactions.from_frame(EVENTS.head(0))
    assert (len(nothing), len(nothing.users), nothing.timestamps.dtype) == (0, 0, np.int64)
    assert len(Interactions.from_frame(pd.DataFrame({name: [] for name in EVENTS}))) == 0
    assert len(Metadata.from_frame(pd.DataFrame({"ITEM_ID": [], "YEAR": []}), "ITEM_ID")) == 0


def test_event_values_are_numbers_or_missing():
    events = Interactions.from_frame(EVENTS.assign(EVENT_VALUE=["1.5", None]))
    assert events.event_values.tolist()[0] == 1.5
    assert np.isnan(events.event_values[1])
    assert 'row 1, column EVENT_VALUE, value "five": is not a number' in why_refused(
        EVENTS, EVENT_VALUE=["4", "five"]
    )
    assert "column EVENT_VALUE" in why_refused(EVENTS, EVENT_VALUE=[True, False])
    assert "is not a finite number" in why_refused(EVENTS, EVENT_VALUE=[1.0, np.inf])


def test_context_is_kept_and_moments_in_it_are_seconds():
    frame = EVENTS.assign(
        DEVICE=pd.Categorical(["tv", None]),
        SINCE=MOMENTS.dt.as_unit("ns"),
        HOUR=pd.array([1, None], "Int8"),
    )
    context = Interactions.from_frame(frame).context
    assert context["DEVICE"].tolist()[0] == "tv"
    assert pd.isna(context["DEVICE"][1])
    assert context["SINCE"].tolist() == SECONDS
    assert context["HOUR"].tolist()[0] == 1
    assert np.isnan(context["HOUR"][1])


def test_metadata_by_kind():
    frame = pd.DataFrame(
        {
            "ITEM_ID": ["a", "b"],
            "SEEN": [True, False],
            "NEW": pd.array([True, None], "boolean"),
            "OLD": np.array([None, True], object),
            "GENRE": pd.Categorical(["War", None]),
            "STARS": pd.Categorical([5, 4]),
            "YEAR": pd.array([1990, None], "Int64"),
            "RELEASED": MOMENTS,
            "CREATION_TIMESTAMP": pd.to_datetime([SECONDS[0], np.nan], unit="s").tz_localize("UTC"),
        }
    )
    fields = Metadata.from_frame(frame, "ITEM_ID").fields
    assert {name: field.kind for name, field in fields.items()} == {
        "GENRE": "categorical",
        "STARS": "categorical",
        "YEAR": "numeric",
        "RELEASED": "numeric",
        "CREATION_TIMESTAMP": "numeric",
    }
    assert fields["GENRE"].values.tolist() == ["War", None]
    assert fields["RELEASED"].values.tolist() == SECONDS
    assert fields["CREATION_TIMESTAMP"].values[0] == SECONDS[0]
    assert fields["YEAR"].is_missing.tolist() == [False, True]


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("CREATION_TIMESTAMP", [1.6e12, np.nan], "so divide by 1,000 (1600000000)"),
        ("CREATION_TIMESTAMP", ["1990", "soon"], 'row 1, column CREATION_TIMESTAMP, value "soon"'),
        ("PRICE", [1.0, np.inf], 'row 1, column PRICE, value "inf": is not a finite number'),
        ("GENRE", pd.Series(["War", "\udfff"], dtype=object), "row 1, column GENRE"),
    ],
)
def test_metadata_that_an_import_would_not_take(column, values, reason):
    with pytest.raises(ValueError, match=column) as caught:
        Metadata.from_frame(pd.DataFrame({"ITEM_ID": ["a", "b"], column: values}), "ITEM_ID")
    assert reason in str(caught.value)
