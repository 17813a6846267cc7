import pandas as pd

from personalens.recipes.popularity_count import PopularityCount
from personalens.testing.recipe_contract import RecipeContract
from personalens.testing.tiny_world import HIT


class TestPopularityCount(RecipeContract):
    recipe = PopularityCount

    def test_it_is_as_far_ahead_as_it_claims(self, model):
        assert model.recommend([self.unknown], k=1).ITEM_ID.tolist() == [HIT]


def ranking(rows):
    events = pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"])
    return PopularityCount().fit(events).recommend(["anybody"], k=10)


def test_users_count_and_not_events():
    table = ranking([("1", "often", t) for t in range(9)] + [("1", "wide", 0), ("2", "wide", 0)])
    assert table.ITEM_ID.tolist() == ["wide", "often"]
    assert table.SCORE.astype(int).tolist() == [2, 1]


def test_ties_go_to_more_events_then_to_the_newer_then_to_the_first_name():
    table = ranking(
        [
            ("1", "d-once", 5),
            ("1", "c-twice", 1),
            ("1", "c-twice", 2),
            ("1", "b-newer", 6),
            ("2", "a-twin", 5),
            ("2", "e-old", 0),
        ]
    )
    assert table.ITEM_ID.tolist() == ["c-twice", "b-newer", "a-twin", "d-once", "e-old"]


def test_the_list_is_the_same_for_everyone():
    model = PopularityCount().fit(
        pd.DataFrame({"USER_ID": list("112"), "ITEM_ID": list("aba"), "TIMESTAMP": 0})
    )
    table = model.recommend(["1", "2", "new"], k=2)
    assert table.ITEM_ID.tolist() == ["a", "b"] * 3
