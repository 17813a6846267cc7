import numpy as np
import pandas as pd
import pytest

from personalens.datasets.metadata import Metadata
from personalens.recipes import similar_items
from personalens.recipes.similar_items import SimilarItems, expected_vectors, metadata_vectors
from personalens.testing.recipe_contract import RelatedItemsContract
from personalens.testing.tiny_world import HIT, tiny_world

QUICK = {"item_id_hidden_dim": 30, "item_metadata_hidden_dim": 30}


class TestSimilarItems(RelatedItemsContract):
    recipe = SimilarItems
    overrides = QUICK
    floor = 0.75  # at a discount of 0 the one film that everybody has had is in every list

    def tables(self):
        return {"items": tiny_world().items}


class TestSimilarItemsWithoutMetadata(RelatedItemsContract):
    recipe = SimilarItems
    overrides = QUICK | {"popularity_discount_factor": 1.0}
    floor = 0.95


def events(*histories):
    rows = [(f"u{u}", item, n) for u, items in enumerate(histories) for n, item in enumerate(items)]
    return pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"])


def test_counted_pairs_by_hand(monkeypatch):
    monkeypatch.setattr(similar_items, "EXPECTED_PAIRS", 1e-6)
    model = SimilarItems(**QUICK).fit(events("abc", "ab", "db"))
    # Beside a: b twice at distance 1, c once at distance 2, which counts 0.95.
    table = model.similar(["a"], k=2)
    assert table.ITEM_ID.tolist() == ["b", "c"]
    assert table.SCORE.tolist() == pytest.approx([2 / 2.95, 0.95 / 2.95], rel=1e-4)


def test_the_discount_divides_by_popularity(monkeypatch):
    monkeypatch.setattr(similar_items, "EXPECTED_PAIRS", 1e-6)
    model = SimilarItems(**QUICK, popularity_discount_factor=1.0).fit(events("abc", "ab", "db"))
    # Of 7 events, half an event added for each of 4 items, b has 3.5 / 9 and c 1.5 / 9.
    table = model.similar(["a"], k=2)
    assert table.ITEM_ID.tolist() == ["c", "b"]
    scores = [0.95 / 2.95 / (1.5 / 9), 2 / 2.95 / (3.5 / 9)]
    assert table.SCORE.tolist() == pytest.approx(scores, rel=1e-4)


def test_a_new_film_is_related_to_the_films_of_its_genre():
    world = tiny_world()
    new = pd.DataFrame({"ITEM_ID": ["new"], "GENRE": ["noir"], "NUMBER": [np.nan]})
    items = pd.concat([world.items, new])
    model = SimilarItems(**QUICK, popularity_discount_factor=0.5)
    model.fit(world.interactions, items=items)
    table = model.similar(["new"], k=12)
    assert (table.ITEM_ID.map(world.genre) == "noir").mean() > 0.8
    # And it is found from there, which popularity alone would never bring about.
    by_place = SimilarItems(**QUICK, popularity_discount_factor=1.0)
    by_place.fit(world.interactions, items=items)
    assert "new" in by_place.similar(["noir-03"], k=12).ITEM_ID.tolist()


def test_what_does_not_divide_users_does_not_divide_items():
    # Two kinds of viewers; GENRE divides the films as they do, POSTER does not.
    rng = np.random.default_rng(3)
    histories = [rng.permutation([f"{kind}{n}" for n in range(10)]) for kind in "xy" * 40]
    films = [f"{kind}{n}" for kind in "xy" for n in range(10)]
    frame = pd.DataFrame({"ITEM_ID": [*films, "new"], "GENRE": ["x"] * 10 + ["y"] * 10 + ["x"]})
    frame["POSTER"] = ["red", "blue"] * 10 + ["red"]
    model = SimilarItems(**QUICK).fit(events(*histories), items=frame)
    table = model.similar(["new"], k=10)
    assert set(table.ITEM_ID) == set(films[:10])


def test_metadata_vectors_are_near_where_values_are_shared():
    frame = pd.DataFrame({"ITEM_ID": list("abcd"), "GENRE": ["x|y", "x", "z", None]})
    frame["YEAR"] = [1990.0, 1990.0, 2020.0, np.nan]
    frame["CREATION_TIMESTAMP"] = [1, 2, 1, 2]
    vectors = metadata_vectors(Metadata.from_frame(frame, "ITEM_ID"), 30)
    products = vectors @ vectors.T
    assert products[0, 1] > 1  # the year, and one of two genres
    assert products[0, 2] == pytest.approx(0, abs=1e-5)
    assert not vectors[3].any()
    assert products[2, 2] == pytest.approx(2, rel=1e-5)  # both fields, of length 1 each


def test_items_without_fields_have_no_vectors():
    frame = pd.DataFrame({"ITEM_ID": ["a"], "CREATION_TIMESTAMP": [1]})
    assert not metadata_vectors(Metadata.from_frame(frame, "ITEM_ID"), 30).any()


def test_the_map_is_learned_from_items_with_events():
    metadata = np.array([[1.0, 0], [0, 1], [1, 1]])
    own = np.array([[2.0], [4.0], [99.0]])
    foretold = expected_vectors(metadata, own, np.array([1e6, 1e6, 0.0]))
    assert foretold[:2, 0].tolist() == pytest.approx([2, 4], abs=0.1)
    assert foretold[2, 0] != pytest.approx(99, abs=50)


def test_the_hit_is_popular_with_an_item_nobody_knows():
    assert (
        SimilarItems(**QUICK).fit(tiny_world().interactions).similar(["?"], k=1).ITEM_ID[0] == HIT
    )
