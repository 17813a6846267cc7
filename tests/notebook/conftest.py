"""A lab session on a small data set, with the service answered in this process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from personalens import datasets
from personalens.activation import activate
from personalens.datasets.film_tables import FilmTables
from personalens.home import HOME_VARIABLE, Home
from personalens.notebook.checks import STRICT_VARIABLE
from personalens.notebook.lab_session import LabSession


def small_tables(users: int = 210, events: int = 100, films: int = 40) -> FilmTables:
    """21,000 interactions, so that the newest 5% still make an import job of 1,000."""
    rng = np.random.default_rng(3)
    interactions = pd.DataFrame(
        {
            "USER_ID": np.repeat([f"u{user}" for user in range(users)], events),
            "ITEM_ID": [f"f{film}" for film in rng.integers(0, films - 1, users * events)],
            "TIMESTAMP": np.tile(np.arange(events), users) * 60 + 1_500_000_000,
            "EVENT_TYPE": "Watch",
            "EVENT_VALUE": 4.0,
        }
    )
    items = pd.DataFrame(
        {
            "ITEM_ID": [f"f{film}" for film in range(films)],
            "TITLE": [f"Film {film} (1999)" for film in range(films)],
            "GENRES": "Drama",
            "YEAR": 1999,
            "CREATION_TIMESTAMP": 915148800,
        }
    )
    interactions.loc[0, "ITEM_ID"] = items.loc[films - 1, "ITEM_ID"] = "rare"
    return FilmTables("small", interactions, items, None, "made up")


@pytest.fixture(scope="session")
def tables() -> FilmTables:
    return small_tables()


@pytest.fixture
def home(tmp_path, monkeypatch) -> Home:
    """A home of its own, jobs done inside the call, checks not strict."""
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    monkeypatch.setenv("PERSONALENS_JOBS", "inline")
    for variable in (STRICT_VARIABLE, "PERSONALENS_BUCKET", "PERSONALENS_ROLE_ARN"):
        monkeypatch.delenv(variable, raising=False)
    return Home(tmp_path / "home")


@pytest.fixture
def make_lab(home, tables, monkeypatch):
    """Return a function that opens a lab of a number, with PersonaLens on."""
    monkeypatch.setattr(datasets, "load", lambda name: tables, raising=False)
    with activate(home, quiet=True):
        yield lambda number, **options: LabSession(number, dataset="small", **options)


@pytest.fixture
def labs_folder() -> Path:
    return Path(__file__).resolve().parents[2] / "labs"
