"""The accuracy benchmark runs from end to end, on the tiny world."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from personalens.testing.tiny_world import tiny_world

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "leave_one_out.py"


@pytest.fixture
def benchmark(monkeypatch):
    specification = importlib.util.spec_from_file_location("leave_one_out_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    world = SimpleNamespace(interactions=tiny_world().frame)
    monkeypatch.setattr(module.datasets, "load", lambda name: world, raising=False)
    return module


def test_tables_figures_and_differences(benchmark, monkeypatch, capsys, tmp_path):
    recipes = ["aws-popularity-count", "aws-sims"]
    arguments = ["x", "--seeds", "2", "--recipes", *recipes, "--json", str(tmp_path / "figures")]
    monkeypatch.setattr("sys.argv", [*arguments, "--set", "min_cointeraction_count=1"])
    benchmark.main()
    printed = capsys.readouterr().out
    for name in ("popularity", "EASE", "transitions", *recipes):
        assert f"\n{name}" in printed
    models = json.loads((tmp_path / "figures").read_text())["models"]
    # What comes next is the film with the next number, which counting transitions finds.
    assert models["transitions"]["mean"]["HR@10"] > 0.9
    assert models["popularity"]["mean"]["HR@10"] < 0.5
    assert models["aws-popularity-count"]["seeds"] == 2
    assert models["aws-popularity-count"]["sd"]["NDCG@10"] == 0.0


def test_settings_reach_the_recipes_that_have_them(benchmark):
    settings = {"min_cointeraction_count": "7"}
    chosen = [
        benchmark.chosen_config(benchmark.catalog.get(name), settings)
        for name in ("aws-sims", "aws-popularity-count")
    ]
    assert chosen[0].min_cointeraction_count == 7
    assert chosen[1] == benchmark.catalog.get("aws-popularity-count").config()


def test_too_many_items_leave_ease_out(benchmark, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "EASE_ITEMS_ALLOWED", 10)
    monkeypatch.setattr("sys.argv", ["x", "--recipes"])
    benchmark.main()
    printed = capsys.readouterr().out
    assert "EASE left out" in printed
    assert "\nEASE " not in printed
