"""Every lab keeps every rule; and every rule notices when it is broken."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tests.labs import lab_style

ROOT = Path(__file__).resolve().parents[2]
LABS = sorted((ROOT / "labs").glob("[0-9][0-9]_*.ipynb"))


@pytest.mark.parametrize("rule", lab_style.RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.stem)
def test_lab_keeps_the_rule(lab, rule):
    assert rule(nbformat.read(lab, as_version=4)) == []


def test_labs_00_to_05_are_there_and_numbered_as_they_say():
    assert [lab.name[:2] for lab in LABS][:6] == ["00", "01", "02", "03", "04", "05"]
    for lab in LABS:
        first = nbformat.read(lab, as_version=4).cells[0].source
        assert re.match(r"# Lab (\d\d)", first)[1] == lab.name[:2]


def good_lab():
    """Return the smallest notebook that keeps every rule but the one on the number of cells."""
    cells = [
        new_markdown_cell("# Lab 42 · A lab\n\nOne sentence."),
        new_markdown_cell("## What you will learn\n\n## Before you start\n\n## Parameters"),
        new_code_cell('DATASET = "sample"', metadata={"tags": ["parameters"]}),
        new_markdown_cell("## Setup"),
        new_code_cell("plot()", outputs=[new_output("display_data", {"image/png": "iVBORw0="})]),
        new_markdown_cell("**Read it.** The curve falls, fast at first and then ever more slowly."),
        new_markdown_cell("## Exercises\n\n### Exercise 42.1 (5 min)"),
        new_code_cell("answer = None"),
        new_code_cell(
            "answer = 42",
            metadata={"tags": ["solution"], "jupyter": {"source_hidden": True}},
            outputs=[new_output("stream", text="42\n")],
        ),
        new_markdown_cell("## Look inside\n\n## On real AWS\n\n## What you learned"),
    ]
    cells += [new_markdown_cell("Some more words.") for _ in range(2)]
    cells += [new_code_cell("1") for _ in range(8)]
    notebook = new_notebook(cells=cells)
    code = [cell for cell in cells if cell.cell_type == "code"]
    for count, cell in enumerate(code, start=1):
        cell.execution_count = count
    return notebook


def test_a_good_lab_breaks_nothing():
    notebook = good_lab()
    assert {rule.__name__: rule(notebook) for rule in lab_style.RULES} == {
        rule.__name__: [] for rule in lab_style.RULES
    }


def set_source(position, source):
    def breaks(notebook):
        notebook.cells[position].source = source

    return breaks


def add_output(output):
    def breaks(notebook):
        notebook.cells[7].outputs.append(output)

    return breaks


def forget_a_run(notebook):
    notebook.cells[7].execution_count = None


def drop_all_outputs(notebook):
    for cell in notebook.cells:
        cell.outputs = []


def unfold_the_solution(notebook):
    notebook.cells[8].metadata.pop("jupyter")


def untag_parameters(notebook):
    notebook.cells[2].metadata.clear()


def double_an_id(notebook):
    notebook.cells[3].id = notebook.cells[4].id


def drop_the_sentence(notebook):
    del notebook.cells[5]


def keep_papermill_metadata(notebook):
    notebook.metadata["papermill"] = {"output_path": "x"}


WIDGET = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}}
BREAKAGES = [
    ("title", set_source(0, "# A lab")),
    ("title", set_source(3, "# Setup")),
    ("heading_levels", set_source(3, "#### Setup")),
    ("sections", set_source(3, "## Set-up")),
    ("parameters_cell", untag_parameters),
    ("parameters_cell", set_source(2, "SEED = 1")),
    ("parameters_cell", set_source(2, 'DATASET = "sample"\n' + "x = 1\n" * 8)),
    ("size", set_source(7, "x = 1\n" * 26)),
    ("size", set_source(0, "# Lab 42 · A lab\n" + "word " * 15_000)),
    ("executed", forget_a_run),
    ("executed", drop_all_outputs),
    ("executed", add_output(new_output("error", ename="E", evalue="", traceback=[]))),
    ("clean_outputs", add_output(new_output("stream", name="stderr", text="warning"))),
    ("clean_outputs", add_output(new_output("stream", text="50%\r100%\n"))),
    ("clean_outputs", add_output(new_output("display_data", WIDGET))),
    ("clean_outputs", keep_papermill_metadata),
    ("values_are_named", set_source(7, "plot();\n")),
    ("no_absolute_paths", set_source(7, 'open("/home/ann/x.csv")')),
    ("no_absolute_paths", add_output(new_output("stream", text="see file:///tmp/x"))),
    ("no_absolute_paths", add_output(new_output("display_data", {"text/html": "/root/x"}))),
    ("plots_have_words", drop_the_sentence),
    ("plots_have_words", set_source(10, "![](a.png)")),
    ("plots_have_words", set_source(10, "[here](a.md)")),
    ("exercises", unfold_the_solution),
    ("exercises", set_source(6, "## Exercises\n\n### Exercise 42.1")),
    ("exercises", set_source(6, "## Exercises")),
    ("cell_ids", double_an_id),
]


@pytest.mark.parametrize(("rule", "breakage"), BREAKAGES)
def test_a_rule_notices_what_breaks_it(rule, breakage):
    notebook = good_lab()
    breakage(notebook)
    assert getattr(lab_style, rule)(notebook) != []
