"""The rating benchmark: what its fields know, and that the network learns more than means."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

USERS, FILMS = 30, 40


@pytest.fixture(scope="module")
def data() -> SimpleNamespace:
    """Half of the users love what the others dislike: the mean of a film says nothing."""
    rng = np.random.default_rng(0)
    rows = [
        (f"u{user:02}", f"f{film:02}", 600_000 * step, 5.0 if (user + film) % 2 else 1.0)
        for user in range(USERS)
        for step, film in enumerate(rng.permutation(FILMS)[:30])
    ]
    columns = ["USER_ID", "ITEM_ID", "TIMESTAMP", "EVENT_VALUE"]
    ids = [f"u{user:02}" for user in range(USERS)]
    users = pd.DataFrame({"USER_ID": ids, "AGE": range(USERS), "GENDER": "F", "OCCUPATION": "none"})
    films = pd.DataFrame({"ITEM_ID": [f"f{film:02}" for film in range(FILMS)], "YEAR": 1990})
    films["GENRES"] = ["Drama|War" if film % 2 else None for film in range(FILMS)]
    return SimpleNamespace(
        interactions=pd.DataFrame(rows, columns=columns), users=users, items=films
    )


def test_rows_are_taken_with_all_their_values():
    from benchmarks.rating_fields import Bag

    bag = Bag.of_rows(np.array([7, 1, 2, 3, 4]), np.array([1, 0, 4]))
    taken = bag.take(torch.tensor([2, 1, 0]))
    assert taken.codes.tolist() == [1, 2, 3, 4, 7]
    assert taken.offsets.tolist() == [0, 4, 4, 5]
    assert taken.weights.tolist() == [0.5, 0.5, 0.5, 0.5, 1.0]


def test_fields_know_of_the_known_rows_only(data):
    from benchmarks.rating_fields import read_fields, read_ratings

    ratings, users, films = read_ratings(data)
    known = np.arange(0, len(ratings.values), 2)
    fields = read_fields(ratings, known, users, films)
    bag = fields.user["films rated"].bag
    for user in (0, 7):
        codes = bag.codes[bag.offsets[user] : bag.offsets[user + 1]]
        mine = known[ratings.users[known] == user]
        assert sorted(codes.tolist()) == sorted(ratings.films[mine].tolist())
    assert len(fields.film["raters"].bag.codes) == len(known)
    values = np.full(len(ratings.values), 3.0, np.float32)
    blind = read_fields(ratings._replace(values=values), known, users, films)
    assert all(
        torch.equal(one.bag.codes, other.bag.codes)
        for part, same in zip(fields, blind, strict=True)
        for one, other in zip(part.values(), same.values(), strict=True)
    )


def test_it_learns_what_means_do_not_tell_and_the_same_each_time(data):
    from benchmarks.deepfm_rating import Settings, Study
    from benchmarks.rating_fields import read_ratings

    settings = Settings(embedding_size=8, batch_size=64, learning_rate=0.02)
    study = Study(read_ratings(data), settings)
    order = np.random.default_rng(0).permutation(len(study.ratings.values))
    asked, learn = order[:180], order[180:]
    answers = study.answers(learn, asked, members=1)
    assert answers.shape == (1, 180)
    assert answers.min() >= 1.0
    assert answers.max() <= 5.0
    assert study.rmse(np.full(180, 3.0), asked) == pytest.approx(2.0)
    assert study.rmse(answers[0], asked) < 1.0
    assert np.array_equal(answers, study.answers(learn, asked, members=1))


def test_a_figure_for_each_fold_and_their_mean(data, monkeypatch, capsys, tmp_path):
    from benchmarks import deepfm_rating

    monkeypatch.setattr(deepfm_rating.datasets, "load", lambda name: data, raising=False)
    arguments = ["x", "--folds", "2", "--members", "2", "--epochs", "1", "--without-time"]
    monkeypatch.setattr("sys.argv", [*arguments, "--results", str(tmp_path)])
    deepfm_rating.main()
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in printed] == ["fold 1", "fold 2", "alone", "together"]
    found = json.loads((tmp_path / "deepfm-ratings-ml-100k.json").read_text())
    assert [len(fold["alone"]) for fold in found["folds"]] == [2, 2]
    together = [fold["together"] for fold in found["folds"]]
    assert found["together"]["mean"] == pytest.approx(np.mean(together))
    assert found["with_time"] is False
