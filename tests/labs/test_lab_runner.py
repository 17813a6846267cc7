"""The lab runner and the reproduction check, on notebooks of a few cells."""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from personalens import datasets
from personalens.cli import lab_runner
from personalens.cli.lab_runner import LabFailed, choose_dataset, find_labs, run_labs

from .conftest import reproduce, run


@pytest.fixture
def write_lab(tmp_path):
    """Return a function that writes a lab of a few code cells and returns its path."""

    def write(*sources: str, name: str = "00_tiny.ipynb") -> Path:
        cells = [
            new_markdown_cell("# Lab 00 · Tiny"),
            new_code_cell('DATASET = "ml-latest-small"', metadata={"tags": ["parameters"]}),
            *map(new_code_cell, sources),
        ]
        path = tmp_path / "labs" / name
        path.parent.mkdir(exist_ok=True)
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
        return path

    return write


def outputs(path: Path) -> list[str]:
    """Return the text that each code cell has printed."""
    return [
        "".join(output.get("text", "") for output in cell.outputs)
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code"
    ]


def test_a_lab_gets_its_data_set_a_fresh_home_and_this_python(write_lab, tmp_path, monkeypatch):
    monkeypatch.setenv("PERSONALENS_DATA", "some/folder")
    monkeypatch.chdir(tmp_path)
    lab = write_lab(
        "import os, sys\nprint(DATASET)",
        "from personalens import default_home\nprint(default_home().path)",
        "print(sys.executable)",
        'print(os.environ["PERSONALENS_DATA"], os.environ["PERSONALENS_STRICT"])',
        "print(os.getcwd())",
    )
    (done,) = run_labs([lab], "sample", tmp_path / "out")
    assert (done.title, done.executed) == ("Lab 00 · Tiny", tmp_path / "out" / "00_tiny.ipynb")
    assert outputs(done.executed)[2:] == [
        "sample\n",
        f"{tmp_path / 'out' / 'home'}\n",
        f"{sys.executable}\n",
        f"{tmp_path / 'some/folder'} 1\n",
        f"{lab.parent}\n",
    ]


def test_waiting_leaves_one_plain_line_in_a_notebook(write_lab, tmp_path):
    lab = write_lab(
        "import boto3, personalens\n"
        "personalens.activate(quiet=True)\n"
        'personalize = boto3.client("personalize")\n'
        'arn = personalize.create_dataset_group(name="films")["datasetGroupArn"]\n'
        "group = personalens.wait(personalize, arn)",
        "from personalens.notebook.progress import StatusLine\n"
        'with StatusLine("Solution version films/0a1b2c3d", shown=True) as line:\n'
        '    line.update("CREATE IN_PROGRESS", {"stage": "training", "fraction": 0.5})\n'
        '    line.finish("ACTIVE (1.0 s)")',
    )
    (done,) = run_labs([lab], "sample", tmp_path / "out")
    *_, group, version = outputs(done.executed)
    assert group == "Dataset group films: ACTIVE (0.0 s)\n"
    assert version == "Solution version films/0a1b2c3d: ACTIVE (1.0 s)\n"


def test_a_failing_lab_stops_the_run_and_shows_its_cell(write_lab, tmp_path):
    labs = [write_lab("x = 1\nx / 0"), write_lab("print(1)", name="01_next.ipynb")]
    with pytest.raises(LabFailed) as failure:
        list(run_labs(labs, "sample", tmp_path / "out"))
    message = str(failure.value)
    assert "Lab 00 · Tiny failed in cell 3" in message
    assert "    x = 1\n    x / 0" in message
    assert "ZeroDivisionError: division by zero" in message
    assert str(tmp_path / "out" / "00_tiny.ipynb") in message
    assert not (tmp_path / "out" / "01_next.ipynb").exists()


def test_the_command_exits_with_1_when_a_lab_fails(write_lab, tmp_path):
    for number in range(6):
        write_lab("raise RuntimeError('no luck')", name=f"{number:02d}_x.ipynb")
    out = str(tmp_path / "out")
    labs = str(tmp_path / "labs")
    done = run("personalens", "run", "--dataset", "sample", "--labs", labs, "--out", out)
    assert done.returncode == 1
    assert "RuntimeError: no luck" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_run_starts_afresh_but_deletes_nothing_of_others(write_lab, tmp_path):
    lab, out = write_lab("print(1)"), tmp_path / "out"
    (first,) = run_labs([lab], "sample", out)
    (out / "home").mkdir(exist_ok=True)
    (out / "home" / "left-over").touch()
    (second,) = run_labs([lab], "sample", out)
    assert outputs(second.executed) == outputs(first.executed)
    assert not (out / "home" / "left-over").exists()
    (out / "thesis.docx").touch()
    with pytest.raises(FileExistsError, match=r"holds thesis\.docx"):
        list(run_labs([lab], "sample", out))
    assert (out / "thesis.docx").exists()


def test_labs_are_found_by_number_and_missed_by_number(tmp_path):
    for number in range(5, -1, -1):
        (tmp_path / f"{number:02d}_lab.ipynb").touch()
    for name in ("draft.ipynb", "07_later.ipynb", "99_clean_up.ipynb"):
        (tmp_path / name).touch()
    main = [f"{number:02d}_lab.ipynb" for number in range(6)]
    assert [lab.name for lab in find_labs(tmp_path)] == main
    assert [lab.name for lab in find_labs(tmp_path, 7)] == [*main, "07_later.ipynb"]
    (tmp_path / "03_lab.ipynb").unlink()
    with pytest.raises(FileNotFoundError, match="no lab 03 in"):
        find_labs(tmp_path)


class TestChoosingTheDataSet:
    def test_movielens_where_it_is_at_hand(self, monkeypatch):
        monkeypatch.setattr(datasets, "load", lambda name: None)
        assert choose_dataset(None) == ("ml-latest-small", None)
        assert choose_dataset("ml-100k") == ("ml-100k", None)

    def test_the_sample_with_one_plain_line_where_it_is_not(self, monkeypatch):
        def refuse(name):
            raise datasets.DataUnavailable("no network")

        monkeypatch.setattr(datasets, "load", refuse)
        name, notice = choose_dataset(None)
        assert name == "sample"
        assert "\n" not in notice
        assert "embedded sample" in notice

    def test_what_was_asked_for_by_name_is_never_replaced(self, monkeypatch):
        def refuse(name):
            raise datasets.DataUnavailable("no network")

        monkeypatch.setattr(datasets, "load", refuse)
        with pytest.raises(datasets.DataUnavailable):
            choose_dataset("ml-100k")

    def test_an_unknown_name_is_answered_with_the_list(self):
        with pytest.raises(ValueError, match=r"'netflix'; choose one of ml-latest-small, .*sample"):
            choose_dataset("netflix")


def test_the_environment_is_as_it_was_after_a_run(write_lab, tmp_path, monkeypatch):
    monkeypatch.delenv("PERSONALENS_STRICT", raising=False)
    before = dict(lab_runner.os.environ)
    list(run_labs([write_lab("1")], "sample", tmp_path / "out"))
    assert dict(lab_runner.os.environ) == before


CLOCKS = (
    "import time, uuid\n"
    "print(f'Campaign films: ACTIVE ({time.time() % 10:.1f} s)')\n"
    "print(f'RID-{uuid.uuid4()}')",
    "from datetime import datetime, timezone\nprint(datetime.now(timezone.utc), object())",
    "import secrets\n"
    "print(f'arn:aws:personalize:us-east-1:123456789012:solution/films/{secrets.token_hex(4)}')\n"
    "print(f'Solution version lab-x-hrnn/{secrets.token_hex(4)}: ACTIVE (1.0 s)')",
    "from IPython.display import clear_output\n"
    "print('Catching up with lab 02: datasets ...\\nDataset group films: ACTIVE (0.0 s)')\n"
    "clear_output(wait=True)\n"
    "print('Lab 03 on sample: datasets (lab 02).')",
)


def test_reproduction_overlooks_the_clock_and_sees_every_result_that_changes(write_lab, tmp_path):
    (same,) = run_labs([write_lab(*CLOCKS)], "sample", tmp_path / "same")
    assert outputs(same.executed)[-1] == "Lab 03 on sample: datasets (lab 02).\n"
    changing = write_lab(
        "import random, secrets\nprint(f'NDCG@10 {random.SystemRandom().random():.4f}')",
        "print('film-' + secrets.token_hex(4))",
        "secrets.randbits(64)",
        name="04_changes.ipynb",
    )
    (other,) = run_labs([changing], "sample", tmp_path / "other")
    executed = [same.executed, other.executed]
    found = reproduce(executed, tmp_path / "home", tmp_path / "report.xml")
    assert found[same.executed.name] == ""
    assert found[other.executed.name].count("Cell outputs differ") == 3


def test_a_notebook_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "05_broken.ipynb").write_text("{")
    executed = [tmp_path / "05_broken.ipynb"]
    assert reproduce(executed, tmp_path / "home", tmp_path / "report.xml")["05_broken.ipynb"]
