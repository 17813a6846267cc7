"""Each value is made once, those that are out of date are made again, and the least used leaves."""

import threading

import pytest

from personalens.runtime.recent_values import RecentValues


class Maker:
    """Counts how often it is asked and returns a new object each time."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return object()


def test_a_value_is_made_once():
    kept, make = RecentValues(8), Maker()
    assert kept.get_or_make("a", make) is kept.get_or_make("a", make) is kept.get("a")
    assert make.calls == 1


def test_none_is_a_value():
    kept, asked = RecentValues(8), []
    for _ in range(2):
        kept.get_or_make("a", lambda: asked.append("a"))
    assert asked == ["a"]
    assert kept.has("a")


def test_another_stamp_makes_it_again():
    kept, make = RecentValues(8), Maker()
    old = kept.get_or_make("a", make, stamp=1)
    assert kept.get("a", stamp=2) is None
    new = kept.get_or_make("a", make, stamp=2)
    assert old is not new
    assert kept.get("a", stamp=1) is None
    assert (kept.has("a", stamp=2), kept.has("a", stamp=1), len(kept)) == (True, False, 1)


def test_the_least_recently_used_value_leaves():
    kept, make = RecentValues(2), Maker()
    for key in "abac":
        kept.get_or_make(key, make)
    assert [kept.has(key) for key in "abc"] == [True, False, True]
    assert len(kept) == 2


def test_the_sizes_stay_within_the_capacity_whatever_is_replaced():
    kept = RecentValues(6, len)
    for key, value in [("a", "1234"), ("b", "12"), ("a", "12"), ("c", "12")]:
        kept.keep(key, value)
    assert [kept.get(key) for key in "abc"] == ["12", "12", "12"]
    kept.get_or_make("d", lambda: "123", stamp=1)
    assert [kept.has(key) for key in "abc"] == [False, False, True]
    kept.get_or_make("d", lambda: "1234", stamp=2)
    assert kept.get("c") == "12"
    kept.keep("e", "1234567")  # more than all that may be kept
    assert len(kept) == 0


def test_threads_that_ask_at_once_share_one_call():
    entered, go_on = threading.Event(), threading.Event()
    calls, answers = [], []

    def make_slowly():
        calls.append(1)
        entered.set()
        assert go_on.wait(10)
        return object()

    kept = RecentValues(8)
    threads = [
        threading.Thread(target=lambda: answers.append(kept.get_or_make("a", make_slowly)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    assert entered.wait(10)
    assert not kept.has("a")
    other = kept.get_or_make("b", Maker())  # is not held up by the making of a
    go_on.set()
    for thread in threads:
        thread.join()
    assert calls == [1]
    assert len(answers) == 4
    assert len(set(map(id, answers))) == 1
    assert answers[0] is not other


def test_what_failed_is_tried_again():
    def broken():
        raise FileNotFoundError("a")

    kept = RecentValues(8)
    with pytest.raises(FileNotFoundError):
        kept.get_or_make("a", broken)
    assert not kept.has("a")
    assert len(kept) == 0
    assert kept.get_or_make("a", Maker()) is not None


def test_a_cache_for_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one value"):
        RecentValues(0)
