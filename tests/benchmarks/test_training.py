"""The training benchmark: what is counted, and what the limit is made of."""

import json

import numpy as np
import pytest

from benchmarks import machine
from personalens.testing.tiny_world import tiny_world


@pytest.fixture
def training(monkeypatch):
    from benchmarks import training
    from benchmarks.splits import split_interactions

    split = split_interactions(tiny_world().interactions, "next-item")
    monkeypatch.setattr(training, "split_data", lambda *_: split)
    monkeypatch.setattr(training, "REPEATS", 2)
    monkeypatch.setattr(training, "measure_fit", lambda _: {"seconds": 3.0, "threads": 2})
    return training


def test_the_table_and_the_share_of_the_limit(training, monkeypatch, tmp_path, capsys):
    arguments = ["training.py", "--epochs", "2", "--peers", "--results", str(tmp_path)]
    monkeypatch.setattr("sys.argv", arguments)
    training.main()
    result = json.loads((tmp_path / "training-ml-100k.json").read_text())
    [row] = result["rows"]
    assert row["epochs"] == 4  # two before the limit is measured, two after
    # Forty users with eight events each: seven of them follow another one.
    assert row["tokens_per_second"] == pytest.approx(40 * 7 / row["epoch_seconds"])
    limit = result["limit"]
    assert limit["items"] == 49
    assert limit["share"] == pytest.approx(row["tokens_per_second"] / limit["tokens_per_second"])
    assert "aws-hrnn at" in capsys.readouterr().out


def test_the_limit_counts_every_product_three_times(training):
    limit = training.measure_limit(width=8, hidden=16, items=50, batch=4)
    # A token passes the weights of the gates (48 x 8 for the input, 48 x 16 for the state), those
    # back to the items' space (8 x 16) and the items (50 x 8), forwards and for two gradients.
    weights = 48 * 8 + 48 * 16 + 8 * 16 + 50 * 8
    flops = 3 * 2 * weights * limit["tokens_per_second"]
    assert limit["gigaflops"] == pytest.approx(flops / 1e9)
    assert limit["tokens_per_second"] < limit["output_tokens_per_second"]


def test_a_peer_without_its_environment_is_left_out(training, monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "ENVIRONMENTS", tmp_path)
    assert training.measure_peer("RecBole GRU4Rec", "ml-100k", 1, tmp_path) is None


def test_the_median_epoch_counts(training):
    row = training.row("x", {"seconds_per_epoch": [1.0, 9.0, 2.0], "tokens": 10, "load": 0.5})
    assert row["epoch_seconds"] == 2.0
    assert row["tokens_per_second"] == 5.0
    assert np.isfinite(row["tokens_per_second"])
