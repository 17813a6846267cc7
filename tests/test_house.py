"""The plan of the package: rooms within their budgets, no circle, short trips as the page tells."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import house

ARCHITECTURE = Path(__file__).parents[1] / "docs" / "architecture.md"

BUDGETS = {
    ".": 1_200,
    "aws": 2_610,
    "cli": 1_560,
    "control": 10,
    "control/operations": 2_000,
    "control/work": 1_790,
    "datasets": 3_770,
    "evaluation": 1_220,
    "events": 470,
    "film_world": 830,
    "filters": 750,
    "jobs": 750,
    "networks": 1_310,
    "notebook": 1_490,
    "notebook/plots": 680,
    "ratings": 1_400,
    "recipes": 6_100,
    "runtime": 2_440,
    "settings": 620,
    "storage": 3_220,
    "testing": 690,
    "training": 1_940,
}
"""Lines of each room, docstrings included. They fall; a new room brings its own."""

FILES = 200
LONG_FUNCTIONS = 0.02

TRIPS = {
    "a CSV row to a trained model": 26,
    "HRNN().fit": 19,
    "the first CreateDatasetGroup": 20,
    "an import job": 27,
    "CreateSolutionVersion to ACTIVE": 56,
    "a first request to its answer": 42,
    "a request to its answer": 15,
    "an event to the next answer": 18,
    "DescribeSolutionVersion": 11,
}
"""How many files each trip runs through at most."""


@pytest.fixture(scope="module")
def trips() -> dict[str, list[str]]:
    """Return the files of every trip, made in a process that has done nothing else."""
    command = [sys.executable, "-m", "tests.trips", "--json"]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def test_every_room_keeps_to_its_budget():
    lines = house.lines_by_room()
    assert set(lines) == set(BUDGETS)
    assert {room: n for room, n in lines.items() if n > BUDGETS[room]} == {}


def test_a_budget_is_no_larger_than_what_it_is_for():
    lines = house.lines_by_room()
    slack = {room: budget - lines[room] for room, budget in BUDGETS.items()}
    assert {room: n for room, n in slack.items() if n > max(30, 0.05 * BUDGETS[room])} == {}


def test_the_package_has_few_files():
    assert len(house.files()) <= FILES


def test_no_files_import_each_other_in_a_circle():
    assert house.circle_of_files() == []


def test_functions_are_short():
    lengths = house.functions()
    long = {name: n for name, n in lengths.items() if n > house.LONG}
    assert len(long) <= LONG_FUNCTIONS * len(lengths), long


def test_the_services_know_no_recipe_by_name():
    assert house.recipe_names_in_services() == []


@pytest.mark.parametrize("trip", TRIPS)
def test_a_trip_crosses_few_files(trips, trip):
    assert len(trips[trip]) <= TRIPS[trip], trips[trip]


def test_the_page_tells_the_trips_as_they_are(trips):
    text = ARCHITECTURE.read_text("utf-8")
    for title, section in re.findall(r"^### (.+?)\n(.*?)(?=^##|\Z)", text, re.M | re.S):
        told = re.findall(r"^\d+\. `([\w/]+\.py)`", section, re.M)
        assert told, title
        assert told == trips[title], title


def test_a_circle_is_found(monkeypatch):
    monkeypatch.setattr(
        house,
        "files",
        lambda: {
            "a.py": "from personalens import b",
            "b.py": "def f():\n    from personalens.c import g",
            "c.py": "if True:\n    import personalens.a",
        },
    )
    assert set(house.circle_of_files()) == {"a.py", "b.py", "c.py"}
