"""The averages that predict ratings, by hand on a tiny table; and nobody looks ahead."""

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.interactions import Interactions
from personalens.ratings.rating_evaluation import (
    GlobalMean,
    RollingAverage,
    RollingMeans,
    rmse,
    rmse_difference,
    split_by_time,
    split_newest_of_each_user,
    time_order,
)

# In the order of time: a rates x, b rates x, a rates y, b rates y. The mean is 3.5.
TINY = pd.DataFrame(
    {
        "USER_ID": ["a", "b", "a", "b"],
        "ITEM_ID": ["x", "x", "y", "y"],
        "TIMESTAMP": [1, 2, 3, 4],
        "EVENT_VALUE": [5.0, 4.0, 3.0, 2.0],
    }
)


def in_order(model, frame=TINY):
    ratings = Interactions.from_frame(frame)
    return model.fit(ratings).predict(ratings, time_order(ratings)).tolist()


def some_ratings(seed=0, users=12, items=15, count=200):
    rng = np.random.default_rng(seed)
    return Interactions.from_frame(
        pd.DataFrame(
            {
                "USER_ID": rng.integers(users, size=count).astype(str),
                "ITEM_ID": rng.integers(items, size=count).astype(str),
                "TIMESTAMP": rng.integers(count // 3, size=count),  # most seconds are shared
                "EVENT_VALUE": rng.integers(1, 6, size=count).astype(np.float32),
            }
        )
    )


def test_the_global_mean():
    assert in_order(GlobalMean()) == [3.5] * 4


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        ("user", [3.5, 3.5, 5.0, 4.0]),
        ("item", [3.5, 5.0, 3.5, 3.0]),
        ("both", [3.5, 4.25, 4.25, 3.5]),
    ],
)
def test_the_plain_rolling_average(of, expected):
    assert in_order(RollingAverage(of)) == expected


def test_the_rolling_means():
    # Offsets from 3.5, one rating of zero mixed in, the user's older rating weighs half:
    #   a x 5: item 0, user 0                  -> x: 1.5 / 1,  a: 1.5 / 1
    #   b x 4: item 1.5 / 2 = .75, user 0      -> y: nothing,  b: 4 - 3.5 - .75 = -.25
    #   a y 3: item 0, user 1.5 / 2 = .75      -> y: 3 - 3.5 - .75 = -1.25
    #   b y 2: item -1.25 / 2 = -.625, user -.25 / 2 = -.125
    model = RollingMeans(item_shrink=1, user_shrink=1, item_decay=1, user_decay=0.5)
    assert in_order(model) == pytest.approx([3.5, 4.25, 4.25, 2.75])


def test_old_ratings_fade():
    frame = TINY.assign(USER_ID="a", ITEM_ID=["w", "x", "y", "z"])
    # a's offsets: 1.5; then 1.5 * .5 + .5 = 1.25 with weight 1.5; then .625 - .5 = .125 with 1.75.
    model = RollingMeans(item_shrink=1e12, user_shrink=0, user_decay=0.5)
    expected = [3.5, 5.0, 3.5 + 1.25 / 1.5, 3.5 + 0.125 / 1.75]
    assert in_order(model, frame) == pytest.approx(expected)


@pytest.mark.parametrize("model", [RollingAverage("both"), RollingMeans()])
def test_questions_teach_nothing(model):
    asked = pd.DataFrame(
        {"USER_ID": ["a", "b"], "ITEM_ID": ["x", "y"], "TIMESTAMP": [2, 3], "EVENT_VALUE": np.nan}
    )
    ratings = Interactions.from_frame(pd.concat([TINY, asked]))
    order = time_order(ratings)
    known = order[~np.isnan(ratings.event_values[order])]
    predicted = model.fit(ratings).predict(ratings, known)
    assert predicted.tolist() == pytest.approx(in_order(model))


@pytest.mark.parametrize("model", [GlobalMean(), RollingAverage("both"), RollingMeans()])
@pytest.mark.parametrize("split", [split_by_time, split_newest_of_each_user])
def test_nobody_looks_ahead(model, split):
    split = split(some_ratings())
    model.fit(split.train)
    before = model.predict(split.ratings, split.rows)
    for place in range(0, len(split.rows), 3):
        changed = split.ratings.select(np.arange(len(split.ratings)))
        changed.event_values[split.rows[place:]] = 1.0
        assert (model.predict(changed, split.rows)[: place + 1] == before[: place + 1]).all()


def test_the_split_by_time_has_one_border():
    split = split_by_time(some_ratings())
    times = split.ratings.timestamps
    assert split.is_test.sum() == 20
    assert times[~split.is_test].max() <= times[split.is_test].min()
    assert (np.diff(times[split.rows]) >= 0).all()
    assert len(split.train) == 180


def test_the_split_by_user_takes_the_newest_tenth_of_each():
    split = split_newest_of_each_user(some_ratings())
    ratings = split.ratings
    for user in range(len(ratings.users)):
        tested = split.is_test[ratings.rows_of(user)]
        asked = len(tested) // 10
        assert tested[len(tested) - asked :].all()
        assert not tested[: len(tested) - asked].any()


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
def test_a_share_is_between_none_and_all(share):
    with pytest.raises(ValueError, match="share is"):
        split_by_time(some_ratings(), share)
    with pytest.raises(ValueError, match="share is"):
        split_newest_of_each_user(some_ratings(), share)


def test_the_average_is_of_user_item_or_both():
    with pytest.raises(ValueError, match="choose"):
        RollingAverage("everything")


def test_differences_are_those_of_the_roots_with_people_as_the_unit():
    errors, others = np.array([1.0, 2.0, 2.0, 0.0]), np.array([2.0, 2.0, 1.0, 1.0])
    difference, error = rmse_difference(errors, others, np.array(["a", "b", "c", "d"]))
    assert difference == pytest.approx(rmse(errors) - rmse(others))
    # Squares differ by -3, 0, 3, -1: mean -.25, sums of squared deviations 18.75.
    assert error == pytest.approx((18.75 * 4 / 3) ** 0.5 / 4 / (1.5 + 2.5**0.5))
    # Three ratings of one person with one error are one observation.
    errors, others, who = np.repeat(errors, 3), np.repeat(others, 3), np.repeat([0, 1, 2, 3], 3)
    assert rmse_difference(errors, others, who)[1] == pytest.approx(error)
    assert rmse_difference(errors, errors, who) == (0.0, 0.0)
