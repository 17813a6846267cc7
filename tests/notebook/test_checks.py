"""A check says done, not yet with a hint, or not answered; only strict mode raises."""

from __future__ import annotations

import re

import nbformat
import pytest

from personalens.notebook import lab_checks  # noqa: F401  registers the checks
from personalens.notebook.checks import (
    CHECKS,
    STRICT_VARIABLE,
    CheckFailed,
    ExpectedError,
    check,
    run_check,
)


def test_a_right_answer_is_done(make_lab, tables, capsys):
    lab = make_lab(1)
    counts = tables.interactions["ITEM_ID"].value_counts()
    lab.check("1.1", (counts < 5).mean())
    assert capsys.readouterr().out.splitlines()[-1].startswith("✓ 1.1 done")


def test_a_wrong_answer_gets_a_hint_and_does_not_stop_the_lab(make_lab, capsys):
    make_lab(1).check("1.2", -1)
    said = capsys.readouterr().out
    assert "✗ 1.2 not yet" in said
    assert "Hint:" in said


def test_an_answer_of_the_wrong_kind_is_told_so(make_lab, capsys):
    make_lab(1).check("1.1", "many")
    assert "should be a number" in capsys.readouterr().out


def test_strict_mode_raises_on_a_wrong_answer_but_not_on_a_missing_one(
    make_lab, monkeypatch, capsys
):
    lab = make_lab(1)
    monkeypatch.setenv(STRICT_VARIABLE, "1")
    lab.check("1.1", None)
    assert "not answered yet" in capsys.readouterr().out
    with pytest.raises(CheckFailed, match="Hint"):
        lab.check("1.1", -1)


def test_an_unknown_check_names_those_of_the_lab(make_lab):
    with pytest.raises(ValueError, match=r"lab 01 has 1\.1, 1\.2, 1a"):
        make_lab(1).check("1z")


def test_checks_have_names_of_their_own():
    with pytest.raises(ValueError, match="two checks named '1a'"):
        check("1a", hint="")(lambda lab: "")


def test_a_check_asks_the_service(make_lab, capsys):
    lab = make_lab(3)
    lab.check("2b", lab.arns["dataset_group"])
    assert "lab-small-films is ACTIVE" in capsys.readouterr().out
    lab.check("2b", lab.arns["dataset_group"] + "x")
    assert "the service does not know this dataset group" in capsys.readouterr().out


def test_every_check_is_used_by_its_lab_and_every_lab_uses_its_checks(labs_folder):
    used = {}
    for path in sorted(labs_folder.glob("[0-9][0-9]_*.ipynb")):
        source = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)
        used[int(path.name[:2])] = set(re.findall(r'lab\.check\("([^"]+)"', source))
    assert set().union(*used.values()) == set(CHECKS)
    for number, names in used.items():
        assert {int(re.match(r"\d+", name)[0]) for name in names} <= {number}


def test_an_expected_error_is_shown(capsys):
    with ExpectedError("ValueError") as expected:
        raise ValueError("no")
    assert expected.message == "no"
    assert capsys.readouterr().out == "Expected ValueError: no\n"


def test_a_long_message_breaks_between_words_and_leaves_an_arn_whole(capsys):
    arn = "arn:aws:personalize:us-east-1:123456789012:dataset-group/" + "a-long-name-" * 4
    message = f"Dataset group {arn} still has datasets, so delete those first, then try again."
    with ExpectedError("ValueError"):
        raise ValueError(message)
    lines = capsys.readouterr().out.splitlines()
    assert " ".join(lines) == "Expected ValueError: " + message
    assert max(len(line) for line in lines if arn not in line) <= 100


def test_a_message_that_points_at_a_place_stays_as_it_is(capsys):
    expression = "INCLUDE ItemID WHERE " + "Items.YEAR > 1999 AND " * 5 + "Items.YEAR IS 1999"
    message = f"cannot be read here:\n{expression}\n{'^':>{expression.index('IS') + 1}}"
    with ExpectedError("ValueError"):
        raise ValueError(message)
    assert capsys.readouterr().out == f"Expected ValueError: {message}\n"


def test_an_error_of_another_kind_passes_through():
    with pytest.raises(TypeError), ExpectedError("ValueError"):
        raise TypeError("other")


def test_no_error_where_one_was_expected_is_an_error():
    message = "expected ValueError, but nothing went wrong"
    with pytest.raises(AssertionError, match=message), ExpectedError("ValueError"):
        pass


def test_run_check_passes_answers_on(make_lab, capsys):
    run_check(make_lab(4), "4.2", ("Delta 3",))
    assert "Bob gets the end" in capsys.readouterr().out
