"""Filters applied: who passes, worked out by hand on six films."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.id_maps import IdMap
from personalens.datasets.metadata import Metadata
from personalens.filters.expressions import FilterError, parse_filter
from personalens.filters.masks import Circumstances, CompiledFilter, FieldIndex, parse_values

FILMS = pd.DataFrame(
    {
        "ITEM_ID": list("abcdef"),
        "GENRE": ["War|Drama", "War", "Comedy", None, "Drama", "drama"],
        "YEAR": [1970, 1975, 1980, 1985, np.nan, 1990],
    }
)
IDS = IdMap(list("abcdef"))
INDEX = FieldIndex(IDS, Metadata.from_frame(FILMS, "ITEM_ID"))
TOUCHED = {
    "event_codes": np.array([0, 1, 2, 0]),
    "event_types": np.array(["Click", "click", "Purchase", "Like"], object),
}


def passing(text, **circumstances):
    """Return the films that pass, as one string."""
    mask = CompiledFilter(parse_filter(text), INDEX).mask(Circumstances(**circumstances))
    return "".join(FILMS["ITEM_ID"][mask])


@pytest.mark.parametrize(
    ("text", "films"),
    [
        ('INCLUDE ItemID WHERE Items.GENRE IN ("War")', "ab"),
        ('INCLUDE ItemID WHERE Items.genre IN ("Drama")', "ae"),
        ('EXCLUDE ItemID WHERE Items.GENRE IN ("War", "Comedy")', "def"),
        ('INCLUDE ItemID WHERE Items.GENRE NOT IN ("War")', "cdef"),
        ("INCLUDE ItemID WHERE Items.YEAR >= 1975 AND Items.YEAR < 1985", "bc"),
        ("INCLUDE ItemID WHERE Items.YEAR < 1975 OR Items.YEAR = 1990", "af"),
        ("EXCLUDE ItemID WHERE Items.YEAR != 1980", "c"),
        (
            'INCLUDE ItemID WHERE Items.GENRE IN ("War") | INCLUDE ItemID WHERE Items.YEAR > 1980',
            "abdf",
        ),
        (
            "EXCLUDE ItemID WHERE Items.YEAR = 1970 | "
            'INCLUDE ItemID WHERE Items.GENRE IN ("War", "Drama") | '
            'EXCLUDE ItemID WHERE Items.GENRE IN ("Comedy")',
            "be",
        ),
        ('INCLUDE ItemID WHERE Items.GENRE IN ("Opera")', ""),
        ('EXCLUDE ItemID WHERE Items.ITEM_ID IN ("b", "zzz")', "acdef"),
    ],
)
def test_items_pass_by_their_fields(text, films):
    assert passing(text) == films


@pytest.mark.parametrize(
    ("text", "films"),
    [
        ("EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN (*)", "def"),
        ('EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("*")', "def"),
        ('INCLUDE ItemID WHERE Interactions.event_type IN ("CLICK")', "ab"),
        ('EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("Purchase", "Like")', "bdef"),
        ('INCLUDE ItemID WHERE Interactions.EVENT_TYPE NOT IN ("Click")', "cdef"),
    ],
)
def test_items_pass_by_what_the_user_did_with_them(text, films):
    assert passing(text, **TOUCHED) == films


def test_the_newest_hundred_events_of_a_type_count():
    codes = np.concatenate([[0], np.full(100, 1), [2]])
    types = np.array(["Click"] * 101 + ["Buy"], object)
    text = "INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN (*)"
    assert passing(text, event_codes=codes, event_types=types) == "bc"
    assert passing(text, event_codes=codes) == "bc"  # without types: the newest hundred of all


class TestPlaceholders:
    def test_values_come_quoted_and_joined_by_commas(self):
        text = "INCLUDE ItemID WHERE Items.GENRE IN ($G)"
        assert passing(text, parameters={"G": '"Comedy","drama"'}) == "cf"

    def test_numbers_come_bare_or_quoted(self):
        text = "INCLUDE ItemID WHERE Items.YEAR = $Y"
        assert passing(text, parameters={"Y": "1975"}) == "b"
        assert passing(text, parameters={"Y": '"1980"'}) == "c"

    def test_an_include_needs_all_of_them(self):
        with pytest.raises(FilterError, match=r"needs a value for \$G"):
            passing("INCLUDE ItemID WHERE Items.GENRE IN ($G)")

    def test_an_exclude_leaves_out_the_part_without_a_value(self):
        text = "EXCLUDE ItemID WHERE Items.GENRE IN ($G) OR Items.YEAR > 1980"
        assert passing(text) == "abce"
        assert passing(text, parameters={"G": '"War"'}) == "ce"

    def test_a_comparison_takes_one_number(self):
        with pytest.raises(FilterError, match="needs one number"):
            passing("INCLUDE ItemID WHERE Items.YEAR > $Y", parameters={"Y": '"1","2"'})

    def test_half_a_list_is_refused(self):
        with pytest.raises(FilterError, match="not a list of quoted strings"):
            parse_values('"a" "b"')

    def test_a_comma_without_quotation_marks_is_refused_with_both_ways_to_write_it(self):
        with pytest.raises(FilterError) as caught:
            parse_values("Comedy, Drama")
        assert '"Comedy","Drama" for several values, or "Comedy, Drama" for one' in str(
            caught.value
        )
        assert parse_values(" Comedy ") == ("Comedy",)

    def test_quotation_marks_inside(self):
        assert parse_values(r'"a \"b\"", "c,d"') == ('a "b"', "c,d")


class TestTheUserWhoAsks:
    TEXT = 'EXCLUDE ItemID WHERE Items.GENRE IN ("War") IF CurrentUser.AGE < 16'

    def test_an_expression_counts_if_it_holds_of_the_user(self):
        assert passing(self.TEXT, user={"AGE": 12.0}) == "cdef"
        assert passing(self.TEXT, user={"AGE": 40.0}) == "abcdef"
        assert passing(self.TEXT) == "abcdef"

    def test_an_include_that_does_not_hold_lets_everything_in(self):
        text = 'INCLUDE ItemID WHERE Items.GENRE IN ("War") IF CurrentUser.PLAN IN ("basic")'
        assert passing(text, user={"plan": "basic|trial"}) == "ab"
        assert passing(text, user={"PLAN": "full"}) == "abcdef"


def test_related_items_are_compared_with_the_current_one():
    text = "INCLUDE ItemID WHERE Items.YEAR < CurrentItem.YEAR AND Items.GENRE IN CurrentItem.GENRE"
    assert passing(text, item={"YEAR": 1980.0, "GENRE": "Drama|War"}) == "ab"
    assert passing(text, item={"GENRE": "Drama"}) == ""


def test_a_mask_that_is_the_same_for_all_is_made_once():
    fixed = CompiledFilter(parse_filter("INCLUDE ItemID WHERE Items.YEAR > 1980"), INDEX)
    assert fixed.mask(Circumstances()) is fixed.mask(Circumstances(**TOUCHED))
    personal = CompiledFilter(
        parse_filter("EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN (*)"), INDEX
    )
    assert not personal.is_static


def test_nothing_is_known_of_the_items():
    asked = parse_filter("INCLUDE ItemID WHERE Items.YEAR > 1980")
    assert not CompiledFilter(asked, FieldIndex(IDS, None)).mask(Circumstances()).any()
