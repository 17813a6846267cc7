"""What a lab session knows: titles, viewers, names, ARNs; and what it says when it does not."""

from __future__ import annotations

import pandas as pd
import pytest

from personalens import datasets
from personalens.activation import deactivate
from personalens.notebook.lab_data import ArnBook


def test_titles_stand_right_behind_the_identifier(make_lab):
    lab = make_lab(0)
    table = lab.with_titles(pd.DataFrame({"RANK": [1, 2], "ITEM_ID": ["f3", "f9"], "SCORE": 0.5}))
    assert list(table.columns) == ["RANK", "ITEM_ID", "TITLE", "SCORE"]
    assert table["TITLE"].tolist() == ["Film 3 (1999)", "Film 9 (1999)"]


def test_an_item_list_of_a_response_gets_titles_too(make_lab):
    response = pd.DataFrame([{"itemId": "f1", "score": 0.2}])
    assert make_lab(0).with_titles(response)["title"].tolist() == ["Film 1 (1999)"]


def test_a_table_without_items_is_refused_with_its_columns(make_lab):
    with pytest.raises(ValueError, match="no ITEM_ID or itemId column: USER_ID"):
        make_lab(0).with_titles(pd.DataFrame({"USER_ID": ["u1"]}))


def test_an_unknown_item_shows_its_identifier(make_lab):
    assert make_lab(0).title("zzz") == "[zzz]"


def test_find_takes_part_of_a_title_as_plain_text(make_lab):
    lab = make_lab(0)
    assert lab.find("film 7 (")["ITEM_ID"].tolist() == ["f7"]
    assert lab.find("no such film").empty


def test_history_is_oldest_first_and_newest_keeps_its_end(make_lab, tables):
    lab = make_lab(0)
    whole = lab.history("u5")
    assert whole["TIMESTAMP"].is_monotonic_increasing
    assert len(whole) == (tables.interactions["USER_ID"] == "u5").sum()
    pd.testing.assert_frame_equal(lab.history("u5", newest=3), whole.tail(3).reset_index(drop=True))


def test_viewers_depend_on_the_seed_and_on_nothing_else(make_lab):
    first, again, other = make_lab(0, seed=1), make_lab(0, seed=1), make_lab(0, seed=2)
    assert first.viewers(5) == again.viewers(5)
    assert first.viewers(5) != other.viewers(5)


def test_names_carry_the_data_set(make_lab):
    assert make_lab(0).name("hrnn") == "lab-small-hrnn"


def test_the_folder_lies_in_the_home(make_lab, home):
    assert make_lab(0).folder == home.path / "labs" / "small"


def test_an_arn_book_completes_and_says_what_it_lacks():
    book = ArnBook(hrnn_solution="arn:1")
    assert book.hrnn_solution == book["hrnn_solution"] == "arn:1"
    assert "hrnn_solution" in dir(book)
    with pytest.raises(KeyError, match="no ARN named 'sims' here; there are: hrnn_solution"):
        book["sims"]


def test_on_aws_the_role_must_be_the_learners_own(make_lab, monkeypatch):
    lab = make_lab(0)
    assert lab.role_arn.startswith("arn:aws:iam::")
    monkeypatch.setenv("PERSONALENS_ROLE_ARN", "arn:aws:iam::210987654321:role/mine")
    assert lab.role_arn == "arn:aws:iam::210987654321:role/mine"
    monkeypatch.delenv("PERSONALENS_ROLE_ARN")
    deactivate()
    with pytest.raises(RuntimeError, match="PERSONALENS_ROLE_ARN"):
        _ = lab.role_arn


def test_without_movielens_the_sample_stands_in_and_says_so(make_lab, tables, monkeypatch, capsys):
    def load(name):
        if name != "sample":
            raise datasets.DataUnavailable("looked in /secret/folder")
        return tables

    lab = make_lab(0)
    monkeypatch.setattr(datasets, "load", load, raising=False)
    lab = type(lab)(0, dataset="ml-100k")
    said = capsys.readouterr().out
    assert lab.data is tables
    assert "ml-100k" in said
    assert "simulated viewers" in said
    assert "/secret/folder" not in said


def test_a_lab_catches_up_with_what_it_needs_and_no_more(make_lab, monkeypatch, capsys):
    made = []
    steps = {n: (f"step {n}", lambda lab, n=n: made.append(n)) for n in (2, 3, 4)}
    monkeypatch.setattr("personalens.notebook.catch_up.STEPS", steps)
    make_lab(4)
    assert made == [2, 3]
    make_lab(9, needs=(2, 4))
    assert made == [2, 3, 2, 4]
    assert capsys.readouterr().out.endswith("step 2 (lab 02); step 4 (lab 04).\n")
