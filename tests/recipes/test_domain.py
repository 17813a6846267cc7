"""The domains' recipes: which events they learn from, and what they hide from whom."""

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.interactions import Interactions
from personalens.recipes import registry
from personalens.recipes.domain import (
    BecauseYouWatchedX,
    CustomersWhoViewed,
    DomainRecipe,
    FrequentlyBoughtTogether,
    MoreLikeX,
    MostPopular,
    PopularByPurchases,
    PopularByViews,
    RecommendedForYou,
    TopPicks,
    VideoTrendingNow,
)
from personalens.recipes.popularity_count import PopularityCount
from personalens.recipes.similar_items import SimilarItems
from personalens.recipes.trending_now import TrendingNow
from personalens.recipes.user_personalization import UserPersonalization
from personalens.testing.tiny_world import same_scores, tiny_world
from personalens.training.options import TrainingOptions

QUICK_ITEMS = {"item_id_hidden_dim": 30, "item_metadata_hidden_dim": 30}
QUICK_USERS = {"hidden_dimension": 32, "training": TrainingOptions(max_epochs=1)}
FACTS = [
    # recipe, learns from, hides
    ("aws-vod-because-you-watched-x", BecauseYouWatchedX, "Watch", "Watch"),
    ("aws-vod-more-like-x", MoreLikeX, None, "Watch"),
    ("aws-vod-most-popular", MostPopular, "Watch", None),
    ("aws-vod-trending-now", VideoTrendingNow, None, None),
    ("aws-vod-top-picks", TopPicks, None, "Watch"),
    ("aws-ecomm-popular-items-by-views", PopularByViews, "View", None),
    ("aws-ecomm-popular-items-by-purchases", PopularByPurchases, "Purchase", None),
    ("aws-ecomm-frequently-bought-together", FrequentlyBoughtTogether, "Purchase", None),
    ("aws-ecomm-customers-who-viewed-x-also-viewed", CustomersWhoViewed, "View", "Purchase"),
    ("aws-ecomm-recommended-for-you", RecommendedForYou, None, "Purchase"),
]


@pytest.mark.parametrize(("name", "recipe", "trains_on", "hides"), FACTS)
def test_the_rules_of_the_service(name, recipe, trains_on, hides):
    entry = registry.get(name)
    assert entry.recipe is recipe
    assert entry.domain == ("VIDEO_ON_DEMAND" if "-vod-" in name else "ECOMMERCE")
    assert (recipe.trains_on, recipe.hides) == (trains_on, hides)
    assert not recipe.has_scores


@pytest.mark.parametrize(
    ("recipe", "base"),
    [
        (BecauseYouWatchedX, SimilarItems),
        (MoreLikeX, SimilarItems),
        (FrequentlyBoughtTogether, SimilarItems),
        (CustomersWhoViewed, SimilarItems),
        (MostPopular, PopularityCount),
        (PopularByViews, PopularityCount),
        (PopularByPurchases, PopularityCount),
        (VideoTrendingNow, TrendingNow),
        (TopPicks, UserPersonalization),
        (RecommendedForYou, UserPersonalization),
    ],
)
def test_each_is_the_recipe_it_stands_on_for_the_events_that_it_learns_from(recipe, base):
    world = tiny_world()
    frame = world.frame.replace({"EVENT_TYPE": {"watch": recipe.trains_on or "watch"}})
    learned = frame[frame.EVENT_TYPE != "click"] if recipe.trains_on else frame
    options = {SimilarItems: QUICK_ITEMS, UserPersonalization: QUICK_USERS}.get(base, {})
    mine = recipe(**options).fit(frame, items=world.items)
    plain = base(**options).fit(learned, items=world.items)
    assert mine.items_ == plain.items_
    if base is SimilarItems:
        items = np.arange(len(mine.items_))
        assert same_scores(mine.score_related(items), plain.score_related(items))
    else:
        histories = [mine.history(user) for user in (*world.next_item, "a stranger")]
        assert same_scores(mine.score(histories), plain.score(histories))


def test_there_are_ten():
    of_domains = [entry for entry in registry.RECIPES.values() if entry.domain]
    assert len(of_domains) == len(FACTS) == 10
    assert all(issubclass(entry.recipe, DomainRecipe) for entry in of_domains)


@pytest.fixture
def shop():
    """Everyone looks at tea and pot and buys tea; bread is bought by two who look at nothing."""
    rows = [(f"u{n}", item, "View") for n in range(4) for item in ("tea", "pot")]
    rows += [(f"u{n}", "tea", "purchase") for n in range(2)]
    rows += [(f"v{n}", item, "Purchase") for n in range(3) for item in ("bread", "jam")]
    frame = pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "EVENT_TYPE"])
    return frame.assign(TIMESTAMP=range(len(frame)))


def test_popularity_counts_events_of_one_type(shop):
    def best(recipe, k):
        return set(recipe().fit(shop).recommend(["anyone"], k=k).ITEM_ID)

    assert best(PopularByViews, 2) == {"tea", "pot"}
    assert best(PopularByPurchases, 3) == {"bread", "jam", "tea"}


def test_bought_together_is_not_viewed_together(shop):
    bought = FrequentlyBoughtTogether(**QUICK_ITEMS).fit(shop)
    assert bought.similar(["bread"], k=1).ITEM_ID.tolist() == ["jam"]
    viewed = CustomersWhoViewed(**QUICK_ITEMS).fit(shop)
    assert viewed.similar(["pot"], k=1).ITEM_ID.tolist() == ["tea"]


def test_what_a_customer_bought_is_hidden_from_them_alone(shop):
    model = CustomersWhoViewed(**QUICK_ITEMS).fit(shop)
    assert "tea" not in model.similar(["pot"], k=9, user="u0").ITEM_ID.tolist()
    # u3 has looked at tea, but not bought it; nobody knows the stranger.
    for user in ("u3", "stranger", None):
        assert model.similar(["pot"], k=1, user=user).ITEM_ID.tolist() == ["tea"]


def test_without_events_of_the_type_it_says_so(shop):
    with pytest.raises(ValueError, match=r"learns from Watch events, and of the 16 .* none"):
        MostPopular().fit(shop)
    with pytest.raises(ValueError, match="none has the EVENT_TYPE View"):
        PopularByViews().fit(shop.drop(columns="EVENT_TYPE"))


@pytest.mark.parametrize("recipe", [BecauseYouWatchedX, MoreLikeX])
def test_watched_films_are_hidden_after_saving_too(recipe, tmp_path):
    world = tiny_world()
    recipe(**QUICK_ITEMS).fit(world.frame, items=world.items).save(tmp_path / "model")
    model = recipe.load(tmp_path / "model")
    own = world.frame[world.frame.USER_ID == "noir-fan-0"]
    watched = set(own.ITEM_ID[own.EVENT_TYPE == "watch"])
    clicked = set(own.ITEM_ID) - watched
    listed = set(model.similar(["space-00"], k=500, user="noir-fan-0").ITEM_ID)
    assert watched
    assert watched.isdisjoint(listed)
    assert clicked <= listed


def test_top_picks_leave_out_what_was_watched():
    world = tiny_world()
    model = TopPicks(**QUICK_USERS)
    model.fit(world.frame, items=world.items, refit=False)
    own = world.frame[world.frame.USER_ID == "noir-fan-0"]
    listed = set(model.recommend(["noir-fan-0"], k=500).ITEM_ID)
    assert listed == set(model.items_.ids) - set(own.ITEM_ID[own.EVENT_TYPE == "watch"])
    assert RecommendedForYou.hides != TopPicks.hides


@pytest.mark.parametrize("recipe", [MostPopular, MoreLikeX, VideoTrendingNow])
def test_they_can_be_measured(recipe):
    world = tiny_world()
    holdout = recipe.hold_out(world.interactions)
    assert recipe.trains_on is None or set(holdout.train.event_types) == {"watch"}
    metrics = recipe().fit(holdout.train).measure(holdout)
    assert metrics["coverage"] > 0


def test_the_figures_know_what_is_hidden():
    # Everyone watched both films, one of them twice at the end: it is hidden, and so never a hit.
    rows = [(f"u{n}", item) for n in range(20) for item in ("a", "b", "b")]
    frame = pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID"])
    frame = frame.assign(TIMESTAMP=range(60), EVENT_TYPE="Watch")

    def hits(recipe):
        holdout = recipe.hold_out(Interactions.from_frame(frame))
        return recipe().fit(holdout.train).measure(holdout)["mean_reciprocal_rank_at_25"]

    assert hits(MostPopular) > 0
    assert hits(BecauseYouWatchedX) == 0
