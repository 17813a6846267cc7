"""Identifiers and codes: a bijection, and what is unknown says so."""

from __future__ import annotations

import numpy as np
import pytest

from personalens.datasets.id_maps import UNKNOWN, IdMap


def test_codes_go_there_and_back():
    ids = IdMap(["c", "a", "b"])
    assert ids.encode(["a", "b", "c", "a"]).tolist() == [1, 2, 0, 1]
    assert ids.decode([1, 2, 0]).tolist() == ["a", "b", "c"]
    assert ids.encode(["a"]).dtype == np.int32


def test_what_is_unknown_has_no_code():
    ids = IdMap(["a"])
    assert ids.encode(["zzz"]).tolist() == [UNKNOWN]
    assert ids.code("zzz") == UNKNOWN
    assert "zzz" not in ids
    assert "a" in ids


@pytest.mark.parametrize("code", [-1, 1])
def test_a_code_outside_is_refused(code):
    with pytest.raises(IndexError, match=r"outside 0\.\.0"):
        IdMap(["a"]).decode([code])


def test_the_same_set_of_values_gets_the_same_codes():
    assert IdMap.from_values(["b", "a", "b"]) == IdMap.from_values(["a", "b"])
    assert IdMap.from_values(["b", "a"]) != IdMap(["b", "a"])


def test_an_identifier_may_occur_once():
    with pytest.raises(ValueError, match="duplicate identifier 'a'"):
        IdMap(["a", "b", "a"])


def test_numbers_become_strings():
    assert IdMap([10, 9]).code("9") == 1


def test_an_empty_map_is_one():
    assert len(IdMap([])) == 0
    assert IdMap([]).encode(["a"]).tolist() == [UNKNOWN]
