"""The rating head: learns a known pattern, never looks ahead, repeats, and survives its file."""

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.interactions import Interactions
from personalens.progress import Cancelled
from personalens.ratings.rating_evaluation import (
    RollingMeans,
    rmse,
    split_by_time,
    split_newest_of_each_user,
)
from personalens.ratings.rating_head import RatingHRNN

SPLITS = [split_by_time, split_newest_of_each_user]


def two_tastes(users=80, items=12, each=10, seed=0):
    """People of even number like films of even number, the others the others; films are new or old,
    and nobody says so but the Items table. Half of the events share their second."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        for place, item in enumerate(rng.permutation(items)[:each]):
            liked = (user + item) % 2 == 0
            rows.append((str(user), str(item), 1000 * user + place // 2, 4.5 if liked else 1.5))
    columns = ["USER_ID", "ITEM_ID", "TIMESTAMP", "EVENT_VALUE"]
    kinds = pd.DataFrame({"ITEM_ID": [str(i) for i in range(items)]})
    return pd.DataFrame(rows, columns=columns), kinds.assign(GENRES=["even", "odd"] * (items // 2))


FRAME, KINDS = two_tastes()


def small(**settings):
    return RatingHRNN(**{"hidden_dimension": 8, "epochs": 12, "penalty": 1.0, **settings})


@pytest.fixture(scope="module")
def fitted():
    return small().fit(Interactions.from_frame(FRAME), items=KINDS)


@pytest.mark.parametrize("settings", [{}, {"hidden_dimension": 0}, {"sessions": False}])
def test_it_learns_whose_taste_is_whose(settings):
    split = split_by_time(Interactions.from_frame(FRAME))  # of people that training never met
    known = np.arange(len(split.rows)) % 10 >= 3
    errors = split.errors(small(**settings).fit(split.train, items=KINDS))[known]
    averages = split.errors(RollingMeans().fit(split.train))[known]
    assert rmse(averages) > 1.2
    assert rmse(errors) < 0.6


def test_genres_speak_for_a_film_that_nobody_has_rated():
    kinds = pd.concat([KINDS, pd.DataFrame({"ITEM_ID": ["x", "y"], "GENRES": ["even", "odd"]})])
    model = small(epochs=20).fit(FRAME, items=kinds)
    even, odd = model.rate(FRAME, "0", ["x", "y"])
    assert even > odd + 0.5


@pytest.mark.parametrize("make", SPLITS)
def test_it_never_looks_ahead(fitted, make):
    split = make(Interactions.from_frame(FRAME))
    before = fitted.predict(split.ratings, split.rows)
    for place in range(0, len(split.rows), 9):
        changed = split.ratings.select(np.arange(len(split.ratings)))
        changed.event_values[split.rows[place:]] = 3.0
        after = fitted.predict(changed, split.rows)
        assert after[: place + 1] == pytest.approx(before[: place + 1], abs=1e-5)
        assert not np.allclose(after[place + 1 :], before[place + 1 :]) or place + 1 >= len(after)


def test_same_seed_same_model(fitted):
    again = small().fit(Interactions.from_frame(FRAME), items=KINDS)
    other = small(seed=1).fit(Interactions.from_frame(FRAME), items=KINDS)
    assert (again.predict(FRAME) == fitted.predict(FRAME)).all()
    assert (other.predict(FRAME) != fitted.predict(FRAME)).any()


def test_a_table_is_answered_in_its_own_order(fitted):
    order = np.random.default_rng(0).permutation(len(FRAME))
    expected = fitted.predict(FRAME)[order]
    assert fitted.predict(FRAME.iloc[order]) == pytest.approx(expected, abs=1e-5)
    rows = np.array([5, 0])
    assert fitted.predict(FRAME, rows) == pytest.approx(fitted.predict(FRAME)[rows], abs=1e-5)


def test_a_question_is_answered_as_the_rating_is_predicted_and_teaches_nothing(fitted):
    plain = fitted.predict(FRAME)
    rows = np.arange(7, len(FRAME), 50)
    questions = FRAME.iloc[rows].assign(EVENT_VALUE=np.nan)
    # Stand each question in for its rating, and then leave that rating out.
    asked = FRAME.copy()
    asked.loc[rows[:1], "EVENT_VALUE"] = np.nan
    assert fitted.predict(asked, rows[:1]) == pytest.approx(plain[rows[:1]], abs=1e-5)
    both = pd.concat([FRAME, questions.assign(TIMESTAMP=FRAME["TIMESTAMP"].max() + 5)])
    assert fitted.predict(both)[: len(FRAME)] == pytest.approx(plain, abs=1e-5)


def test_new_people_and_films_are_answered(fitted):
    answers = fitted.rate(FRAME, "somebody new", ["0", "a film from elsewhere"])
    assert np.isfinite(answers).all()
    assert fitted.rate(FRAME, "0", []).shape == (0,)


def test_saved_and_loaded_it_says_the_same(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    loaded = RatingHRNN.load(tmp_path / "model", device="cpu")
    assert (loaded.predict(FRAME) == fitted.predict(FRAME)).all()
    assert loaded.training_log_ == fitted.training_log_


def test_without_metadata_it_is_saved_too(tmp_path):
    model = small(epochs=1).fit(FRAME)
    model.save(tmp_path / "model")
    assert (RatingHRNN.load(tmp_path / "model").predict(FRAME) == model.predict(FRAME)).all()


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="no ratings"):
        small().fit(FRAME.drop(columns="EVENT_VALUE"))
    with pytest.raises(RuntimeError, match="fit"):
        small().predict(FRAME)


def test_progress_is_heard_and_can_cancel():
    heard = []
    small(epochs=2).fit(FRAME, progress=heard.append)
    assert heard[-1].fraction == 1.0
    assert {event.epoch for event in heard} == {1, 2}

    def cancel(event):
        raise Cancelled

    model = small(epochs=1).fit(FRAME)
    with pytest.raises(Cancelled):
        model.fit(FRAME, progress=cancel)
    with pytest.raises(RuntimeError, match="has not been trained"):
        model.predict(FRAME)
