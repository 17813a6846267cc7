"""Every lab runs from top to bottom, and running it again gives what it gave before.

Three passes, each training its recipes once: ``personalens run`` on the sample (papermill), nbval
on the notebooks that it leaves, and, where MovieLens is at hand, nbval on the committed outputs.
"""

from __future__ import annotations

import re
from types import SimpleNamespace

import nbformat
import pytest

from personalens import lab_report

from .conftest import LABS, run

METRICS = (
    "coverage",
    "mean_reciprocal_rank_at_25",
    *(f"normalized_discounted_cumulative_gain_at_{k}" for k in (5, 10, 25)),
    *(f"precision_at_{k}" for k in (5, 10, 25)),
)
RECIPES = ("aws-popularity-count", "aws-sims", "aws-hrnn")


@pytest.fixture(scope="module")
def sample_run(tmp_path_factory):
    """The main job on the sample, as ``make run DATASET=sample`` does it, and the later labs."""
    out = tmp_path_factory.mktemp("sample") / "labs"
    done = run("personalens", "run", "--dataset", "sample", "--out", str(out), "--to", "99")
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return SimpleNamespace(out=out, stdout=done.stdout, stderr=done.stderr)


@pytest.mark.slow
def test_every_lab_is_executed_without_an_error(sample_run):
    executed = sorted(path.name for path in sample_run.out.glob("*.ipynb"))
    assert executed == [lab.name for lab in LABS]
    for name in executed:
        cells = nbformat.read(sample_run.out / name, as_version=4).cells
        code = [cell for cell in cells if cell.cell_type == "code"]
        assert all(cell.execution_count for cell in code), name
        injected = [c for c in code if "injected-parameters" in c.metadata.get("tags", [])]
        assert 'DATASET = "sample"' in injected[0].source


@pytest.mark.slow
def test_it_shows_three_recipes_against_every_metric(sample_run):
    for metric in METRICS:
        row = re.search(rf"^{metric}((?: +\d\.\d{{4}}){{3}})$", sample_run.stdout, re.MULTILINE)
        assert row, f"{metric} is not in:\n{sample_run.stdout}"
        assert all(0 <= float(value) <= 1 for value in row[1].split())
    heading = next(line for line in sample_run.stdout.splitlines() if "aws-hrnn" in line)
    assert all(recipe in heading for recipe in RECIPES)


@pytest.mark.slow
def test_it_shows_a_viewer_s_history_and_lists_with_titles(sample_run):
    text = sample_run.stdout
    assert re.search(r"^Viewer \S+: the newest films$", text, re.MULTILINE)
    lists = text.split("Recommended to viewer")[1].split("\n\n")[0].splitlines()[2:]
    assert len(lists) == lab_report.TOP_K
    assert all(re.match(r" *\d+ +\S.{10,}", line) for line in lists)
    assert "[film-" not in text, "an item without a title"


@pytest.mark.slow
def test_it_says_what_took_how_long_and_where_the_notebooks_are(sample_run):
    steps = sample_run.stdout.split("\nSeconds\n")[1]
    names = ["import, ", "first recommendation, aws-hrnn", "Lab 00", "Lab 05"]
    names += [f"CSV to first recommendation, {recipe}" for recipe in RECIPES]
    names += [f"training, {recipe}" for recipe in RECIPES]
    for name in names:
        assert re.search(rf"^  {name}.*\d\.\d s$", steps, re.MULTILINE), f"{name} not in {steps}"
    assert f"Executed notebooks: {sample_run.out}" in sample_run.stdout


@pytest.mark.slow
def test_each_lab_has_a_progress_bar_that_reaches_its_end(sample_run):
    for lab in LABS:
        assert re.search(rf"Lab {lab.name[:2]} · .*100%", sample_run.stderr)


@pytest.mark.slow
@pytest.mark.parametrize("name", [lab.name for lab in LABS])
def test_executed_labs_reproduce_their_outputs(sample_run, reproduce, name):
    reproduce(sample_run.out / name, "sample")


@pytest.mark.slow
@pytest.mark.movielens
@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.stem)
def test_committed_outputs_reproduce(movielens_folder, reproduce, lab):
    reproduce(lab, "committed", PERSONALENS_DATA=str(movielens_folder))
