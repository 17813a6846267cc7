"""The rules that every lab keeps, each a function from a notebook to what breaks it.

A lab is read in one sitting, by people who use a screen reader too, and its committed outputs are
compared with fresh ones. Whoever writes a lab can ask before the tests do.

Examples
--------
>>> import nbformat
>>> cells = [nbformat.v4.new_markdown_cell("# Lab 07 · New films\\n\\n### Too deep")]
>>> heading_levels(nbformat.v4.new_notebook(cells=cells))
['heading level jumps from 1 to 3 at "Too deep"']
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Callable, Iterator
from typing import Any

Notebook = Any
"""An ``nbformat`` notebook node."""

SECTIONS = (
    "What you will learn",
    "Before you start",
    "Parameters",
    "Setup",
    "Exercises",
    "Look inside",
    "On real AWS",
    "What you learned",
)
MAX_PARAMETER_LINES = 8
MEDIAN_LINES, P90_LINES, MAX_LINES = 5, 12, 25
CELLS = (20, 45)
PROSE_SHARE = (0.35, 0.65)
MAX_SOURCE_BYTES, MAX_FILE_BYTES = 60_000, 1_000_000

_ABSOLUTE_PATH = re.compile(
    r"(?<![\w:/.<])(?:file://)?/(?:root|home|tmp|work|var|usr|opt|mnt|Users)/\w|\b[A-Z]:\\\\"
)
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#{1,6}) +(.+)$", re.MULTILINE)
_VAGUE_LINKS = {"here", "this", "link", "click here", "this page", "more"}


def title(notebook: Notebook) -> list[str]:
    """The lab opens with its only H1, ``# Lab NN · Title``."""
    tops = [text for level, text in _headings(notebook) if level == 1]
    first = notebook.cells[0].source if notebook.cells else ""
    if len(tops) != 1 or not re.match(r"# Lab \d\d · \S", first):
        return [f'a lab opens with its only H1, "# Lab NN · Title"; the H1s are {tops}']
    return []


def heading_levels(notebook: Notebook) -> list[str]:
    """Headings never skip a level, so that they can be walked by ear."""
    problems, before = [], 0
    for level, text in _headings(notebook):
        if level > before + 1:
            problems.append(f'heading level jumps from {before} to {level} at "{text}"')
        before = level
    return problems


def sections(notebook: Notebook) -> list[str]:
    """The frame that all labs share is there."""
    have = {text for _, text in _headings(notebook)}
    return [f'there is no section "{name}"' for name in SECTIONS if name not in have]


def parameters_cell(notebook: Notebook) -> list[str]:
    """The first code cell is tagged ``parameters`` and sets DATASET in a few lines."""
    code = _code(notebook)
    tagged = [cell for cell in code if "parameters" in _tags(cell)]
    if len(tagged) != 1 or tagged[0] is not code[0]:
        return ["exactly the first code cell is tagged parameters"]
    lines = tagged[0].source.splitlines()
    problems = []
    if len(lines) > MAX_PARAMETER_LINES:
        problems.append(
            f"the parameters cell has {len(lines)} lines, {MAX_PARAMETER_LINES} at most"
        )
    if not any(line.startswith("DATASET = ") for line in lines):
        problems.append("the parameters cell does not set DATASET")
    return problems


def _lines(cell: Any) -> list[str]:
    """Return the lines of a code cell, but for the neutral first line of a folded solution."""
    lines = cell.source.splitlines()
    return lines[1:] if "solution" in cell.metadata.get("tags", []) else lines


def size(notebook: Notebook) -> list[str]:
    """Cells are few and short, prose and code balance, and the file stays small."""
    code = _code(notebook)
    lengths = sorted(len(_lines(cell)) for cell in code)
    prose = 1 - len(code) / len(notebook.cells)
    sources = sum(len(cell.source.encode()) for cell in notebook.cells)
    whole = len(json.dumps(notebook).encode())
    measures = [
        ("cells", len(notebook.cells), *CELLS),
        ("share of prose cells", round(prose, 2), *PROSE_SHARE),
        ("median lines of a code cell", statistics.median(lengths), 0, MEDIAN_LINES),
        ("90th percentile of lines", lengths[int(0.9 * (len(lengths) - 1))], 0, P90_LINES),
        ("lines of the longest code cell", lengths[-1], 0, MAX_LINES),
        ("bytes of text and code", sources, 0, MAX_SOURCE_BYTES),
        ("bytes of the file", whole, 0, MAX_FILE_BYTES),
    ]
    return [
        f"{what}: {value}, should be {least} to {most}"
        for what, value, least, most in measures
        if not least <= value <= most
    ]


def executed(notebook: Notebook) -> list[str]:
    """Outputs are committed, from one run from top to bottom without an error."""
    counts = [cell.get("execution_count") for cell in _code(notebook)]
    problems = []
    if counts != list(range(1, len(counts) + 1)):
        problems.append(f"cells were not run once from top to bottom: counts {counts}")
    kinds = {output.output_type for cell in _code(notebook) for output in cell.outputs}
    if "error" in kinds:
        problems.append("a committed cell ends in an error")
    if not kinds:
        problems.append("there are no committed outputs")
    return problems


def clean_outputs(notebook: Notebook) -> list[str]:
    """No warnings, no dead widgets, no half-drawn progress bars, no scratch metadata."""
    problems = []
    for cell in _code(notebook):
        where = f"in cell {cell.get('id')}"
        if "raises-exception" in _tags(cell):
            problems.append(f"raises-exception {where}: papermill stops there")
        for output in cell.outputs:
            if output.get("name") == "stderr":
                problems.append(f"text on stderr {where}: {output.text[:80]!r}")
            if "\r" in str(output.get("text", "")):
                problems.append(f"a progress bar was kept {where}")
            if "application/vnd.jupyter.widget-view+json" in output.get("data", {}):
                problems.append(f"a widget {where} that is dead when the file is opened again")
    if "papermill" in notebook.metadata:
        problems.append("papermill's metadata names this machine's paths and times: drop it")
    return problems


def values_are_named(notebook: Notebook) -> list[str]:
    """No cell hides its value by a last semicolon: nbval runs cells without history, and there
    IPython does not see it. Give the value a name, ``ax = plots.rank_curve(...)``, or use it.
    """
    return [
        f"a semicolon at the end of cell {cell.get('id')}: give the value a name instead"
        for cell in _code(notebook)
        if cell.source.rstrip().endswith(";")
    ]


def no_absolute_paths(notebook: Notebook) -> list[str]:
    """Neither sources nor outputs name folders of one machine."""
    problems = []
    for cell in notebook.cells:
        texts = [cell.source]
        for output in cell.get("outputs", []):
            texts += [output.get("text", ""), *_texts(output.get("data", {}))]
        found = {match for text in texts for match in _ABSOLUTE_PATH.findall(text)}
        problems += [f"absolute path {path!r} in cell {cell.get('id')}" for path in sorted(found)]
    return problems


def plots_have_words(notebook: Notebook) -> list[str]:
    """Below each plot stands what is to be seen in it; images and links say what they are."""
    problems = []
    for cell, after in zip(notebook.cells, [*notebook.cells[1:], None], strict=True):
        has_plot = any("image/png" in o.get("data", {}) for o in cell.get("outputs", []))
        if has_plot and (after is None or not _is_prose(after)):
            problems.append(f"no sentence says what the plot of cell {cell.get('id')} shows")
    for alt, _ in re.findall(r"!\[([^\]]*)\]\(([^)]*)\)", _prose(notebook)):
        if len(alt.split()) < 2:
            problems.append(f"an image has {alt!r} for alternative text")
    for text in re.findall(r"(?<!!)\[([^\]]+)\]\([^)]+\)", _prose(notebook)):
        if text.strip().lower() in _VAGUE_LINKS:
            problems.append(f"link text {text!r} does not say where it goes")
    return problems


def exercises(notebook: Notebook) -> list[str]:
    """Every exercise has its minutes, and a folded solution that runs."""
    named = [text for _, text in _headings(notebook) if text.startswith("Exercise ")]
    solutions = [cell for cell in _code(notebook) if "solution" in _tags(cell)]
    problems = [
        f'"{text}" should read "Exercise N.M (5 min)"'
        for text in named
        if not re.fullmatch(r"Exercise \d+\.\d+ \(\d+ min\)", text)
    ]
    if not named or len(solutions) != len(named):
        problems.append(f"{len(named)} exercises, {len(solutions)} cells tagged solution")
    problems += [
        f"the solution {cell.get('id')} is not folded away (jupyter.source_hidden)"
        for cell in solutions
        if not cell.metadata.get("jupyter", {}).get("source_hidden")
    ]
    return problems


def cell_ids(notebook: Notebook) -> list[str]:
    """Cells have ids of their own: translations and diffs go by them."""
    ids = [cell.get("id") for cell in notebook.cells]
    twice = sorted({str(name) for name in ids if ids.count(name) > 1})
    return [f"cell id {name} is missing or used twice" for name in twice]


RULES: tuple[Callable[[Notebook], list[str]], ...] = (
    title,
    heading_levels,
    sections,
    parameters_cell,
    size,
    executed,
    clean_outputs,
    values_are_named,
    no_absolute_paths,
    plots_have_words,
    exercises,
    cell_ids,
)


def _code(notebook: Notebook) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _tags(cell: Any) -> list[str]:
    return cell.metadata.get("tags", [])


def _prose(notebook: Notebook) -> str:
    """Return the text of all markdown cells without fenced code."""
    cells = (cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return "\n\n".join(_FENCE.sub("", source) for source in cells)


def _headings(notebook: Notebook) -> Iterator[tuple[int, str]]:
    for marks, text in _HEADING.findall(_prose(notebook)):
        yield len(marks), text.strip()


def _is_prose(cell: Any) -> bool:
    text = re.sub(r"^#.*$", "", cell.source, flags=re.MULTILINE)
    return cell.cell_type == "markdown" and len(text.split()) >= 8


def _texts(bundle: dict[str, Any]) -> list[str]:
    return [str(value) for kind, value in bundle.items() if not kind.startswith("image/")]
