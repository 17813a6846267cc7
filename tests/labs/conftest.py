"""Running labs as a learner's machine does: each run in a process and on a home of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
LABS = sorted((ROOT / "labs").glob("[0-9][0-9]_*.ipynb"))
SECONDS = 1800


def clean_environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without what pytest's own fixtures have set in it."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PERSONALENS_", "AWS_", "OMP_", "PYTEST_"))
    }
    return {**kept, **variables}


def run(*arguments: str, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a Python module in this environment's interpreter and return how it ended."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=cwd,
        env=clean_environment(**variables),
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


def reproduce(
    notebooks: Sequence[Path], home: Path, report: Path, **variables: str
) -> dict[str, str]:
    """Run notebooks on a home, in their order, and compare their outputs with fresh ones, by nbval.

    Returns what differs or failed, by the name of the notebook. All run in one process, each in a
    kernel of its own.
    """
    done = run(
        "pytest",
        *map(str, notebooks),
        "--nbval",
        "--nbval-current-env",
        f"--nbval-sanitize-with={ROOT / 'tests' / 'sanitize.cfg'}",
        f"--nbval-cell-timeout={SECONDS}",
        f"--rootdir={ROOT}",
        f"--junitxml={report}",
        "--override-ini=junit_family=xunit1",  # names the file of each cell
        "--quiet",
        "--no-header",
        "--tb=short",
        "-pno:cacheprovider",
        PERSONALENS_HOME=str(home),
        PERSONALENS_STRICT="1",
        **variables,
    )
    found: dict[str, list[str]] = {}
    for cell in ElementTree.parse(report).iter("testcase") if report.exists() else ():
        name = Path(cell.get("file") or cell.get("name")).name
        texts = [each.text or "" for each in cell if each.tag in ("failure", "error")]
        found.setdefault(name, []).extend(f"{cell.get('name')}: {text}" for text in texts)
    everything = f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
    missing = {notebook.name: f"no cell of it ran:\n{everything}" for notebook in notebooks}
    return missing | {name: "\n".join(texts) for name, texts in found.items()}
