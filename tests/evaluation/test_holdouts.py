"""The two protocols: nobody's future leaks, everything is used."""

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.interactions import Interactions
from personalens.datasets.metadata import Metadata
from personalens.evaluation.holdouts import leave_one_out, service_holdout


def world(lengths):
    """One user for each length; user ``u``'s event ``t`` is item ``u-t`` at second t."""
    rows = [(f"u{user:02}", f"{user}-{t}", t) for user, n in enumerate(lengths) for t in range(n)]
    return Interactions.from_frame(pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"]))


def triples(interactions):
    return set(map(tuple, interactions.to_frame()[["USER_ID", "ITEM_ID"]].to_numpy()))


@pytest.fixture
def mixed():
    return world([1, 2, 3, 9, 10, 11, 20, 21, 30, 40] * 5)


class TestServiceHoldout:
    def test_parts_are_disjoint_and_complete(self, mixed):
        holdout = service_holdout(mixed, seed=3)
        parts = [triples(part) for part in (holdout.train, holdout.inputs, holdout.truths)]
        assert sum(len(part) for part in parts) == len(mixed)
        assert set.union(*parts) == triples(mixed)

    def test_a_tenth_of_the_users_tests_and_does_not_train(self, mixed):
        holdout = service_holdout(mixed, seed=3)
        assert len(holdout.test_users) == round(0.1 * 45)  # five of fifty have a single event
        train_users = set(holdout.train.user_codes.tolist())
        assert train_users.isdisjoint(holdout.test_users.tolist())
        assert set(holdout.inputs.user_codes.tolist()) == set(holdout.test_users.tolist())
        assert len(holdout.user_ids) == len(holdout.test_users)

    @pytest.mark.parametrize(
        ("events", "truths"), [(2, 1), (9, 1), (10, 1), (11, 2), (20, 2), (21, 3), (40, 4)]
    )
    def test_the_newest_tenth_is_the_truth_at_least_one(self, events, truths):
        holdout = service_holdout(world([events, events]), seed=0)
        [user] = holdout.test_users
        assert len(holdout.truth_codes(user)) == truths
        assert len(holdout.inputs) == events - truths
        assert holdout.inputs.timestamps.max() < holdout.truths.timestamps.min()

    def test_users_with_one_event_only_train(self, mixed):
        for seed in range(20):
            counts = np.diff(mixed.offsets)[service_holdout(mixed, seed).test_users]
            assert counts.min() >= 2

    def test_a_truth_that_comes_twice_is_one_item(self):
        frame = pd.DataFrame(
            {"USER_ID": ["a"] * 20 + ["b"], "ITEM_ID": "x", "TIMESTAMP": [*range(20), 0]}
        )
        holdout = service_holdout(Interactions.from_frame(frame))
        assert len(holdout.truths) == 2
        assert holdout.truth_codes(holdout.test_users[0]).tolist() == [0]

    def test_the_seed_draws_the_users(self, mixed):
        draws = {tuple(service_holdout(mixed, seed).test_users.tolist()) for seed in range(10)}
        assert len(draws) > 5
        again = service_holdout(mixed, 4).test_users
        assert (service_holdout(mixed, 4).test_users == again).all()

    @pytest.mark.parametrize("lengths", [[5], [1, 1, 1]])
    def test_too_little_data_is_said(self, lengths):
        with pytest.raises(ValueError, match=f"have {len(lengths)} users"):
            service_holdout(world(lengths))

    def test_somebody_is_always_left_to_train(self):
        holdout = service_holdout(world([3, 3, 3]), test_user_share=1.0)
        assert len(holdout.test_users) == 2
        assert len(holdout.train) == 3


class TestLeaveOneOut:
    def test_last_is_test_and_the_one_before_is_validation(self):
        split = leave_one_out(world([5, 7, 4]))
        items = split.test.interactions.items
        assert items.decode(split.test.item_codes).tolist() == ["0-4", "1-6"]
        assert items.decode(split.validation.item_codes).tolist() == ["0-3", "1-5"]
        assert triples(split.train) == {("u00", f"0-{t}") for t in range(3)} | {
            ("u01", f"1-{t}") for t in range(5)
        }
        assert len(split.train_and_validation) == len(split.train) + 2

    def test_a_test_history_holds_the_validation_event(self):
        split = leave_one_out(world([5, 7]))
        items = split.test.interactions.items
        [history] = split.test.histories([1], items)
        assert items.decode(history.item_codes).tolist() == [f"1-{t}" for t in range(6)]
        [history] = split.validation.histories([0], items)
        assert items.decode(history.item_codes).tolist() == ["0-0", "0-1", "0-2"]

    def test_histories_speak_the_models_codes_without_unknown_items(self):
        split = leave_one_out(world([5, 5]))
        known = split.train.compact().items  # has neither user's last two items
        [history] = split.test.histories([0], known)
        assert known.decode(history.item_codes).tolist() == ["0-0", "0-1", "0-2"]
        assert history.timestamps.tolist() == [0, 1, 2]

    def test_several_positions_are_several_questions(self):
        split = leave_one_out(world([9]), min_events=7, positions=3)
        items = split.test.interactions.items
        assert items.decode(split.test.item_codes).tolist() == ["0-6", "0-7", "0-8"]
        assert items.decode(split.validation.item_codes).tolist() == ["0-3", "0-4", "0-5"]
        assert len(split.train) == 3
        [history] = split.test.histories([2], items)
        assert len(history) == 8

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"min_events": 2}, "at least 3"),
            ({"positions": 0}, "positions=0"),
            ({"min_events": 99}, "no user has 99"),
        ],
    )
    def test_impossible_questions_are_refused(self, options, message):
        with pytest.raises(ValueError, match=message):
            leave_one_out(world([5, 6]), **options)


def test_a_question_comes_with_the_circumstances_of_the_event_asked_for():
    events = pd.DataFrame(
        {
            "USER_ID": "u",
            "ITEM_ID": list("abcdef"),
            "TIMESTAMP": range(6),
            "DEVICE": ["tv", "tv", "phone", "tv", "tv", "phone"],
            "IMPRESSION": "a|b",
        }
    )
    split = leave_one_out(Interactions.from_frame(events))
    people = Metadata.from_frame(pd.DataFrame({"USER_ID": ["u"], "AGE": [30]}), "USER_ID")
    [asked] = split.test.histories([0], split.test.interactions.items, users=people)
    assert asked.context == {"DEVICE": "phone"}
    assert asked.user == {"AGE": 30.0}
    assert asked.event_context["DEVICE"].tolist() == ["tv", "tv", "phone", "tv", "tv"]
