"""What a contestant's process is given and gives back."""

import json

import numpy as np
import pytest

from personalens.evaluation.ranking_metrics import ndcg_at_k


@pytest.fixture
def exchange():
    from benchmarks.peers import exchange

    return exchange


@pytest.fixture
def task(exchange):
    """Two users: one had items 0, 1, 2, the other 3, 4; each is asked about with that history."""
    codes = np.array([0, 1, 2, 3, 4], np.int32)
    return exchange.Task(
        sizes=np.array([2, 6]),
        user_codes=np.array([0, 0, 0, 1, 1], np.int32),
        item_codes=codes,
        timestamps=np.arange(5),
        askers=np.array([0, 1]),
        offsets=np.array([0, 3, 5]),
        history_items=codes,
        history_times=np.arange(5),
    )


def test_a_job_is_done_run_by_run(exchange, task, tmp_path, monkeypatch):
    task.save(tmp_path / "0.npz")
    runs = [
        {"round": 0, "seed": seed, "setting": {"first": first}} for seed, first in [(0, 5), (1, 3)]
    ]
    job = {"model": "toy", "tasks": str(tmp_path), "runs": runs}
    (tmp_path / "job.json").write_text(json.dumps(job))
    monkeypatch.setattr("sys.argv", ["toy.py", str(tmp_path / "job.json")])

    def train(given, seed, *, first):
        return lambda: np.array([[first, seed]] * len(given)), {"epochs": seed + 1}

    exchange.answer_job({"toy": train}, ["numpy"])
    assert np.load(tmp_path / "lists-1.npy")[:, :3].tolist() == [[3, 1, -1]] * 2
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert [run["epochs"] for run in figures["runs"]] == [1, 2]
    assert all(run["fit_seconds"] >= 0 and run["ask_seconds"] >= 0 for run in figures["runs"])
    assert figures["peak_mb"] > 1
    assert figures["versions"]["numpy"] == np.__version__


def test_the_newest_event_of_each_user_is_marked(task):
    assert task.last_events().tolist() == [False, False, True, False, True]


def test_lists_for_other_questions_are_refused(exchange):
    with pytest.raises(ValueError, match="1 lists for 2 questions"):
        exchange.fill_lists(np.array([[1, 2]]), 2)


def test_long_lists_are_cut(exchange):
    assert exchange.fill_lists(np.arange(30)[None], 1).tolist() == [list(range(25))]


def test_the_contestants_own_ndcg_is_that_of_the_evaluation(exchange):
    rng = np.random.default_rng(0)
    lists = np.array([rng.permutation(20) for _ in range(50)])
    truths = rng.integers(0, 20, 50)
    hits = lists == truths[:, None]
    assert exchange.ndcg_at_10(lists, truths) == pytest.approx(ndcg_at_k(hits, 10).mean())
