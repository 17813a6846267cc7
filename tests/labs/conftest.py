"""Running labs as a learner's machine does: each run in a process and on a home of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LABS = sorted((ROOT / "labs").glob("[0-9][0-9]_*.ipynb"))
SECONDS = 900


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


@pytest.fixture(scope="session")
def reproduce(tmp_path_factory):
    """Return a function that compares notebooks' outputs with fresh ones, by nbval.

    All notebooks of one ``session`` share a fresh home, in the order of the calls, or the one that
    is named.
    """
    homes: dict[str, Path] = {}

    def compare(notebook: Path, session: str, home: Path | None = None, **variables: str) -> None:
        home = home or homes.setdefault(
            session, tmp_path_factory.mktemp(f"nbval-{session}") / "home"
        )
        done = run(
            "pytest",
            str(notebook),
            "--nbval",
            "--nbval-current-env",
            f"--nbval-sanitize-with={ROOT / 'tests' / 'sanitize.cfg'}",
            f"--nbval-cell-timeout={SECONDS}",
            f"--rootdir={ROOT}",
            "--quiet",
            "--no-header",
            "--tb=short",
            "-pno:cacheprovider",
            PERSONALENS_HOME=str(home),
            PERSONALENS_STRICT="1",
            **variables,
        )
        assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"

    return compare
