"""aws-hrnn-coldstart: the contract, and which items are cold."""

from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from personalens.recipes import hrnn_coldstart
from personalens.recipes.hrnn_coldstart import HRNNColdstart
from personalens.testing.recipe_contract import RecipeContract
from personalens.training.options import TrainingOptions

DAY = 86_400
QUICK = TrainingOptions(max_epochs=1)


@pytest.fixture(autouse=True)
def few_cold_items_are_enough(monkeypatch):
    monkeypatch.setattr(hrnn_coldstart, "FEWEST_COLD_ITEMS", 0)


class TestHRNNColdstart(RecipeContract):
    recipe = HRNNColdstart
    overrides: ClassVar[dict[str, Any]] = {  # so that everything in the tiny world is cold
        "hidden_dimension": 32,
        "training": TrainingOptions(max_epochs=3),
        "cold_start_max_interactions": 1000,
        "cold_start_max_duration": 1000.0,
    }
    floor = 0.5


def events() -> pd.DataFrame:
    """Over 100 days everybody has the old items; the new ones came 4 and 6 days before the end."""
    rows = [(f"u{user}", f"old-{user % 4}", user * DAY) for user in range(100)]
    rows += [
        ("u1", "four-days", 96 * DAY),
        ("u2", "six-days", 94 * DAY),
        ("u3", "old-1", 100 * DAY),
    ]
    rows += [(f"u{user}", "a-hit", 99 * DAY) for user in range(30)]
    return pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"])


def items() -> pd.DataFrame:
    names = ["old-0", "old-1", "old-2", "old-3", "four-days", "six-days", "a-hit", "nobodys"]
    return pd.DataFrame({"ITEM_ID": names, "KIND": list("ababaaba")})


def cold_items(model: HRNNColdstart) -> set[str]:
    return set(model.items_.ids[model.cold_])


def test_cold_is_what_has_few_interactions_all_of_them_lately():
    fit = HRNNColdstart(training=QUICK).fit(events(), items=items())
    assert cold_items(fit) == {"four-days", "nobodys"}
    longer = HRNNColdstart(cold_start_max_duration=6.5, training=QUICK).fit(events(), items=items())
    assert cold_items(longer) == {"four-days", "six-days", "nobodys"}
    more = HRNNColdstart(cold_start_max_interactions=30, training=QUICK)
    assert cold_items(more.fit(events(), items=items())) == {"four-days", "a-hit", "nobodys"}
    now = HRNNColdstart(cold_start_relative_from="currentTime", training=QUICK)
    assert cold_items(now.fit(events(), items=items())) == {"nobodys"}


def test_cold_items_come_first_and_have_all_of_the_shares():
    model = HRNNColdstart(training=QUICK).fit(events(), items=items())
    ranked = model.recommend(["u5", "somebody new"], k=8)
    for _, table in ranked.groupby("USER_ID"):
        assert set(table.ITEM_ID[:2]) == {"four-days", "nobodys"}
        shares = np.exp(table.SCORE - table.SCORE.max())
        assert shares.iloc[2:].sum() / shares.sum() < 1e-6


def test_too_few_cold_items_are_refused(monkeypatch):
    monkeypatch.setattr(hrnn_coldstart, "FEWEST_COLD_ITEMS", 3)
    with pytest.raises(ValueError, match="found 2 cold items; it needs 3 to 80,000"):
        HRNNColdstart(training=QUICK).fit(events(), items=items())


def test_what_is_cold_survives_saving_and_is_counted_anew_in_an_update(tmp_path):
    model = HRNNColdstart(training=QUICK).fit(events(), items=items())
    model.save(tmp_path / "model")
    loaded = HRNNColdstart.load(tmp_path / "model")
    assert np.array_equal(loaded.cold_, model.cold_)
    more = pd.concat([events(), events().assign(TIMESTAMP=lambda t: t.TIMESTAMP + 3 * DAY)])
    later = loaded.update(more, items=items())
    assert cold_items(later) == {"nobodys"}


def test_the_limits_are_those_of_the_service():
    config = HRNNColdstart.Config()
    assert (config.hidden_dimension, config.cold_start_max_interactions) == (149, 15)
    assert (config.cold_start_max_duration, config.cold_start_relative_from) == (5.0, "latestItem")
    with pytest.raises(ValueError, match="cold_start_max_duration"):
        HRNNColdstart(cold_start_max_duration=0.0)
    with pytest.raises(ValueError, match="cold_start_relative_from"):
        HRNNColdstart(cold_start_relative_from="yesterday")
