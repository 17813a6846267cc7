"""Learner copies of the labs: the same notebooks without outputs, for a learner to write into.

The notebooks in ``labs/`` are the source. They are committed as they ran, with the outputs of the
solutions. A copy has no outputs, so it shows no answer before the learner has tried. A copy that a
learner has written into is never replaced; one that nobody has touched follows its source.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from personalens import durable_files
from personalens.cli.lab_runner import all_labs

RECORD = ".copies.json"
"""Which copies this machine has made: the checksum of each, by its name."""

_COLAB = """\
# On Google Colab this installs PersonaLens. Elsewhere the cell does nothing.
import sys

if "google.colab" in sys.modules:
    %pip install --quiet "personalens @ git+{url}"
"""
_CLOSING = """\
# The checks that you have done. The button ends this notebook's kernel and frees its memory.
lab.close()
"""
CLOSING_TAG = "closing"
_ORIGIN = r"(?:https://(?:[^@/]+@)?|git@|ssh://git@)([\w.-]+)[:/](.+?)(?:\.git)?"


@dataclass(frozen=True)
class Copies:
    """What became of the copies, by the names of their files."""

    made: tuple[str, ...]
    kept: tuple[str, ...]  # a learner has written into them


def copy_labs(labs: Path, folder: Path) -> Copies:
    """Copy the labs into a folder, where nobody has written into them yet."""
    folder.mkdir(parents=True, exist_ok=True)
    record = _read_record(folder / RECORD)
    url, made, kept = repository_url(labs), [], []
    for lab in all_labs(labs):
        target = folder / lab.name
        if target.exists() and record.get(lab.name) != durable_files.checksum(target):
            kept.append(lab.name)
            continue
        copy = learner_copy(nbformat.read(lab, as_version=4), labs, folder, url)
        durable_files.write_text(target, nbformat.writes(copy) + "\n")
        record[lab.name] = durable_files.checksum(target)
        made.append(lab.name)
    durable_files.write_json(folder / RECORD, record)
    return Copies(tuple(made), tuple(kept))


def learner_copy(
    notebook: NotebookNode, labs: Path, folder: Path, url: str | None = None
) -> NotebookNode:
    """Return a lab as a learner opens it.

    Outputs and what is for the instructor are gone, solutions are folded, pictures are found from
    the folder of the copy. A cell for Colab comes second, if the repository's address is known, and
    a closing cell last.
    """
    images = f"{_way(folder, labs)}/images/"
    cells = []
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if "instructor" in tags:
            continue
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            if "solution" in tags:
                cell.metadata["jupyter"] = {"source_hidden": True, "outputs_hidden": True}
        else:
            cell.source = re.sub(r'(?<=\()images/|(?<=src=")images/', images, cell.source)
        cells.append(cell)
    if url is not None:
        cells.insert(1, _code(_COLAB.format(url=url), "colab"))
    cells.append(_code(_CLOSING, CLOSING_TAG))
    notebook.cells = cells
    return notebook


def repository_url(folder: Path) -> str | None:
    """Return the address of the repository's origin as Colab and Binder read it: https, without
    the user; None where there is none."""
    command = ["git", "-C", str(folder), "remote", "get-url", "origin"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    found = re.fullmatch(_ORIGIN, said)
    return None if found is None else f"https://{found[1]}/{found[2]}"


def _way(start: Path, target: Path) -> str:
    """Return the relative path between two folders, with slashes."""
    return Path(os.path.relpath(target.resolve(), start.resolve())).as_posix()


def _code(source: str, tag: str) -> NotebookNode:
    cell = nbformat.v4.new_code_cell(source.rstrip("\n"), id=tag)
    cell.metadata["tags"] = [tag]
    return cell


def _read_record(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):  # none yet, or damaged: then every copy counts as a learner's own
        return {}
