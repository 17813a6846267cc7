"""What the accuracy benchmark asks: nobody's future leaks, each protocol asks what it says."""

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.interactions import Interactions
from personalens.testing.tiny_world import tiny_world

STRANGERS = ["hold-out", "hold-out-tenths", "unseen-users"]
PROTOCOLS = ["next-item", "hold-out-known", *STRANGERS]


@pytest.fixture
def split():
    from benchmarks.splits import split_interactions

    def make(protocol, **options):
        return split_interactions(tiny_world().interactions, protocol, rounds=5, **options)

    return make


def events_of(a_round, user):
    mine = a_round.train.user_codes == user
    return a_round.train.item_codes[mine]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_history_is_what_its_user_did_before_the_truth(split, protocol):
    everything = tiny_world().interactions
    for a_round in split(protocol).rounds:
        for user, past, truth in zip(a_round.users, a_round.slices(), a_round.truths, strict=True):
            row = everything.item_codes[everything.rows_of(user)].tolist()
            known = a_round.known.item_codes[past].tolist()
            assert row[: len(known)] == known
            assert set(truth.tolist()) <= set(row[len(known) :])


def test_next_item_trains_on_everything_before_the_last(split):
    [a_round] = split("next-item").rounds
    assert len(a_round) == 40
    assert len(a_round.train) == 40 * 8
    for user, past in zip(a_round.users, a_round.slices(), strict=True):
        assert events_of(a_round, user).tolist() == a_round.known.item_codes[past].tolist()


def test_the_last_two_are_two_questions_of_one_training(split):
    [a_round] = split("next-item", last=2).rounds
    assert len(a_round) == 80
    assert len(a_round.train) == 40 * 7
    assert np.bincount(a_round.stops - a_round.starts).tolist() == [0] * 7 + [40, 40]


@pytest.mark.parametrize("protocol", STRANGERS)
def test_who_is_asked_does_not_train(split, protocol):
    parts = split(protocol)
    for a_round in [parts.validation, *parts.rounds]:
        assert not np.isin(a_round.users, a_round.train.user_codes).any()


@pytest.mark.parametrize("protocol", ["hold-out-tenths", "unseen-users"])
def test_each_user_is_unseen_once(split, protocol):
    asked = np.concatenate([a_round.users for a_round in split(protocol).rounds])
    assert sorted(asked.tolist()) == list(range(40))


@pytest.mark.parametrize("protocol", ["hold-out", "hold-out-tenths"])
def test_the_newest_tenth_is_asked_for(split, protocol):
    lengths = np.diff(tiny_world().interactions.offsets)
    for a_round in split(protocol).rounds:
        known = a_round.stops - a_round.starts
        assert (lengths[a_round.users] - known == np.ceil(lengths[a_round.users] / 10)).all()


@pytest.mark.parametrize("protocol", STRANGERS)
def test_settings_are_chosen_without_the_first_round_s_users(split, protocol):
    parts = split(protocol)
    asked = parts.rounds[0].users
    assert not np.isin(asked, parts.validation.users).any()
    assert not np.isin(asked, parts.validation.train.user_codes).any()


def test_known_users_train_on_all_but_the_truths(split):
    lengths = np.diff(tiny_world().interactions.offsets)
    for a_round in split("hold-out-known").rounds:
        assert len(a_round) == 4
        assert len(a_round.train) + sum(map(len, a_round.truths)) == lengths.sum()
        for user, past in zip(a_round.users, a_round.slices(), strict=True):
            assert events_of(a_round, user).tolist() == a_round.known.item_codes[past].tolist()


def test_the_target_s_draw_is_numbered_as_the_users_are():
    from benchmarks.splits import known_users

    frame = pd.DataFrame(
        {"USER_ID": np.repeat(np.arange(1, 31), 2), "ITEM_ID": ["a", "b"] * 30, "TIMESTAMP": 0}
    )
    holdout = known_users(Interactions.from_frame(frame), 42)
    drawn = np.random.default_rng(42).choice(30, 3, replace=False) + 1
    assert sorted(map(int, holdout.user_ids)) == sorted(drawn.tolist())


def test_events_of_one_second_keep_the_file_s_order():
    from benchmarks.splits import in_file_order

    frame = pd.DataFrame(
        {"USER_ID": list("bbbbba"), "ITEM_ID": list("zyxwvu"), "TIMESTAMP": [5, 5, 1, 5, 5, 9]}
    )
    ordered = in_file_order(Interactions.from_frame(frame), frame)
    assert ordered.users.decode(ordered.user_codes).tolist() == list("abbbbb")
    assert ordered.items.decode(ordered.item_codes).tolist() == list("uxzywv")
    assert ordered.timestamps.tolist() == [9, 1, 5, 5, 5, 5]


def test_next_item_settings_are_chosen_one_event_earlier(split):
    parts = split("next-item")
    assert len(parts.validation.train) == 40 * 7
    assert (parts.validation.stops + 1 == parts.rounds[0].stops).all()


def test_another_protocol_is_refused(split):
    with pytest.raises(ValueError, match="choose one of next-item"):
        split("leave-two-out")


def test_a_task_goes_through_a_file_without_its_answers(split, tmp_path):
    from benchmarks.peers.exchange import Task

    [a_round] = split("next-item").rounds
    a_round.task().save(tmp_path / "0.npz")
    task = Task.load(tmp_path / "0.npz")
    assert len(task) == 40
    assert task.sizes.tolist() == [40, 49]
    assert task.last_events().sum() == 40
    for question, past in enumerate(a_round.slices()):
        assert task.history(question).tolist() == a_round.known.item_codes[past].tolist()
    newest = task.item_codes[task.last_events()]
    assert newest.tolist() == [task.history(question)[-1] for question in range(40)]
