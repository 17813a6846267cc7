"""The accuracy benchmark from end to end on the tiny world, with the contestants of our own."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from benchmarks import accuracy, machine, own_models
from personalens import datasets
from personalens.testing.tiny_world import tiny_world


@pytest.fixture
def benchmark(monkeypatch, tmp_path):
    """Run ``accuracy.main`` with these arguments; contestants run in this process."""

    frame = tiny_world().frame
    items = frame[["ITEM_ID"]].drop_duplicates().assign(TITLE="a film")
    world = SimpleNamespace(interactions=frame, items=items, users=None)
    monkeypatch.setattr(datasets, "load", lambda name: world, raising=False)
    own_models.load_split.cache_clear()

    def run_here(command, **options):
        monkeypatch.setattr("sys.argv", [str(part) for part in command[2:]])
        own_models.main()
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(machine.subprocess, "run", run_here)

    def run(*arguments):
        folders = ["--work", str(tmp_path / "work"), "--results", str(tmp_path / "results")]
        monkeypatch.setattr("sys.argv", ["accuracy.py", "--rounds", "4", *folders, *arguments])
        accuracy.main()
        paths = sorted((tmp_path / "results").glob("*.json"))
        return {path.stem: json.loads(path.read_text()) for path in paths}

    return run


PEERS = ["--peers", "popularity", "EASE", "windowed transition counts"]


def test_next_item(benchmark):
    [result] = benchmark("--recipes", "aws-popularity-count", "aws-sims", *PEERS).values()
    rows = {row["model"]: row for row in result["rows"]}
    # What comes next is the film with the next number, which counting transitions finds.
    assert rows["windowed transition counts"]["HR@10"] > 0.9
    assert rows["popularity"]["HR@10"] < 0.5
    assert rows["windowed transition counts"]["tried"] == 72
    assert rows["EASE"]["tried"] == 4
    assert all(row["fit_seconds"] >= 0 and row["peak_mb"] > 10 for row in rows.values())
    pairs = {(row["recipe"], row["other"]): row["difference"] for row in result["differences"]}
    assert pairs["aws-popularity-count", "windowed transition counts"] < -0.5
    assert {"processor", "date", "command", "versions", "cores"} <= set(result)
    assert result["questions"] == 40


def test_rounds_have_their_own_trainings(benchmark):
    arguments = ["--protocol", "hold-out", "unseen-users", "--recipes", "aws-popularity-count"]
    results = benchmark(*arguments, "--peers", "popularity")
    assert set(results) == {"accuracy-ml-100k-hold-out", "accuracy-ml-100k-unseen-users"}
    for result in results.values():
        assert result["rounds"] == 4
        assert [row["runs"] for row in result["rows"]] == [4, 4]
        assert all(row["sd"]["NDCG@10"] >= 0 for row in result["rows"])
    assert results["accuracy-ml-100k-unseen-users"]["questions"] == 40


def test_what_was_measured_is_not_measured_again(benchmark, monkeypatch):
    first = benchmark("--recipes", "--peers", "popularity")
    monkeypatch.setattr(machine.subprocess, "run", None)
    again = benchmark("--recipes", "--peers", "popularity")
    [name] = first
    assert again[name]["rows"] == first[name]["rows"]


def test_a_contestant_that_fails_is_named(benchmark, monkeypatch):
    monkeypatch.setattr(machine.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=1))
    with pytest.raises(RuntimeError, match=r"popularity failed; see .*output.txt"):
        benchmark("--recipes", "--peers", "popularity")


def test_slow_training_reaches_the_training_loop(benchmark, monkeypatch):
    from benchmarks.contestants import SLOW_TRAINING
    from personalens.recipes.hrnn import HRNN

    trained = []

    def fit(self, *arguments, **options):
        trained.append(self.training)
        self.training = replace(self.training, max_epochs=1)
        return whole_fit(self, *arguments, **options)

    whole_fit = HRNN.fit
    monkeypatch.setattr(HRNN, "fit", fit)
    name = "aws-hrnn, slow training"
    [result] = benchmark("--seeds", "1", "--recipes", name, "--peers", "popularity").values()
    [options] = trained
    assert {key: getattr(options, key) for key in SLOW_TRAINING} == SLOW_TRAINING
    assert result["rows"][0]["setting"] == SLOW_TRAINING
    assert (result["differences"][0]["recipe"], result["rows"][0]["runs"]) == (name, 1)


def test_grids_are_products():
    from benchmarks.contestants import PEERS, settings

    assert settings(a=[1, 2], b=[3]) == ({"a": 1, "b": 3}, {"a": 2, "b": 3})
    assert len({peer.name for peer in PEERS}) == len(PEERS)
