import numpy as np
import pandas as pd
import pytest

from personalens.datasets.metadata import Metadata
from personalens.recipes.item_affinity import ItemAffinity
from personalens.recipes.item_attribute_affinity import (
    ItemAttributeAffinity,
    items_with_attributes,
    parse_attribute_expression,
)
from personalens.testing.contracts_by_type import SegmentContract
from personalens.testing.tiny_world import tiny_world

QUICK = {"hidden_dimension": 32}


class TestItemAffinity(SegmentContract):
    recipe = ItemAffinity
    overrides = QUICK
    known = "noir-03"
    floor = 0.2  # only two or three of the genre's ten have not had it yet


class TestItemAttributeAffinity(SegmentContract):
    recipe = ItemAttributeAffinity
    overrides = QUICK
    known = 'ITEMS.genre = "noir"'
    floor = 1.0

    def tables(self):
        genres = ["noir", *["noir"] * 2]  # of the films of test_next_to_nothing_is_enough
        few = pd.DataFrame({"ITEM_ID": ["a", "b", "c"], "GENRE": genres})
        return {"items": pd.concat([tiny_world().items, few])}

    def test_an_attribute_nobody_has_is_refused(self, model):
        with pytest.raises(ValueError, match=r'matches ITEMS\.genre = "opera"'):
            model.segment(['ITEMS.genre = "opera"'])

    def test_attributes_are_needed(self, world):
        with pytest.raises(ValueError, match="needs items with at least one field"):
            ItemAttributeAffinity().fit(world.interactions)


def test_who_has_had_a_film_is_the_last_to_come_where_nobody_comes_back():
    world = tiny_world()
    model = ItemAffinity(**QUICK).fit(world.interactions)
    had = set(world.frame.USER_ID[world.frame.ITEM_ID == "noir-03"])
    fans = [user for user in world.next_item if user.startswith("noir")]
    table = model.segment(["noir-03"], k=len(world.next_item))
    places = dict(zip(table.USER_ID, table.RANK, strict=True))
    new = [fan for fan in fans if fan not in had]
    assert {places[fan] for fan in new} == set(range(1, len(new) + 1))


def test_where_people_come_back_those_who_had_it_come_first():
    daily = pd.DataFrame(
        {
            "USER_ID": np.repeat(["tea", "coffee", "both"], 20),
            "ITEM_ID": ["tea"] * 20 + ["coffee"] * 20 + ["tea", "coffee"] * 10,
            "TIMESTAMP": range(60),
        }
    )
    table = ItemAffinity(**QUICK).fit(daily).segment(["tea"], k=3)
    assert table.USER_ID.tolist()[2] == "coffee"


def test_a_kind_is_the_sum_of_its_items():
    world = tiny_world()
    model = ItemAttributeAffinity(**QUICK).fit(world.interactions, items=world.items)
    codes = model.matching_items('ITEMS.GENRE = "noir"')
    assert model.items_.decode(codes).tolist() == [f"noir-{film:02}" for film in range(12)]
    together = model.score_users([codes])[0]
    alone = model.score_users([codes[place : place + 1] for place in range(12)])
    np.testing.assert_allclose(together, alone.sum(axis=0), rtol=1e-4)


@pytest.fixture
def films():
    frame = pd.DataFrame({"ITEM_ID": ["1", "2", "3"], "YEAR": [1994, 1995, np.nan]})
    frame["GENRES"] = ["Drama|War", "Drama", None]
    frame["PLOT"] = ["a war", "a drama", None]
    return Metadata.from_frame(frame, "ITEM_ID", text=("PLOT",))


@pytest.mark.parametrize(
    ("expression", "codes"),
    [
        ('ITEMS.genres = "Drama"', [0, 1]),
        ('Items.GENRES="War"', [0]),
        ('ITEMS.genres = "Drama" AND ITEMS.year = "1995"', [1]),
        ('ITEMS.genres = "War" and ITEMS.genres = "Drama"', [0]),
        ('ITEMS.year = "1994.0"', [0]),
        ('ITEMS.genres = "Drama|War"', []),
    ],
)
def test_expressions_choose_items(films, expression, codes):
    assert items_with_attributes(films, expression).tolist() == codes


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "cannot read"),
        ('ITEMS.genres != "Drama"', "cannot read"),
        ('ITEMS.genres = "Drama" OR ITEMS.genres = "War"', "cannot read"),
        ('USERS.age = "3"', "cannot read"),
        ('ITEMS.genres = "Drama" ITEMS.year = "1995"', "cannot read"),
        ('ITEMS.price = "3"', "no field 'price' that can be asked for; choose YEAR, GENRES"),
        ('ITEMS.plot = "a war"', "no field 'plot'"),
        ('ITEMS.year = "late"', "YEAR holds numbers; 'late' is none"),
    ],
)
def test_other_expressions_are_refused(films, expression, message):
    with pytest.raises(ValueError, match=message):
        items_with_attributes(films, expression)


def test_quotes_in_a_value_are_escaped():
    assert parse_attribute_expression(r'ITEMS.title = "the \"best\" \\ film"') == [
        ("title", r"the " r'"best" \ film')
    ]
