"""Every lab runs from top to bottom, and running it again gives what it gave before.

Passes: ``personalens run`` on the sample (papermill), nbval on the notebooks and the home that it
leaves, and, where ``PERSONALENS_TEST_INSTALLS=1`` asks for what takes minutes, the labs in reverse
order. test_lab_runs_committed.py compares the committed outputs, at the same time.
"""

from __future__ import annotations

import os
import re
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from personalens.cli import lab_report
from personalens.cli.lab_runner import run_labs

from .conftest import LABS, ROOT, clean_environment, reproduce, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # all labs run in one fixture

METRICS = (
    "coverage",
    "mean_reciprocal_rank_at_25",
    *(f"normalized_discounted_cumulative_gain_at_{k}" for k in (5, 10, 25)),
    *(f"precision_at_{k}" for k in (5, 10, 25)),
)
RECIPES = ("aws-popularity-count", "aws-sims", "aws-hrnn")
*MADE, CLEAN_UP = LABS
SHOWN_OTHERWISE = {
    "00": {"list-recipes"},  # counts a recipe that lab 09 has registered
    "02": {"in-use", "ex2-solution"},  # the schemas and datasets of later labs, too
    "03": {"jobs"},  # the job of its own exercise, too
    "09": {"version"},  # trains on the events of lab 11, too
    "11": {"one", "check-b", "who-follows"},  # its viewer has gone on watching, as the lab says
}
"""Cells by lab that show what there is, and so may show more when a lab is run again."""
SPOIL_THE_ANSWERS = f"""\
import sys
sys.path.insert(0, {str(ROOT)!r})
from tests.wrong_answers import watch_the_checks
watch_the_checks()"""


@pytest.fixture(scope="module")
def sample_run(tmp_path_factory):
    """The main job on the sample, as ``make run DATASET=sample`` does it, and the later labs.

    Without the last one, which would take away what the others find when they are run again.
    """
    out = tmp_path_factory.mktemp("sample") / "labs"
    done = run("personalens", "run", "--dataset", "sample", "--out", str(out), "--to", "98")
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return SimpleNamespace(out=out, stdout=done.stdout, stderr=done.stderr)


def test_every_lab_is_executed_without_an_error(sample_run):
    executed = sorted(path.name for path in sample_run.out.glob("*.ipynb"))
    assert executed == [lab.name for lab in MADE]
    for name in executed:
        cells = nbformat.read(sample_run.out / name, as_version=4).cells
        code = [cell for cell in cells if cell.cell_type == "code"]
        assert all(cell.execution_count for cell in code), name
        injected = [c for c in code if "injected-parameters" in c.metadata.get("tags", [])]
        assert 'DATASET = "sample"' in injected[0].source


def test_it_shows_three_recipes_against_every_metric(sample_run):
    for metric in METRICS:
        row = re.search(rf"^{metric}((?: +\d\.\d{{4}}){{3}})$", sample_run.stdout, re.MULTILINE)
        assert row, f"{metric} is not in:\n{sample_run.stdout}"
        assert all(0 <= float(value) <= 1 for value in row[1].split())
    heading = next(line for line in sample_run.stdout.splitlines() if "aws-hrnn" in line)
    assert all(recipe in heading for recipe in RECIPES)


def test_it_shows_a_viewer_s_history_and_lists_with_titles(sample_run):
    text = sample_run.stdout
    assert re.search(r"^Viewer \S+: the newest films$", text, re.MULTILINE)
    lists = text.split("Recommended to viewer")[1].split("\n\n")[0].splitlines()[2:]
    assert len(lists) == lab_report.TOP_K
    assert all(re.match(r" *\d+ +\S.{10,}", line) for line in lists)
    assert "[film-" not in text, "an item without a title"


def test_it_says_what_took_how_long_and_where_the_notebooks_are(sample_run):
    steps = sample_run.stdout.split("\nSeconds\n")[1]
    names = ["import, ", "first recommendation, aws-hrnn", "Lab 00", "Lab 05"]
    names += [f"CSV to first recommendation, {recipe}" for recipe in RECIPES]
    names += [f"training, {recipe}" for recipe in RECIPES]
    for name in names:
        assert re.search(rf"^  {name}.*\d\.\d s$", steps, re.MULTILINE), f"{name} not in {steps}"
    assert f"Executed notebooks: {sample_run.out}" in sample_run.stdout


def test_each_lab_has_a_progress_bar_that_reaches_its_end(sample_run):
    for lab in MADE:
        assert re.search(rf"Lab {lab.name[:2]} · .*100%", sample_run.stderr)


def spoiled(executed, folder):
    """Return a copy of an executed lab that is compared with itself when it runs again.

    Its first cell has every answer that a check finds right spoiled, to see it refused.
    """
    notebook = nbformat.read(executed, as_version=4)
    ignored = {"tags": ["nbval-ignore-output"]}
    for cell in notebook.cells:
        if cell.id in SHOWN_OTHERWISE.get(executed.name[:2], ()):
            cell.metadata.update(ignored)
    notebook.cells.insert(0, new_code_cell(SPOIL_THE_ANSWERS, metadata=ignored))
    nbformat.write(notebook, folder / executed.name)
    return folder / executed.name


@pytest.fixture(scope="module")
def second_run(sample_run, tmp_path_factory):
    """Each lab once more on the home where it ran: what differs, by its name."""
    folder = tmp_path_factory.mktemp("again")
    again = [spoiled(sample_run.out / lab.name, folder) for lab in MADE]
    return reproduce(again, sample_run.out / "home", folder / "report.xml")


@pytest.mark.parametrize("name", [lab.name for lab in MADE])
def test_a_lab_runs_again_and_takes_no_wrong_answer(second_run, name):
    assert not second_run[name], second_run[name]


def test_the_last_lab_cleans_up_what_the_others_have_made_and_runs_again(
    second_run, sample_run, tmp_path
):
    executed = sample_run.out / CLEAN_UP.name
    done = run(
        "papermill",
        *("--parameters", "DATASET", "sample", "--kernel", "python3", "--cwd", str(ROOT / "labs")),
        *(str(CLEAN_UP), str(executed)),
        PERSONALENS_HOME=str(sample_run.out / "home"),
        PERSONALENS_STRICT="1",
    )
    assert done.returncode == 0, done.stderr[-4000:]
    again = spoiled(executed, tmp_path)
    found = reproduce([again], sample_run.out / "home", tmp_path / "report.xml")
    assert not found[CLEAN_UP.name], found[CLEAN_UP.name]


def test_the_labs_run_in_reverse_order(tmp_path, monkeypatch):
    """Each is opened first, or after labs that come later."""
    if os.environ.get("PERSONALENS_TEST_INSTALLS") != "1":
        pytest.skip("runs all labs once more: set PERSONALENS_TEST_INSTALLS=1")
    for name in set(os.environ) - set(clean_environment()) - {"PYTEST_CURRENT_TEST"}:
        monkeypatch.delenv(name)
    done = [each.executed.name for each in run_labs(LABS[::-1], "sample", tmp_path / "labs")]
    assert done == [lab.name for lab in LABS[::-1]]
