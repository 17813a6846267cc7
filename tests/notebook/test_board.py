"""Hints come in steps, done checks are kept, and the end of a lab says what is open."""

import json
from types import SimpleNamespace

import pytest

from personalens.home import default_home
from personalens.notebook import board
from personalens.notebook.checks import CHECKS, Check, NotYet
from personalens.notebook.lab_data import read_done


@pytest.fixture
def puzzle(monkeypatch):
    """A check of three steps that knows one mistake."""

    def test(lab, value):
        if value == 6:
            raise NotYet("that is the sum.", hint="multiply instead.")
        if value != 8:
            raise NotYet("that is not it.")
        return "right."

    steps = ("which operation?", "the product.", "2 times 4.")
    monkeypatch.setitem(CHECKS, "1.9", Check(test, steps))


def said(capsys) -> str:
    return capsys.readouterr().out


@pytest.mark.usefixtures("puzzle")
def test_hints_come_in_steps_and_the_last_one_stays(make_lab, capsys):
    lab = make_lab(1)
    said(capsys)
    hints = []
    for _ in range(4):
        lab.check("1.9", 1)
        hints.append(said(capsys).partition("Hint: ")[2].strip())
    more = " Another hint comes with the next try."
    assert hints == ["which operation?" + more, "the product." + more, "2 times 4.", "2 times 4."]


@pytest.mark.usefixtures("puzzle")
def test_a_known_mistake_gets_the_hint_that_answers_it(make_lab, capsys):
    lab = make_lab(1)
    for _ in range(2):
        lab.check("1.9", 6)
        assert "that is the sum. Hint: multiply instead." in said(capsys)
    lab.check("1.9", 1)
    assert "which operation?" in said(capsys)


@pytest.mark.usefixtures("puzzle")
def test_a_done_check_is_kept_in_the_home(make_lab):
    lab = make_lab(1)
    lab.check("1.9", 1)
    assert read_done() == set()
    lab.check("1.9", 8)
    lab.check("1.9", 8)
    assert read_done() == {"1.9"}
    assert json.loads((default_home().labs / "checks.json").read_text()) == ["1.9"]
    lab.check("1.9", 1)  # what was done once stays done
    assert read_done() == {"1.9"}


@pytest.mark.usefixtures("puzzle")
def test_a_lab_s_own_solution_does_not_count(make_lab, monkeypatch):
    lab = make_lab(1)
    shell = SimpleNamespace(user_ns={"In": ["", "# One way to do it\nlab.check('1.9', 8)"]})
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    lab.check("1.9", 8)
    assert read_done() == set()
    shell.user_ns["In"].append("lab.check('1.9', 8)")
    lab.check("1.9", 8)
    assert read_done() == {"1.9"}


def test_a_damaged_record_counts_as_none(make_lab):
    lab = make_lab(1)
    lab.note_done("1a")
    (default_home().labs / "checks.json").write_text("[")
    assert read_done() == set()
    lab.note_done("1b")
    assert read_done() == {"1b"}


@pytest.mark.usefixtures("puzzle")
def test_the_end_of_a_lab_says_what_is_open(make_lab, capsys):
    lab = make_lab(1)
    own = [name for name in CHECKS if board.lab_of(name) == 1]
    for name in own[:-1]:
        lab.note_done(name)
    said(capsys)
    lab.close()
    told = said(capsys)
    assert f"Lab 01: {len(own) - 1} of {len(own)} checks done." in told
    assert f"Still open: {own[-1]}." in told
    assert f"{len(own) - 1} of {len(CHECKS)} checks done." in told
