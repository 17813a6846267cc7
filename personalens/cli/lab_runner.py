"""The main job, ``personalens run``: execute the labs one after another on one data set.

Each run starts from an empty home of its own beside the executed notebooks, so everything is
imported and trained every time, and a learner's own home is never touched.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from personalens import datasets
from personalens.datasets.releases import DATA_VARIABLE, NAMES, SAMPLE
from personalens.environment import environment
from personalens.home import HOME_VARIABLE, Home
from personalens.notebook.checks import STRICT_VARIABLE

DEFAULT_DATASET = "ml-latest-small"
LAST_MAIN_LAB = 5
HOME_FOLDER = "home"
_LEFTOVERS = frozenset({HOME_FOLDER, ".ipynb_checkpoints"})
_NUMBERED = re.compile(r"(\d\d)_.+\.ipynb")
_BAR = "{desc:<42.42} {percentage:3.0f}%|{bar:20}| {n_fmt}/{total_fmt} cells, {elapsed}"


class LabFailed(Exception):
    """A lab did not run to its end; the message shows the cell, its error and the notebook."""


@dataclass(frozen=True)
class LabRun:
    """A lab that ran: which one, where the executed notebook lies, how long it took."""

    title: str
    executed: Path
    seconds: float


def choose_dataset(name: str | None) -> tuple[str, str | None]:
    """Return the data set to run on, and a line that says so where the sample stands in for it.

    Without a name it is ml-latest-small if that is at hand or can be downloaded in a few seconds,
    else the embedded sample.
    """
    if name and name not in NAMES:
        raise ValueError(f"there is no data set {name!r}; choose one of {', '.join(NAMES)}")
    if name == SAMPLE:
        return SAMPLE, None
    try:
        datasets.load(name or DEFAULT_DATASET)
    except datasets.DataUnavailable:
        if name:
            raise
        return SAMPLE, (
            f"MovieLens {DEFAULT_DATASET} is neither on this machine nor to be downloaded now: the "
            "labs run on the embedded sample, real films with simulated viewers."
        )
    return name or DEFAULT_DATASET, None


def find_labs(folder: Path, last: int = LAST_MAIN_LAB) -> list[Path]:
    """Return the notebooks up to a number, in order."""
    found = {int(path.name[:2]): path for path in all_labs(folder)}
    wanted = range(min(last, LAST_MAIN_LAB) + 1)
    if missing := [number for number in wanted if number not in found]:
        raise FileNotFoundError(
            f"no lab {', '.join(f'{number:02d}' for number in missing)} in {folder}: run this in "
            "the root of the working tree, or name the folder with --labs"
        )
    return [path for number, path in found.items() if number <= last]


def all_labs(folder: Path) -> list[Path]:
    """Return every notebook with a number, in order."""
    return sorted(path for path in folder.glob("*.ipynb") if _NUMBERED.fullmatch(path.name))


def run_labs(labs: Iterable[Path], dataset: str, out: Path) -> Iterator[LabRun]:
    """Execute labs with papermill into ``out``, which is emptied first; yield each as it ends.

    The data set goes into each one's ``parameters`` cell, the home into ``out/home``. LabFailed is
    raised at the first cell that raises.
    """
    _empty(out)
    for lab in labs:
        started = time.perf_counter()
        title = lab_title(lab)
        with environment(kernel_environment(Home(out / HOME_FOLDER))):
            execute_lab(lab, out / lab.name, {"DATASET": dataset}, title)
        yield LabRun(title, out / lab.name, time.perf_counter() - started)


def lab_title(lab: Path) -> str:
    """Return the notebook's first heading without its mark."""
    import nbformat

    notebook = nbformat.read(lab, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and cell.source.startswith("# "):
            return cell.source.splitlines()[0].removeprefix("# ")
    return lab.stem


def kernel_environment(home: Home | None) -> dict[str, str]:
    """Return the variables that a lab's kernel needs beside those of this process. Without a home
    it finds its own, in the root of the tree that it runs in."""
    environment = {
        STRICT_VARIABLE: "1",
        # This environment's own kernel, even where the user has a "python3" kernel of another.
        "JUPYTER_PREFER_ENV_PATH": "1",
    }
    if home is not None:
        environment[HOME_VARIABLE] = str(home.path.resolve())
    if data := os.environ.get(DATA_VARIABLE):
        environment[DATA_VARIABLE] = str(Path(data).expanduser().resolve())
    return environment


def execute_lab(
    lab: Path,
    target: Path,
    parameters: Mapping[str, str],
    title: str,
    *,
    folder: Path | None = None,
) -> None:
    """Execute one notebook into ``target``, with ``title`` on its progress bar.

    The kernel runs in ``folder``, by default the lab's own. LabFailed says which cell has raised.
    """
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    try:
        papermill.execute_notebook(
            lab,
            target,
            dict(parameters),
            cwd=folder or lab.parent,
            kernel_name="python3",
            coalesce_streams=True,
            extra_arguments=["--IPKernelApp.log_level=ERROR"],
            progress_bar={"desc": title, "bar_format": _BAR, "file": sys.stderr},
        )
    except PapermillExecutionError as error:
        source = "\n".join(f"    {line}" for line in error.source.splitlines())
        raise LabFailed(
            f"{title} failed in cell {error.cell_index}:\n\n{source}\n\n"
            f"{error.ename}: {error.evalue}\n\nThe whole traceback is in {target}"
        ) from error
    except (DeadKernelError, CellTimeoutError) as error:
        raise LabFailed(f"{title} failed: {error}\nWhat ran until then is in {target}") from error


def _empty(out: Path) -> None:
    """Make ``out`` an empty folder; refuse to delete what a run cannot have left there."""
    if out.exists():
        for name in (path.name for path in out.iterdir()):
            if name not in _LEFTOVERS and not _NUMBERED.fullmatch(name):
                raise FileExistsError(
                    f"{out} holds {name}, which no run has left there: name an empty folder"
                )
        shutil.rmtree(out)
    out.mkdir(parents=True)
