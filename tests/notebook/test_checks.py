"""A check says done, not yet with a hint, or not answered; only strict mode raises."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

import nbformat
import numpy as np
import pandas as pd
import pytest

from personalens.notebook import checks
from personalens.notebook.checks import (
    CHECKS,
    STRICT_VARIABLE,
    CheckFailed,
    ExpectedError,
    NotYet,
    answers_taken,
    check,
    load_checks,
    run_check,
)

from ..wrong_answers import WRONG, in_other_forms, is_done, spoiled

load_checks()


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


class TestAnyAnswer:
    """No check raises, and none takes one of the wrong answers, whatever it is about."""

    @pytest.mark.parametrize("name", sorted(CHECKS))
    def test_a_wrong_answer_is_never_done_and_never_raises(self, make_lab, name, capsys):
        lab = make_lab(3)
        least, _ = answers_taken(CHECKS[name].test)
        wrong = [(value,) * max(least, 1) for value in WRONG]
        assert [answer for answer in wrong if is_done(lab, name, answer)] == []
        assert not is_done(lab, name, ()) or least == 0

    @pytest.mark.parametrize("name", sorted(CHECKS))
    def test_strict_mode_raises_its_own_error_only(self, make_lab, name, monkeypatch):
        monkeypatch.setenv(STRICT_VARIABLE, "1")
        lab = make_lab(3)
        least, _ = answers_taken(CHECKS[name].test)
        for value in ("x", 0, [1, 2], object()):
            with pytest.raises(CheckFailed, match="Hint") as failure:
                run_check(lab, name, (value,) * max(least, 1))
            assert failure.value.__suppress_context__

    def test_too_many_and_too_few_answers_are_told_so(self, make_lab, capsys):
        lab = make_lab(1)
        lab.check("1.1", 0.5, 0.5)
        lab.check("1c", 0.5)
        said = capsys.readouterr().out
        assert "the check takes 1 answer, and got 2." in said
        assert "the check takes 2 answers, and got 1." in said

    def test_a_fault_of_the_service_is_told_in_its_words(self, make_lab, capsys):
        page, films = ["f1"], pd.DataFrame({"ITEM_ID": ["f1"]})
        campaign = "arn:aws:personalize:us-east-1:123456789012:campaign/x"
        make_lab(0).check("6.2", page, campaign, films)
        assert "the service says: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("number", "name", "answer"),
    [
        (3, "3.2", (["INCREMENTAL", "FULL", "INCREMENTAL"],)),
        (5, "5.1", (0.45,)),
        (14, "14.2", (["personalize", "list-dataset-import-jobs"],)),
        (99, "99.1", (["campaign", "solution", "dataset", "dataset_group", "schema"],)),
    ],
)
def test_a_right_answer_is_done_in_every_form(make_lab, number, name, answer):
    lab = make_lab(number, needs=())
    assert is_done(lab, name, answer)
    assert [form for form in in_other_forms(answer) if not is_done(lab, name, form)] == []
    assert [wrong for wrong in spoiled(answer) if is_done(lab, name, wrong)] == []


class TestTheFilmOfExercise01:
    @pytest.fixture
    def similar(self, tables):
        from personalens.recipes.sims import SIMS

        model = SIMS(max_item_interaction_count_percentile=1.0).fit(tables.interactions)
        return model.similar

    def test_ten_films_beside_one_that_is_known(self, make_lab, similar):
        assert is_done(make_lab(0), "0.1", (similar(["f3"], k=10),))

    @pytest.mark.parametrize(
        ("films", "k", "said"),
        [
            (["no-such-film"], 10, "nobody has watched a film 'no-such-film'"),
            (["f3"], 5, "the table has 5 films; ask for 10"),
            (["f3", "f4"], 5, "the table is about 2 films"),
        ],
    )
    def test_another_table_is_told_what_is_wrong(self, make_lab, similar, films, k, said, capsys):
        make_lab(0).check("0.1", similar(films, k=k))
        assert said in " ".join(capsys.readouterr().out.split())


def test_figures_by_penalty_may_be_a_column_and_their_keys_text(make_lab):
    lab, figures = make_lab(9, needs=()), {1: 0.066, 10: 0.077, 100: 0.087, 1000: 0.074}
    assert is_done(lab, "9.2", (figures,))
    assert is_done(lab, "9.2", (pd.Series(figures),))
    assert is_done(lab, "9.2", ({str(key): value for key, value in figures.items()},))
    assert not is_done(lab, "9.2", (figures | {1: "0.066"},))


@pytest.mark.parametrize(
    "half",
    [0.45, np.float32(0.45), np.array(0.45), pd.Series([0.45]), Fraction(9, 20), Decimal("0.45")],
    ids=lambda half: type(half).__name__,
)
def test_a_number_is_taken_in_any_type(make_lab, half):
    assert is_done(make_lab(5, needs=()), "5.1", (half,))


class Awkward:
    """What has all the methods of an answer, and fails in each of them."""

    def __getattr__(self, name):
        raise RuntimeError(f"no {name} here")

    def __eq__(self, other):
        raise RuntimeError("not to be compared")

    __hash__ = __len__ = __iter__ = __getitem__ = __float__ = __bool__ = __repr__ = __eq__


@pytest.mark.parametrize("name", ["0.1", "1.1", "2.1", "3.2", "4.2", "9.2", "11.2", "99.1", "99.2"])
def test_an_object_that_fails_at_every_touch_is_a_wrong_answer_too(make_lab, name):
    assert not is_done(make_lab(3), name, (Awkward(),) * answers_taken(CHECKS[name].test)[0])


def test_nothing_is_not_near_to_a_small_truth(make_lab):
    """Of the sample's films 0.4% are rare: 0 is wrong although it differs by 0.004 only."""
    from personalens.notebook.checks.answers import expect_near

    with pytest.raises(NotYet):
        expect_near(0, 0.004, what="the share", tolerance=5e-3)
    expect_near(0.0042, 0.004, what="the share", tolerance=5e-3)


def test_without_the_checks_a_lab_says_what_to_do_and_goes_on(make_lab, monkeypatch, capsys):
    monkeypatch.setattr(checks, "__path__", [])
    monkeypatch.setattr(checks, "CHECKS", {})
    make_lab(3).check("3b", "arn:aws:personalize:us-east-1:123456789012:dataset-import-job/x")
    said = " ".join(capsys.readouterr().out.split())
    assert "3b cannot be checked: the checks of the labs are not on this machine." in said
    assert "copy the folder labs/checks" in said
    monkeypatch.setenv(STRICT_VARIABLE, "1")
    with pytest.raises(CheckFailed, match="copy the folder"):
        make_lab(3).check("3b", "arn")


def test_the_checks_of_the_working_tree_come_before_others(labs_folder, tmp_path, monkeypatch):
    assert checks.__path__ == [str(labs_folder / "checks")]
    assert not checks._is_checks(tmp_path)  # some other folder of this name, beside a notebook
