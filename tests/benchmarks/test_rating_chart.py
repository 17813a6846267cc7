"""Amazon's slide is tuned, measured and drawn from end to end, on a small table."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from benchmarks import rating_chart
from personalens import datasets
from personalens.ratings.rating_evaluation import split_by_time


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.setattr(datasets, "load", lambda name: some_ratings(), raising=False)
    return rating_chart


def some_ratings(users=30, items=10, each=12):
    rng = np.random.default_rng(0)
    offsets = rng.normal(0, 1, users)
    rows = [
        (str(user), str(item), 100 * user + place, 3 + offsets[user] + rng.normal(0, 0.3))
        for user in range(users)
        for place, item in enumerate(rng.integers(items, size=each))
    ]
    frame = pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP", "EVENT_VALUE"])
    frame.loc[::29, "EVENT_VALUE"] = np.nan
    kinds = pd.DataFrame({"ITEM_ID": [str(i) for i in range(items)], "GENRES": ["a", "b"] * 5})
    return SimpleNamespace(interactions=frame, items=kinds)


def test_tables_chart_and_figures(benchmark, monkeypatch, capsys, tmp_path):
    arguments = ["x", "--tries", "1", "--seeds", "1", "--parts", "--results", str(tmp_path)]
    monkeypatch.setattr("sys.argv", arguments)
    benchmark.main()
    printed = capsys.readouterr().out
    for name in (*benchmark.CONTENDERS, *benchmark.PARTS):
        assert f"{name} " in printed
    assert printed.count("HRNN below RNN") == 2
    assert (tmp_path / "deck-chart-ml-100k.png").stat().st_size > 1000
    found = json.loads((tmp_path / "deck-chart-ml-100k.json").read_text())
    assert set(found["splits"]) == {"by time", "by user"}
    for part in found["splits"].values():
        rows = {row["model"]: row for row in part["rows"]}
        rolling, mean = rows["strong rolling mean"], rows["global mean"]
        assert rolling["rmse"] < mean["rmse"]
        assert rows["HRNN"]["minus_hrnn"] == 0
        difference = mean["rmse"] - rows["HRNN"]["rmse"]
        assert mean["minus_hrnn"] == pytest.approx(difference)


class Guess:
    """Predicts a constant; of a watched one, the constant nears 3 until the third epoch."""

    def __init__(self, guess, epochs=0, seed=0):
        self.guess, self.epochs = guess, epochs

    def fit(self, ratings, *, items=None, after_epoch=None):
        guess = self.guess
        for epoch in range(1, self.epochs + 1 if after_epoch else 1):
            self.guess = guess + abs(epoch - 3)
            after_epoch(epoch)
        return self

    def predict(self, ratings, rows):
        return np.full(len(rows), float(self.guess))


@pytest.fixture
def threes(benchmark):
    frame = some_ratings().interactions.assign(EVENT_VALUE=3.0)
    return split_by_time(benchmark.Interactions.from_frame(frame))


def test_the_setting_that_does_best_on_validation_is_chosen(benchmark, threes):
    contender = benchmark.Contender(Guess, {"guess": [1, 3, 4]})
    assert benchmark.choose(contender, threes, None) == ({"guess": 3}, 0.0, 3)
    assert benchmark.choose(contender, threes, None, 1) == ({"guess": 1}, 2.0, 1)


def test_epochs_are_chosen_by_watching(benchmark, threes):
    contender = benchmark.Contender(Guess, {"guess": [5, 3], "epochs": [6]}, is_watched=True)
    assert benchmark.choose(contender, threes, None) == ({"guess": 3, "epochs": 3}, 0.0, 2)


def test_the_slides_order_is_held_against_paired_differences(benchmark):
    # Of 40 people one rating each. FM errs less than the average for all, HRNN more than RNN, and
    # I-AutoRec errs less than FM for half of them and more for the others.
    errors = {name: np.ones(40) for name in benchmark.DECK_RMSE} | {
        "FM": np.full(40, 0.5),
        "I-AutoRec": np.where(np.arange(40) % 2, 0.3, 0.62),
        "HRNN": np.full(40, 1.5),
    }
    results = {name: {"errors": values} for name, values in errors.items()}
    steps = benchmark.compare(results, np.arange(40))
    assert [step["came"] for step in steps] == ["yes", "not told apart", "no", "no"]
    assert (steps[0]["difference"], steps[0]["standard_error"]) == (-0.5, 0.0)
    assert results["RNN"]["minus_hrnn"] == pytest.approx(-0.5)
