import pandas as pd
import pytest

from personalens.datasets.interactions import Interactions
from personalens.recipes.trending_now import SECONDS, TrendingNow
from personalens.testing.recipe_contract import RecipeContract

HOUR = 3600


class TestTrendingNow(RecipeContract):
    recipe = TrendingNow
    floor = -0.2  # what is next in the tiny world has nothing to do with what rises

    def test_it_can_be_measured_as_the_service_does(self, world):
        holdout = self.recipe.hold_out(world.interactions)
        metrics = self.fitted(holdout.train).measure(holdout)
        assert len(metrics) == 9
        assert all(0.0 <= value <= 1.0 for value in metrics.values())


def events(*rows):
    """(hours before the newest event, item, how many), all of different users."""
    table = [
        (f"{hours}-{item}-{n}", item, 100 * HOUR - int(hours * HOUR))
        for hours, item, count in rows
        for n in range(count)
    ]
    return pd.DataFrame(table, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"])


def trending(table, frequency="2 hours"):
    model = TrendingNow(trend_discovery_frequency=frequency).fit(table)
    rise = dict(zip(model.items_.ids, model.rise_.tolist(), strict=True))
    return model.recommend(["anyone"]).ITEM_ID.tolist(), rise


@pytest.fixture
def news():
    # Newest two hours, those before, and long ago.
    return events(
        *[(0, "quake", 1), (1.9, "quake", 5), (2, "quake", 1)],  # 6 after 1
        *[(1, "cup", 4), (3, "cup", 1)],  # 4 after 1
        *[(1, "weather", 7), (3.9, "weather", 7)],  # as before
        *[(3, "vote", 9)],  # over
        *[(50, "film", 30)],  # only popular
    )


def test_rises_by_hand(news):
    order, rise = trending(news)
    assert rise == {"quake": 5, "cup": 3, "weather": 0, "vote": -9, "film": 0}
    assert order == ["quake", "cup", "film", "weather", "vote"]


def test_the_frequency_is_the_length_of_the_intervals(news):
    # Within a day everything but the film is new.
    order, rise = trending(news, "1 day")
    assert rise == {"quake": 7, "cup": 5, "weather": 14, "vote": 9, "film": 0}
    assert order == ["weather", "vote", "quake", "cup", "film"]
    assert SECONDS["1 day"] == 24 * HOUR


def test_where_nothing_rose_the_list_is_the_popular_items():
    order, rise = trending(events((0, "a", 1), (3, "a", 2), (3, "b", 3), (9, "b", 3)))
    assert rise == {"a": -1, "b": -3}
    assert order == ["b", "a"]


def test_an_event_dated_in_the_future_ends_nobody_s_trend(news):
    order, rise = trending(news)
    future = pd.DataFrame([("wrong", "vote", 4_000_000_000)], columns=news.columns)
    dated, dated_rise = trending(pd.concat([news, future]))
    assert (dated, dated_rise) == (order, rise)
    assert trending(future) == (["vote"], {"vote": 0})


def test_foresight_by_hand():
    # Thirty items, so that a list of 25 leaves some out. Seen from two hours ago, the five "x" had
    # risen; the rest of that list are the popular "p", and no "q" is in it.
    popular = [(9, f"p{n:02}", 2) for n in range(20)]
    quiet = [(9, f"q{n}", 1) for n in range(5)]
    rising = [(3, f"x{n}", 1) for n in range(5)]
    now = [(0, "x0", 3), (0, "p00", 1), (0, "q0", 6)]
    table = events(*popular, *quiet, *rising, *now)
    # Two hours ago: x0 rises from 1 to 3, x1 to x4 fall from 1 to 0, p00 rises by 1, q0 by 6; of 9
    # the list has 2 - 4 + 1, which is below 0. Before that the x rose, and nothing told of them.
    assert TrendingNow().foresight(Interactions.from_frame(table)) == 0.0
    steady = events(*popular, *quiet, *rising, *[(0, f"x{n}", 3) for n in range(4)], *now[2:])
    # Now x0 to x3 rise by 2, x4 falls by 1: 7 of 8 + 6. The interval of the x counts 0 again, the
    # one before it has nothing that rises, and the oldest is not foretold.
    expected = (7 / 14 + 0) / 2
    assert TrendingNow().foresight(Interactions.from_frame(steady)) == pytest.approx(expected)
