"""The batch benchmark: both sides rank the same, and every step answers every line."""

import json

import numpy as np
import pytest


@pytest.fixture
def bench(tmp_path, monkeypatch):
    import batch_inference

    batch_inference.draw_factors(tmp_path, 50, 40)
    monkeypatch.setattr(batch_inference, "HRNN_USERS", 30)
    return batch_inference


@pytest.mark.parametrize("step", ["ranking alone", "job", "job without scores", "job, a tenth"])
def test_a_step_tells_what_it_took(bench, tmp_path, capsys, step):
    bench.do_step(step, tmp_path)
    measured = json.loads(capsys.readouterr().out)
    assert set(measured) == {"seconds", "cpu_seconds", "added_mb"}


def test_the_job_ranks_by_the_products_of_the_factors(bench, tmp_path):
    model = bench.factor_model(tmp_path, has_scores=True)
    bench.prepare_job(model, tmp_path, "users.json")()
    lines = (tmp_path / "out" / "users.json.out").read_text().splitlines()
    with np.load(tmp_path / "factors.npz") as arrays:
        products = arrays["users"] @ arrays["items"].T
    for line, row in zip(lines, products, strict=True):
        best = np.argsort(-row, kind="stable")[:25]
        assert json.loads(line)["output"]["recommendedItems"] == [f"item-{c}" for c in best]


def test_the_fastest_run_counts_and_a_missing_peer_is_left_out(bench, tmp_path, monkeypatch):
    seconds = iter([3.0, 1.0, 2.0])

    def run(step, folder):
        if step in bench.IMPLICIT:
            return None
        return {"seconds": next(seconds), "cpu_seconds": 1.0, "added_mb": 1.0, "load": 0.0}

    monkeypatch.setattr(bench, "run_step", run)
    (row,) = bench.measure([*bench.IMPLICIT, "job"], tmp_path, 3)
    assert (row["seconds"], row["all_seconds"]) == (1.0, [3.0, 1.0, 2.0])
