"""Promoted items: how many, which, in which order, at which places."""

from __future__ import annotations

import numpy as np
import pytest

from personalens.runtime.answering import Promotion, place_promoted

SCORES = np.array([9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0])
LATE = np.arange(10) >= 6


def place(percent, chosen=LATE, allowed=None, results=5, seed=0):
    rng = np.random.default_rng(seed)
    return place_promoted(SCORES, allowed, Promotion(percent, chosen), results, rng)


@pytest.mark.parametrize(("percent", "count"), [(1, 0), (20, 1), (40, 2), (60, 3), (100, 4)])
def test_their_share_is_kept_as_far_as_there_are_such_items(percent, count):
    codes, promoted = place(percent)
    assert promoted.sum() == count
    assert len(set(codes)) == 5


def test_both_kinds_keep_the_order_of_their_scores():
    codes, promoted = place(40)
    assert codes[promoted].tolist() == [6, 7]
    assert codes[~promoted].tolist() == [0, 1, 2]


def test_the_places_are_drawn_and_any_place_can_be_drawn():
    places = [tuple(np.flatnonzero(place(40, seed=seed)[1])) for seed in range(200)]
    assert len(set(places)) == 10  # all pairs of five places
    assert places[3] == tuple(np.flatnonzero(place(40, seed=3)[1]))


def test_each_filter_governs_its_own_items_only():
    codes, promoted = place(40, allowed=SCORES >= 8)
    assert codes[promoted].tolist() == [6, 7]
    assert codes[~promoted].tolist() == [0, 1]


def test_others_take_the_places_that_cannot_be_filled():
    codes, promoted = place(40, chosen=np.zeros(10, bool))
    assert codes.tolist() == [0, 1, 2, 3, 4]
    assert not promoted.any()
