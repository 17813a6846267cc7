"""The bulk benchmark: its own steps do the work on a few rows, and what is compared is right."""

import numpy as np
import pytest

ROWS = 3000


@pytest.fixture
def bulk(monkeypatch):
    from benchmarks import import_and_sims

    def run_here(step, folder, rows):
        """Do our steps in this process; of the peers only pyarrow's, and implicit, are there."""
        if step in import_and_sims.STEPS:
            import_and_sims.STEPS[step](folder, rows)()
        elif step == "duckdb":
            return None
        seconds = {"pyarrow": 2.0, "polars": 1.0, "personalens import": 4.0}.get(step, 3.0)
        return {"seconds": seconds, "cpu_seconds": 1.0, "peak_mb": 100.0}

    monkeypatch.setattr(import_and_sims, "run", run_here)
    return import_and_sims


def test_the_import_is_compared_with_the_fastest_conversion(bulk, tmp_path):
    result = bulk.measure_import(tmp_path, ROWS, repeats=2)
    assert result["fastest"] == "polars"
    assert result["seconds_over_fastest"] == 3.0
    steps = {row["step"]: row for row in result["steps"]}
    assert set(steps) == {"pyarrow", "polars", "personalens import", "read for training"}
    assert steps["polars"]["runs"] == 2


def test_conversion_and_import_write_the_same_rows(bulk, tmp_path):
    import pyarrow.parquet as pq

    for step in ("simulate", "pyarrow", "personalens import"):
        bulk.STEPS[step](tmp_path, ROWS)()
    bare, imported = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("bare", "imported"))
    assert len(bare) == len(imported) == ROWS
    for column in ("USER_ID", "ITEM_ID", "TIMESTAMP"):
        assert bare[column].to_pylist() == imported[column].to_pylist()


def test_sims_relates_both_worlds(bulk, tmp_path):
    result = bulk.measure_sims(tmp_path, ROWS, 60, repeats=1)
    assert [row["step"] for row in result["steps"]] == [
        "aws-sims, even",
        "implicit, even",
        "aws-sims, skewed",
        "implicit, skewed",
    ]


def test_worlds_have_every_item_and_their_skew(bulk, tmp_path):
    bulk.draw_events(tmp_path, 20_000, 100)
    counts = {}
    for name in bulk.WORLDS:
        with np.load(tmp_path / f"{name}.npz") as arrays:
            assert (np.bincount(arrays["users"]) == bulk.EVENTS_PER_USER).all()
            counts[name] = np.bincount(arrays["items"], minlength=100)
    assert min(count.min() for count in counts.values()) >= 1
    assert counts["even"].max() < 300
    assert counts["skewed"][0] > 1500


def test_files_of_every_shape_are_imported(bulk, tmp_path):
    measured = bulk.measure_shapes(tmp_path, 400_000)
    assert [each["shape"] for each in measured] == list(bulk.draw_shapes(400_000))
    assert all(each["rows"] >= 2 for each in measured)
