"""What holds for every test and doctest: no AWS, no home of the learner's, few threads."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent

# Before numpy or torch start their thread pools. Tests' worlds are tiny: more threads only wait for
# one another. The labs' kernels are given their own number.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Tests may run in another folder, so a relative PERSONALENS_DATA is made absolute once.
if value := os.environ.get("PERSONALENS_DATA"):
    os.environ["PERSONALENS_DATA"] = str(Path(value).expanduser().resolve())


@pytest.fixture(autouse=True)
def home_of_its_own(tmp_path_factory, monkeypatch):
    """A test that uses the default home gets a new one, and nothing stays activated after it."""
    monkeypatch.setenv("PERSONALENS_HOME", str(tmp_path_factory.mktemp("default-home")))
    for name in ("PERSONALENS_STRICT", "PERSONALENS_JOBS", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    yield
    if activation := sys.modules.get("personalens.activation"):
        activation.deactivate()


@pytest.fixture
def inline_jobs(monkeypatch):
    """Imports and trainings run inside the call that asks for them."""
    monkeypatch.setenv("PERSONALENS_JOBS", "inline")


@pytest.fixture(scope="session")
def movielens_folder() -> Path:
    """The folder that holds ml-100k and ml-latest-small; without one the test is skipped."""
    configured = os.environ.get("PERSONALENS_DATA")
    places = [Path(configured)] if configured else []
    for place in (*places, ROOT / "data", ROOT.parent / "shared" / "data"):
        if (place / "ml-100k").is_dir() and (place / "ml-latest-small").is_dir():
            return place
    pytest.skip("no MovieLens files here: set PERSONALENS_DATA to the folder that holds them")
