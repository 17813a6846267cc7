"""An aim beside taste: what it adds to scores, and that a saved model keeps it."""

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.metadata import Metadata
from personalens.recipes.objective import SENSITIVITIES, Objective
from personalens.recipes.popularity_count import PopularityCount
from personalens.testing.tiny_world import same_scores

EVENTS = pd.DataFrame({"USER_ID": list("123123"), "ITEM_ID": list("aaabbc"), "TIMESTAMP": range(6)})
ITEMS = Metadata.from_frame(
    pd.DataFrame({"ITEM_ID": list("dcba"), "PRICE": [9.0, 3.0, 1.0, 2.0]}), "ITEM_ID"
)


def test_the_bonus_is_in_standard_deviations_and_bounded():
    values = np.array([1.0, 1.0, 3.0, 3.0, np.nan])
    assert Objective.of(values, "HIGH").bonus.tolist() == [-1, -1, 1, 1, 0]
    assert Objective.of(values, "LOW").bonus.tolist() == [-0.25, -0.25, 0.25, 0.25, 0]
    outlier = np.array([0.0] * 99 + [1.0])
    assert Objective.of(outlier, "HIGH").bonus.max() == 3.0


@pytest.mark.parametrize("values", [[2.0, 2.0], [np.nan, np.nan]])
def test_an_attribute_that_tells_nothing_adds_nothing(values):
    assert Objective.of(np.array(values), "HIGH").bonus.tolist() == [0, 0]


def test_rewards_are_the_attribute_without_losses():
    values = np.array([1.5, -2.0, np.nan])
    assert Objective.of(values, "OFF").rewards.tolist() == [1.5, 0, 0]


def test_an_unknown_sensitivity_is_refused():
    with pytest.raises(ValueError, match="'SOME'; choose OFF, LOW, MEDIUM, HIGH"):
        Objective.of(np.array([1.0]), "SOME")


@pytest.mark.parametrize("sensitivity", SENSITIVITIES)
def test_a_model_adds_the_bonus_of_its_items_and_keeps_it(tmp_path, sensitivity):
    model = PopularityCount().fit(EVENTS)
    plain = model.score([model.history("1")])
    model.optimize_for(ITEMS, "PRICE", sensitivity)
    prices = np.array([2.0, 1.0, 3.0])  # of a, b and c
    deviations = (prices - 2.0) / np.sqrt(2 / 3)
    expected = plain + SENSITIVITIES[sensitivity] * deviations
    assert model.score([model.history("1")]) == pytest.approx(expected)
    model.save(tmp_path / "model")
    loaded = PopularityCount.load(tmp_path / "model")
    assert same_scores(loaded.score([model.history("1")]), model.score([model.history("1")]))
    assert loaded.objective_.rewards.tolist() == prices.tolist()
