"""The event log: what counts once, whose an event is, and what a reader sees."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest

from personalens.home import Home
from personalens.storage import event_log
from personalens.storage.event_log import Event, EventLog, LiveMark

CLICKS = "arn:aws:personalize:us-east-1:123456789012:dataset/films/INTERACTIONS"
ITEMS = "arn:aws:personalize:us-east-1:123456789012:dataset/films/ITEMS"
USERS = "arn:aws:personalize:us-east-1:123456789012:dataset/films/USERS"


@pytest.fixture
def log(tmp_path) -> EventLog:
    return EventLog(Home(tmp_path / "home"))


def click(item: str | None, at: int = 100, **members) -> Event:
    return Event(item, at, "click", **members)


def rows(log: EventLog, *columns: str, **options) -> list[tuple]:
    found = [row for batch in log.batches(CLICKS, **options) for row in batch.to_pylist()]
    return [tuple(row[name] for name in columns) for row in found]


def test_an_event_is_read_back_as_it_was_put_by_another_opener(log, tmp_path):
    event = Event(
        "7",
        1_600_000_000,
        "watch",
        event_value=0.5,
        event_id="e1",
        properties={"DEVICE": "tv", "HOUR": 21},
        impression="7|8",
        recommendation_id="RID-1",
        recommended_by="arn:campaign",
        attribution_source="home page",
    )
    log.append(CLICKS, "s", "u", [event])
    (batch,) = EventLog(Home(tmp_path / "home")).batches(CLICKS)
    (row,) = batch.to_pylist()
    assert row.pop("RECEIVED_AT") > 1_700_000_000
    assert row == {
        "SEQUENCE": 1,
        "USER_ID": "u",
        "IS_KNOWN": True,
        "SESSION_ID": "s",
        "ITEM_ID": "7",
        "TIMESTAMP": 1_600_000_000,
        "EVENT_TYPE": "watch",
        "EVENT_VALUE": 0.5,
        "PROPERTIES": '{"DEVICE": "tv", "HOUR": 21}',
        "IMPRESSION": "7|8",
        "RECOMMENDATION_ID": "RID-1",
        "RECOMMENDED_BY": "arn:campaign",
        "EVENT_ATTRIBUTION_SOURCE": "home page",
    }


def test_of_events_with_one_id_the_first_counts(log):
    log.append(CLICKS, "s", "u", [click("7", event_id="a"), click("8", event_id="a")])
    log.append(CLICKS, "s", "u", [click("9", event_id="a"), click("9", event_id="b")])
    assert rows(log, "ITEM_ID") == [("7",), ("9",)]


def test_what_is_the_same_in_all_it_says_is_kept_once(log):
    same = click("7", properties={"DEVICE": "tv", "HOUR": 1})
    log.append(CLICKS, "s", "u", [same, click("7", properties={"HOUR": 1, "DEVICE": "tv"})])
    different = [
        click("7", properties={"DEVICE": "phone", "HOUR": 1}),
        click("7", at=101, properties=same.properties),
        click("7", event_value=1.0, properties=same.properties),
        click("8", properties=same.properties),
    ]
    log.append(CLICKS, "s", "u", different)
    log.append(CLICKS, "s", "somebody else", [same])
    assert len(rows(log, "ITEM_ID")) == 6


def test_a_session_that_names_its_user_hands_over_its_events(log):
    log.append(CLICKS, "s", None, [click("1"), click("2")])
    log.append(CLICKS, "another", None, [click("3")])
    assert rows(log, "USER_ID", "ITEM_ID") == []
    read_until = log.newest()
    log.append(CLICKS, "s", "u", [click("4")])
    log.append(CLICKS, "s", None, [click("5")])  # the client forgot the user, the session did not
    log.append(CLICKS, "t", "u", [click("6")])
    expected = [("u", item) for item in "12456"]
    assert rows(log, "USER_ID", "ITEM_ID") == expected
    assert rows(log, "USER_ID", "ITEM_ID", until=read_until) == []
    everything = rows(log, "USER_ID", "ITEM_ID", "IS_KNOWN", known_only=False)
    assert ("another", "3", False) in everything
    assert len(everything) == 6


def test_a_session_that_changes_its_user_keeps_what_was(log):
    log.append(CLICKS, "s", "u", [click("1")])
    log.append(CLICKS, "s", "v", [click("2")])
    log.append(CLICKS, "s", None, [click("3")])
    assert rows(log, "USER_ID", "ITEM_ID") == [("u", "1"), ("v", "2"), ("v", "3")]


def test_live_is_what_came_after_a_training_and_what_nobody_trained_on(log):
    def live(who: str, after: int, **options) -> list[str]:
        return log.live_events(CLICKS, who, after, **options)["ITEM_ID"].to_pylist()

    assert log.live_mark(CLICKS, "u", 0) == LiveMark(0, 0)
    log.append(CLICKS, "s", None, [click("1")])
    log.append(CLICKS, "t", "u", [click("2")])
    trained = log.newest()
    log.append(CLICKS, "t", "u", [click("3"), click("4")])
    assert (live("u", trained), live("u", 0)) == (["3", "4"], ["2", "3", "4"])
    assert live("u", 0, skip=2) == ["4"]
    assert live("s", trained) == ["1"]  # trained on by nobody, so live however old it is
    assert log.live_mark(CLICKS, "u", trained).count == 2
    log.append(CLICKS, "s", "u", [])
    assert (live("s", trained), live("u", trained)) == ([], ["3", "4", "1"])
    assert live("nobody", 0) == log.live_events(ITEMS, "u", 0)["ITEM_ID"].to_pylist() == []


def test_streams_do_not_mix_and_are_dropped_for_themselves(log):
    other = CLICKS.replace("films", "songs")
    log.append(CLICKS, "s", "u", [click("1", event_id="a")])
    log.append(other, "s", None, [click("1", event_id="a")])
    before = log.revision(CLICKS), log.revision(other), log.newest()
    log.drop(CLICKS)
    assert rows(log, "ITEM_ID") == []
    assert log.live_mark(other, "s", 0).count == 1
    assert log.revision(CLICKS) != before[0]
    assert log.revision(other) == before[1]
    log.append(CLICKS, "s", None, [click("1", event_id="a")])
    assert rows(log, "USER_ID", "SEQUENCE", known_only=False) == [("s", before[2] + 1)]


def test_a_home_that_is_deleted_under_an_open_log_begins_anew(log, tmp_path):
    log.append(CLICKS.replace("films", "songs"), "s", "u", [click("1")])
    log.append(CLICKS, "s", "u", [click("2")])
    assert log.live_mark(CLICKS, "u", 0).count == 1
    shutil.rmtree(tmp_path / "home")
    log.append(CLICKS, "s", "u", [click("3")])
    log.append(CLICKS.replace("films", "songs"), "s", "u", [click("4"), click("5")])
    assert log.live_events(CLICKS, "u", 0)["ITEM_ID"].to_pylist() == ["3"]
    assert (log.newest(CLICKS), log.newest(), log.newest(ITEMS)) == (1, 3, 0)


def test_a_put_record_replaces_the_whole_one_before(log):
    log.put(ITEMS, {"7": {"GENRES": "War", "YEAR": 1990}, "8": {"GENRES": None}})
    log.put(ITEMS, {"7": {"YEAR": 1991}})
    ((first, second),) = log.records(ITEMS)
    assert (first[0], first[2]) == ("8", {"GENRES": None})
    assert (second[0], second[2]) == ("7", {"YEAR": 1991})
    assert first[1] <= second[1]
    assert list(log.records(USERS)) == []


def test_users_are_deleted_with_all_that_was_put_of_them(log):
    log.append(CLICKS, "s", "u", [click("1"), click("2")])
    log.append(CLICKS, "t", "v", [click("1")])
    log.append(CLICKS, "u", None, [click("3")])  # a session that is called like the user
    log.put(USERS, {"u": {"AGE": 3}, "v": {"AGE": 4}})
    log.put(ITEMS, {"u": {"YEAR": 1990}})
    assert log.delete_users([CLICKS, ITEMS, USERS], ["u", "w"]) == 3
    left = rows(log, "USER_ID", "ITEM_ID", known_only=False)
    assert left == [("v", "1"), ("u", "3")]
    assert [row[0] for batch in log.records(USERS) for row in batch] == ["v"]
    assert [row[0] for batch in log.records(ITEMS) for row in batch] == ["u"]
    log.append(CLICKS, "s", None, [click("9")])
    assert rows(log, "USER_ID", "IS_KNOWN", known_only=False)[-1] == ("s", False)


def test_the_last_put_is_told_of_records_and_of_known_users_events(log, monkeypatch):
    now = iter([100.0, 200.0, 300.0, 400.0])
    monkeypatch.setattr(event_log, "time", SimpleNamespace(time=lambda: next(now)))
    assert log.last_put(ITEMS) == log.last_put(CLICKS) == 0.0
    log.put(ITEMS, {"7": {"PRICE": 1}})
    log.append(CLICKS, "s", "u", [click("7")])
    assert (log.last_put(ITEMS), log.last_put(CLICKS)) == (100.0, 200.0)
    log.append(CLICKS, "another", None, [click("7")])  # of nobody who is known
    assert log.last_put(CLICKS) == 200.0
    log.put(ITEMS, {"7": {"PRICE": 2}})
    assert log.last_put(ITEMS) == 400.0
    log.drop(ITEMS)
    assert log.last_put(ITEMS) == 0.0


def test_the_first_write_of_a_stream_is_a_change(log):
    assert log.revision(ITEMS) == 0
    log.put(ITEMS, {"7": {"PRICE": 1}})
    assert log.revision(ITEMS) > 0


def test_what_cannot_be_written_is_refused_and_leaves_the_rest(log):
    log.append(CLICKS, "s", "u", [click("1")])
    for events, session in (
        ([click("2"), click("3", properties={"DEVICE": "\ud800"})], "s"),
        ([click("2"), click("3", properties={"HOUR": float("nan")})], "s"),
        ([click("2"), click("\ud800")], "s"),
        ([click("2")], "\ud800"),
    ):
        with pytest.raises(ValueError):
            log.append(CLICKS, session, "u", events)
    with pytest.raises(ValueError):
        log.put(ITEMS, {"1": {"GENRE": "War"}, "2": {"GENRE": "\udfff"}})
    assert rows(log, "ITEM_ID") == [("1",)]
    assert list(log.records(ITEMS)) == []
