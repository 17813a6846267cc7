from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.interactions import Interactions
from personalens.evaluation.holdouts import within_user_holdout
from personalens.evaluation.ranking_metrics import segment_metrics, segment_size


def events(**rows):
    """One user a keyword, with the items of a string in their order."""
    table = [
        (user, item, place) for user, items in rows.items() for place, item in enumerate(items)
    ]
    frame = pd.DataFrame(table, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"])
    return Interactions.from_frame(frame)


def test_the_newest_fifth_of_each_user_is_the_truth():
    holdout = within_user_holdout(events(ten="abcdefghij", nine="abcdefghi", four="abcd"))
    truths = holdout.truths.to_frame()
    assert truths[truths.USER_ID == "ten"].ITEM_ID.tolist() == ["i", "j"]
    assert truths[truths.USER_ID == "nine"].ITEM_ID.tolist() == ["i"]
    assert "four" not in set(truths.USER_ID)
    assert len(holdout.train) == 23 - 3


def test_who_came_to_which_item():
    holdout = within_user_holdout(events(u="vwxya", v="vwxyb", w="vwxya", x="vwxyvwxyaa"))
    items, offsets, users = holdout.users_of_items()
    names = holdout.truths.users.decode(users).tolist()
    assert holdout.truths.items.decode(items).tolist() == ["a", "b"]
    assert [names[a:b] for a, b in pairwise(offsets)] == [["u", "w", "x"], ["v"]]


def test_without_a_user_of_five_events_there_is_no_holdout():
    with pytest.raises(ValueError, match="at least 5 events"):
        within_user_holdout(events(u="abcd"))


def test_figures_by_hand():
    # 250 users: a segment is 2 or 3 (2.5, rounded to even).
    assert segment_size(250) == 2
    segments = [np.array([3, 4, 5]), np.array([4, 9, 5])]
    truths = [np.array([4, 5, 6, 7]), np.array([4, 9])]
    metrics = segment_metrics(segments, truths, 250)
    # Of the four of the first question 4 is found, of the second both; 5 stands too low.
    assert metrics == {
        "coverage": 3 / 250,
        "hits_at_1_percent": 1.5,
        "recall_at_1_percent": pytest.approx((1 / 4 + 1) / 2),
    }


def test_no_question_no_figure():
    assert set(segment_metrics([], [], 100).values()) == {0.0}


@pytest.mark.parametrize(("users", "size"), [(1, 1), (49, 1), (943, 9), (100_000, 1000)])
def test_a_segment_is_one_user_at_least(users, size):
    assert segment_size(users) == size
