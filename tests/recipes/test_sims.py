import pandas as pd
import pytest
from pydantic import ValidationError

from personalens.recipes.sims import SIMS
from personalens.testing.recipe_contract import RelatedItemsContract

ALL_ITEMS = {"max_item_interaction_count_percentile": 1.0}


class TestSIMS(RelatedItemsContract):
    recipe = SIMS
    floor = 0.95


def baskets(*contents):
    rows = [(f"u{user}", item, 0) for user, items in enumerate(contents) for item in items]
    return pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"])


@pytest.fixture
def shop():
    """bread is in every basket; tea and pot always come together, with three others at most."""
    together = [["bread", "tea", "pot"]] * 4
    return baskets(*together, *[["bread", "jam"]] * 5, *[["bread"]] * 6)


def related(events, item, k=3, **hyperparameters):
    model = SIMS(**{**ALL_ITEMS, "min_cointeraction_count": 1, **hyperparameters}).fit(events)
    return model.similar([item], k=k)


def test_similarities_by_hand(shop):
    # tea has 4 users, pot the same 4, bread all 15.
    cosine = related(shop, "tea")
    assert cosine.ITEM_ID.tolist() == ["pot", "bread", "jam"]
    assert cosine.SCORE[:2].tolist() == pytest.approx([1.0, 4 / (4 * 15) ** 0.5])
    assert cosine.SCORE[2] < 0  # jam has no user in common: only a popular item behind
    share_of_tea = related(shop, "tea", popularity_discount_factor=0.0)
    assert share_of_tea.SCORE[:2].tolist() == pytest.approx([1.0, 1.0])
    share_of_bread = related(shop, "tea", popularity_discount_factor=1.0)
    assert share_of_bread.SCORE[:2].tolist() == pytest.approx([1.0, 4 / 15])


def test_the_discount_decides_between_popular_and_particular(shop):
    # Of pot's 4 users 4 have bread; take one tea away and it has 3 of them.
    events = shop.drop(shop.index[(shop.USER_ID == "u0") & (shop.ITEM_ID == "tea")])
    popular_wins = related(events, "pot", popularity_discount_factor=0.0)
    assert popular_wins.ITEM_ID.tolist()[0] == "bread"
    popularity_removed = related(events, "pot", popularity_discount_factor=1.0)
    assert popularity_removed.ITEM_ID.tolist()[0] == "tea"


def test_chance_meetings_do_not_count(shop):
    events = pd.concat([shop, baskets(["rare", "oddity"]).assign(USER_ID="new")])
    met_once = related(events, "rare", k=1, min_cointeraction_count=1)
    assert met_once.ITEM_ID.tolist() == ["oddity"]
    assert met_once.SCORE[0] == pytest.approx(1.0)
    unrelated = related(events, "rare", k=2, min_cointeraction_count=2)
    assert unrelated.ITEM_ID.tolist() == ["bread", "jam"]  # the popular items instead
    assert (unrelated.SCORE < 0).all()


def test_items_above_the_percentile_get_and_are_no_neighbours(shop):
    # bread has 15 events, the others 4, 4 and 5: the 90th percentile keeps all below the top.
    extra = baskets(*[[f"filler-{n}"] for n in range(12)])
    events = pd.concat([shop, extra.assign(USER_ID=[f"x{n}" for n in range(12)])])
    model = SIMS(min_cointeraction_count=1, max_item_interaction_count_percentile=0.9).fit(events)
    table = model.similar(["tea", "bread"], k=2)
    assert table.ITEM_ID.tolist() == ["pot", "bread", "jam", "pot"]
    # Behind pot, bread follows only as a popular item; and bread's own list is the popular items.
    assert (table.SCORE > 0).tolist() == [True, False, False, False]


def test_extreme_histories_do_not_train():
    # A robot had everything; without it the two pairs have nothing in common.
    events = baskets(*[["a", "b"]] * 10, *[["c", "d"]] * 10, [*"abcdefgh"])
    with_robot = related(events, "a", k=3, max_user_history_length_percentile=1.0)
    assert (with_robot.SCORE > 0).tolist() == [True, True, True]
    without = related(events, "a", k=3, max_user_history_length_percentile=0.9)
    assert (without.SCORE > 0).tolist() == [True, False, False]


def test_percentiles_must_be_in_order():
    with pytest.raises(ValidationError, match=r"0\.5 is above max_user_history_length_p"):
        SIMS(min_user_history_length_percentile=0.5, max_user_history_length_percentile=0.4)
