"""make bench: which scripts run, where results go, and that a failure does not hide the others."""

import shlex
from types import SimpleNamespace

import pytest


@pytest.fixture
def everything():
    import everything

    return everything


def scripts(steps):
    return {shlex.split(step)[0] for step in steps}


def test_a_quick_run_goes_through_the_same_scripts(everything):
    assert scripts(everything.SAMPLE) == scripts(everything.FULL)


def test_every_script_that_leaves_results_takes_part(everything, scripts_folder):
    writers = {
        path.name for path in scripts_folder.glob("*.py") if "write_result(" in path.read_text()
    }
    assert writers - {"machine.py"} == scripts(everything.FULL) - everything.WITHOUT_RESULTS


@pytest.fixture
def scripts_folder(everything):
    return everything.HERE


def test_places_and_limit_are_handed_on(everything, tmp_path):
    steps = ["accuracy.py --last 5", "training.py", "put_events_durability.py"]
    places = ["--results", str(tmp_path)]
    found = everything.commands(steps, tmp_path, work=tmp_path / "work", limit=5.0)
    work = ["--work", str(tmp_path / "work")]
    assert list(found) == [
        ["accuracy.py", "--last", "5", *places, *work, "--limit", "5.0"],
        ["training.py", *places],
        ["put_events_durability.py"],
    ]


def test_a_failure_is_named_after_the_others_ran(everything, monkeypatch, tmp_path, capsys):
    ran = []

    def run(command, check=False):
        ran.append(command[1].name)
        return SimpleNamespace(returncode=int(command[1].name == "training.py"))

    monkeypatch.setattr(everything.subprocess, "run", run)
    monkeypatch.setattr(everything, "QUICK", tmp_path)
    monkeypatch.setenv("PERSONALENS_TRAINING_MAX_EPOCHS", "")  # it is set, and then undone
    monkeypatch.setattr("sys.argv", ["everything.py", "--quick"])
    with pytest.raises(SystemExit, match=r"These failed:\ntraining.py --dataset sample"):
        everything.main()
    assert ran[-2:] == ["accuracy.py", "report.py"]
    assert "The report:" in capsys.readouterr().out
