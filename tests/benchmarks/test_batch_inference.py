"""The batch benchmark: both sides rank the same, and every step answers every line."""

import json

import numpy as np
import pytest


@pytest.fixture
def bench(tmp_path, monkeypatch):
    from benchmarks import batch_inference

    batch_inference.draw_factors(tmp_path, 50, 40)
    monkeypatch.setattr(batch_inference, "HRNN_USERS", 30)
    return batch_inference


@pytest.mark.parametrize("step", ["ranking alone", "job", "job without scores", "job, a tenth"])
def test_a_step_tells_what_it_took(bench, tmp_path, step):
    assert bench.do_step(step, tmp_path)["seconds"] > 0


def test_the_job_ranks_by_the_products_of_the_factors(bench, tmp_path):
    model = bench.factor_model(tmp_path, has_scores=True)
    bench.prepare_job(model, tmp_path, "users.json")()
    lines = (tmp_path / "out" / "users.json.out").read_text().splitlines()
    with np.load(tmp_path / "factors.npz") as arrays:
        products = arrays["users"] @ arrays["items"].T
    for line, row in zip(lines, products, strict=True):
        best = np.argsort(-row, kind="stable")[:25]
        assert json.loads(line)["output"]["recommendedItems"] == [f"item-{c}" for c in best]
