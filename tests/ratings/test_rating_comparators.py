"""The models beside the rating head: what they can learn, that none looks ahead, and that they
repeat."""

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.interactions import Interactions
from personalens.ratings.rating_comparators import FM, IAutoRec, RatingRNN
from personalens.ratings.rating_evaluation import (
    GlobalMean,
    rmse,
    split_by_time,
    split_newest_of_each_user,
)


def two_tastes(users=60, items=12, each=10, seed=0):
    """People of even number like films of even number, the others the others; all rate at once."""
    rng = np.random.default_rng(seed)
    rows = []
    for place in range(each):
        for user in range(users):
            item = (user + place * 5 + int(rng.integers(2))) % items
            rows.append((str(user), str(item), len(rows), 4.5 if (user + item) % 2 == 0 else 1.5))
    return Interactions.from_frame(
        pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP", "EVENT_VALUE"])
    )


RATINGS = two_tastes()
KINDS = pd.DataFrame({"ITEM_ID": [str(i) for i in range(12)], "YEAR": [1980, 1991] * 6})
MODELS = {
    "FM": lambda **more: FM(size=4, penalty=0.01, epochs=25, batch_size=64, **more),
    "I-AutoRec": lambda **more: IAutoRec(
        hidden_size=16, penalty=0.01, epochs=150, learning_rate=0.01, batch_size=4, **more
    ),
    "RNN": lambda **more: RatingRNN(
        hidden_dimension=16, embedding_dimension=8, penalty=0.1, epochs=40, **more
    ),
}


@pytest.fixture(scope="module", params=MODELS)
def trained(request):
    split = split_by_time(RATINGS)
    return request.param, split, MODELS[request.param]().fit(split.train, items=KINDS)


def test_it_learns_whose_taste_is_whose(trained):
    _, split, model = trained
    assert rmse(split.errors(GlobalMean().fit(split.train))) > 1.4
    assert rmse(split.errors(model)) < 0.6


@pytest.mark.parametrize("make", [split_by_time, split_newest_of_each_user])
def test_it_never_looks_ahead(trained, make):
    _, _, model = trained
    split = make(RATINGS)
    before = model.predict(split.ratings, split.rows)
    for place in range(0, len(split.rows), 13):
        changed = split.ratings.select(np.arange(len(split.ratings)))
        changed.event_values[split.rows[place:]] = 3.0
        after = model.predict(changed, split.rows)[: place + 1]
        assert after == pytest.approx(before[: place + 1], abs=1e-5)


def test_same_seed_same_model(trained):
    name, split, model = trained
    expected = model.predict(split.ratings, split.rows)
    again, other = (MODELS[name](seed=seed).fit(split.train, items=KINDS) for seed in (0, 1))
    assert (again.predict(split.ratings, split.rows) == expected).all()
    assert (other.predict(split.ratings, split.rows) != expected).any()


def test_rows_are_answered_in_the_order_in_which_they_are_asked(trained):
    _, split, model = trained
    expected = model.predict(split.ratings, split.rows)
    backwards = model.predict(split.ratings, split.rows[::-1])
    assert backwards[::-1] == pytest.approx(expected, abs=1e-5)


def test_strangers_are_answered(trained):
    _, _, model = trained
    strangers = Interactions.from_frame(
        pd.DataFrame(
            {
                "USER_ID": ["0", "somebody new", "somebody new"],
                "ITEM_ID": ["a film from elsewhere", "0", "a film from elsewhere"],
                "TIMESTAMP": 10**6,
                "EVENT_VALUE": np.float32(3.0),
            }
        )
    )
    answers = model.predict(strangers, np.arange(3))
    assert np.isfinite(answers).all()
    assert np.abs(answers - 3.0).max() < 4.0


@pytest.mark.parametrize("kind", [FM, IAutoRec])
def test_each_epoch_can_be_watched_and_is_what_fewer_epochs_give(kind):
    split = split_by_time(RATINGS)
    figures = []
    model = kind(epochs=3)
    model.fit(
        split.train,
        items=KINDS,
        after_epoch=lambda epoch: figures.append(rmse(split.errors(model))),
    )
    shorter = kind(epochs=2).fit(split.train, items=KINDS)
    assert len(figures) == 3
    assert rmse(split.errors(shorter)) == figures[1]


def test_offsets_alone_are_those_counted_by_hand():
    frame = pd.DataFrame(
        {
            "USER_ID": ["a", "b", "a"],
            "ITEM_ID": ["x", "x", "y"],
            "TIMESTAMP": [1, 2, 3],
            "EVENT_VALUE": [5.0, 4.0, 3.0],
        }
    )
    ratings = Interactions.from_frame(frame)
    model = IAutoRec(item_shrink=1, user_shrink=1, epochs=1, penalty=0.0)
    model.fit(ratings)
    # Mean 4; x: (1 + 0) / 3, y: -1 / 2; then a: (2/3 - 1/2) / 3, b: -1/3 / 2.
    assert model.item_offsets_.tolist() == pytest.approx([1 / 3, -1 / 2])
    assert model.user_offsets_.tolist() == pytest.approx([1 / 18, -1 / 6])
