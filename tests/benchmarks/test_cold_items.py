"""The benchmark of hidden items: what is hidden, what is right, what chance finds."""

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.interactions import Interactions
from personalens.testing.tiny_world import tiny_world


@pytest.fixture
def case():
    from benchmarks.cold_items import HiddenHalf

    return HiddenHalf(tiny_world().interactions, seed=0)


def test_half_of_the_items_lose_all_their_events_and_are_what_is_right(case):
    world = tiny_world().frame
    assert len(case.hidden) == 49 // 2
    assert set(case.hidden).isdisjoint(case.known.items.ids)
    assert np.bincount(case.known.user_codes).min() >= 5
    for row, user in enumerate(case.known.users.ids[:5]):
        had = set(world.ITEM_ID[user == world.USER_ID])
        assert set(case.hidden[case.truths[row]]) == had & set(case.hidden)


def test_precision_is_the_share_of_right_ones_among_ten(case):
    perfect = case.precision(case.truths.astype(float))
    assert perfect == pytest.approx(np.minimum(case.truths.sum(1), 10) / 10)


def test_genres_alone_tell_much_more_than_chance(case):
    from benchmarks.cold_items import measure

    genres = tiny_world().genre
    items = pd.DataFrame({"ITEM_ID": list(genres), "GENRES": list(genres.values())})
    figures = measure(case, "aws-user-personalization", 0, {"items": items, "users": None})
    assert figures["ratio"] > 1.7  # a user has had a third of their genre, so 3 at most
    assert figures["ratio"] == pytest.approx(figures["precision_at_10"] / figures["random"])
    assert isinstance(case.known, Interactions)
