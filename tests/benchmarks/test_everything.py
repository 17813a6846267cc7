"""make bench: which modules run, where results go, and that a failure does not hide the others."""

import shlex
from types import SimpleNamespace

import pytest

from benchmarks import everything
from benchmarks.machine import ROOT


def modules(steps):
    return {shlex.split(step)[0] for step in steps}


def test_a_quick_run_goes_through_the_same_modules():
    assert modules(everything.SAMPLE) == modules(everything.FULL)


def test_every_module_that_leaves_results_takes_part():
    files = (ROOT / "benchmarks").glob("*.py")
    writers = {path.stem for path in files if "write_result(" in path.read_text()}
    assert writers - {"machine"} == modules(everything.FULL) - everything.WITHOUT_RESULTS


def test_places_and_limit_are_handed_on(tmp_path):
    steps = ["accuracy --last 5", "training", "put_events_durability"]
    places = ["--results", str(tmp_path)]
    found = everything.commands(steps, tmp_path, work=tmp_path / "work", limit=5.0)
    work = ["--work", str(tmp_path / "work")]
    assert list(found) == [
        ["accuracy", "--last", "5", *places, *work, "--limit", "5.0"],
        ["training", *places],
        ["put_events_durability"],
    ]


def test_a_failure_is_named_after_the_others_ran(monkeypatch, tmp_path, capsys):
    ran = []

    def run(module, *arguments, **options):
        ran.append(module)
        return SimpleNamespace(returncode=int(module == "training"))

    monkeypatch.setattr(everything, "run_module", run)
    monkeypatch.setattr(everything, "QUICK", tmp_path)
    monkeypatch.setenv("PERSONALENS_TRAINING_MAX_EPOCHS", "")  # it is set, and then undone
    monkeypatch.setattr("sys.argv", ["everything", "--quick"])
    with pytest.raises(SystemExit, match=r"These failed:\ntraining --dataset sample"):
        everything.main()
    assert ran[-2:] == ["accuracy", "page"]
    assert "The page:" in capsys.readouterr().out
