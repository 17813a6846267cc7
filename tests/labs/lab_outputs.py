"""Execute the labs and commit what they show: ``python -m tests.labs.lab_outputs 04 05``.

Without numbers all labs are written again. The labs before the last one asked for are executed too,
on one fresh home, as a learner would meet them; only those asked for are written back.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path

import nbformat

from personalens.cli.lab_runner import DEFAULT_DATASET, all_labs, execute_lab, kernel_environment
from personalens.home import HOME_VARIABLE

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def finished(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return an executed notebook as it is committed: without papermill's notes, and of a line that
    was written over again and again (a progress bar) the last state."""
    notebook = nbformat.from_dict({**notebook, "metadata": NOTEBOOK_METADATA})
    for cell in notebook.cells:
        for note in ("papermill", "execution"):
            cell.metadata.pop(note, None)
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                output.text = last_states(output.text)
    return notebook


def last_states(text: str) -> str:
    r"""Return what a terminal would show in the end.

    >>> last_states("0 %\r50 %\r100 %\r\ndone\n")
    '100 %\ndone\n'
    """
    lines = []
    for line in text.split("\n"):
        *_, last = [state for state in line.split("\r") if state.strip()] or [""]
        lines.append(last if "\r" in line else line)
    return "\n".join(lines)


def execute(labs: list[Path], wanted: set[str], tree: Path) -> None:
    """Execute ``labs`` in order in a copy of the tree; write back those whose number is wanted."""
    (tree / "labs").mkdir()
    shutil.copy(ROOT / "pyproject.toml", tree)  # marks the root, where the home will lie
    for lab in labs:
        started = time.perf_counter()
        executed = tree / "labs" / lab.name
        execute_lab(lab, executed, {}, lab.stem, folder=executed.parent)
        if lab.name[:2] in wanted:
            notebook = finished(nbformat.read(executed, as_version=4))
            nbformat.validate(notebook)
            nbformat.write(notebook, lab)
        print(f"{lab.name}: {time.perf_counter() - started:.1f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("labs", nargs="*", metavar="NN", help="numbers; default: all")
    wanted = set(parser.parse_args().labs)
    labs = all_labs(ROOT / "labs")
    wanted = wanted or {lab.name[:2] for lab in labs}
    labs = [lab for lab in labs if lab.name[:2] <= max(wanted)]
    with tempfile.TemporaryDirectory() as tree:
        os.environ |= kernel_environment(None)
        os.environ.pop(HOME_VARIABLE, None)
        print(f"{DEFAULT_DATASET}, labs {', '.join(lab.name[:2] for lab in labs)}")
        execute(labs, wanted, Path(tree))


if __name__ == "__main__":
    main()
