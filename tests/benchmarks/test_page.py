"""benchmarks/README.md is what page.py makes of the committed results, and its tables parse."""

import re

import pytest

from benchmarks import page
from benchmarks.machine import RESULTS


def test_the_page_is_made_from_the_results():
    text = (RESULTS.parent / "README.md").read_text(encoding="utf-8")
    assert text == page.render(page.load_results())


def test_every_table_has_as_many_cells_as_its_header():
    lines = (RESULTS.parent / "README.md").read_text(encoding="utf-8").splitlines()
    tables = 0
    for place, line in enumerate(lines):
        if re.fullmatch(r"\|( --- \|)+", line):
            tables += 1
            width = line.count("|")
            assert lines[place - 1].count("|") == width
            end = next(
                i for i in range(place, len(lines) + 1) if not lines[i : i + 1] or not lines[i]
            )
            assert end > place + 1
            assert {each.count("|") for each in lines[place:end]} == {width}
    assert tables >= len(page.load_results())


def test_every_result_says_where_and_how_it_was_measured():
    for result in page.load_results():
        assert result["command"].startswith("python benchmarks/")
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", result["date"])
        assert result["processor"]
        assert result["cores"] >= 1
        assert result["versions"]["torch"]


ROW = {
    "model": "implicit ALS",
    "NDCG@10": 0.12345,
    "sd": {"NDCG@10": 0.0021},
    "setting": {"limit": 1500.0, "factors": 64},
    "tried": 4,
    "notes": [{"epochs": 40, "stopped_by": "early stopping"}],
}


def test_a_row_shows_its_spread():

    assert page.with_spread(ROW, "NDCG@10") == "0.1235 ± 0.0021"
    assert page.with_spread(ROW | {"sd": None}, "NDCG@10") == "0.1235"


def test_the_draw_of_the_goal_is_told_where_it_was_measured():
    drawn = {"lowest": 0.1, "highest": 0.3, "first": 0.2}
    places = {name: {"NDCG@10": figure} for name, figure in drawn.items()}
    result = {"protocol": "hold-out-known", "rows": [{"model": "aws-hrnn", **places}]}
    known = page.from_draw_to_draw(result, ["aws-hrnn"])
    assert "aws-hrnn from 0.1000 to 0.3000" in known
    assert known.endswith("On the first, that of the goal: aws-hrnn 0.2000.")
    assert "the goal" not in page.from_draw_to_draw(result | {"protocol": "hold-out"}, ["aws-hrnn"])


def test_what_was_chosen_and_how_the_training_ended():

    untuned = ROW | {"model": "aws-hrnn", "setting": {}, "tried": 1, "notes": []}
    assert page.choices({"rows": [untuned]}) == ""
    assert page.choices({"rows": [untuned, ROW]}) == (
        "Settings: implicit ALS: limit=1500, factors=64, of 4 settings, 40 epochs, "
        "ended by early stopping."
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.123, "0.12"), (1.25, "1.2"), (99.9, "99.9"), (1234.5, "1,234")]
)
def test_seconds_have_three_figures_or_so(seconds, text):

    assert page.number(seconds) == text


def test_a_busy_machine_and_a_part_of_its_cores_are_told():

    quiet = {
        "command": "python benchmarks/x.py",
        "date": "2026-01-01",
        "processor": "a processor",
        "cores": 1,
        "machine_cores": 2,
        "memory_gb": 8,
        "threads": "1",
        "python": "3.11.7",
        "versions": {"numpy": "2"},
        "load": 0.3,
    }
    assert "`python -m benchmarks.x`" in page.conditions(quiet)
    assert "1 of 2 cores" in page.conditions(quiet)
    assert "upper bounds" not in page.conditions(quiet)
    assert "upper bounds" in page.conditions(quiet | {"load": 3.0})
