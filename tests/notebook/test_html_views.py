"""Tables and cards: captions, alignment, escaping; and a plain text that says the same."""

from __future__ import annotations

import datetime
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest

from personalens.notebook.html_views import ResourceCard, SourceExcerpt, TitledTable, format_value
from personalens.notebook.lab_data import stage


def parse(view) -> ElementTree.Element:
    return ElementTree.fromstring(view._repr_html_())


def test_a_table_has_its_caption_and_scoped_headers():
    table = parse(TitledTable(pd.DataFrame({"film": ["Up"], "score": [0.5]}), "The best"))
    assert table.find("caption").text == "The best"
    assert [th.get("scope") for th in table.iter("th")] == ["col", "col"]
    assert [td.text for td in table.iter("td")] == ["Up", "0.500"]


def test_titles_cannot_bring_markup_in():
    html = TitledTable(pd.DataFrame({"film": ["<b>Up</b> & away"]}), "a < b")._repr_html_()
    assert "<b>" not in html
    assert "&lt;b&gt;Up&lt;/b&gt; &amp; away" in html


def test_only_a_named_index_is_shown():
    frame = pd.DataFrame({"x": [1]}, index=[7])
    assert "7" not in repr(TitledTable(frame, "t"))
    assert "7" in repr(TitledTable(frame.rename_axis("place"), "t"))


def test_a_column_of_the_data_keeps_its_digits_together():
    frame = pd.DataFrame({"TIMESTAMP": [964982703], "rows": [100836]})
    cells = [td.text for td in parse(TitledTable(frame, "t")).iter("td")]
    assert cells == ["964982703", "100,836"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.int32(1995), "1995"),
        (np.nan, "–"),
        (pd.NA, "–"),
        (np.True_, "yes"),
        (-12345.678, "-12,345.678"),
    ],
)
def test_values_read_well(value, text):
    assert format_value(value) == text


def test_a_card_leaves_clocks_out_and_names_nested_members():
    now = datetime.datetime.now(datetime.UTC)
    card = ResourceCard(
        {"name": "films", "creationDateTime": now, "config": {"sync": True}}, "Campaign"
    )
    assert card.members() == {"name": "films", "config.sync": "yes"}
    assert [th.get("scope") for th in parse(card).iter("th")] == ["row", "row"]


def test_an_excerpt_shows_the_file_and_leaves_the_docstring_out():
    text = repr(SourceExcerpt(stage))
    assert text.startswith("personalens/notebook/lab_data.py\n\ndef stage(")  # no line numbers
    assert "Where a bucket is given" not in text


def test_an_excerpt_is_cut_where_told():
    lines = repr(SourceExcerpt(stage, most=3)).splitlines()
    assert len(lines) == 6
    assert lines[-1] == "..."


def test_an_excerpt_of_code_without_a_docstring_is_whole():
    def plain(x):
        return x + 1

    assert "return x + 1" in repr(SourceExcerpt(plain))
