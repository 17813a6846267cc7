"""The two worked examples of a recipe from outside the package keep the contract of all recipes."""

from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from personalens.testing.recipe_contract import RecipeContract
from tests.recipes.examples.ease import EASE
from tests.recipes.examples.markov_chain import MarkovChain


class TestEASE(RecipeContract):
    recipe = EASE
    overrides: ClassVar[dict[str, Any]] = {"penalty": 10.0}
    floor = 0.05

    def test_the_weights_are_those_of_the_closed_form(self):
        events = pd.DataFrame({"USER_ID": list("1122"), "ITEM_ID": list("abbc"), "TIMESTAMP": 0})
        model = EASE(penalty=1.0).fit(events)
        had = np.array([[1, 1, 0], [0, 1, 1]])
        inverse = np.linalg.inv(had.T @ had + np.eye(3))
        expected = np.eye(3) - inverse / np.diag(inverse)
        assert model.weights_ == pytest.approx(expected, abs=1e-6)


class TestMarkovChain(RecipeContract):
    recipe = MarkovChain
    floor = 0.05

    def test_the_chances_are_interpolated_and_sum_to_one(self):
        events = pd.DataFrame({"USER_ID": "u", "ITEM_ID": list("abac"), "TIMESTAMP": range(4)})
        model = MarkovChain(smoothing=2.0).fit(events)
        # After a came b once and c once; P(a), P(b), P(c) are 1/2, 1/4, 1/4.
        assert model.chances_[0] == pytest.approx([(0 + 1) / 4, (1 + 0.5) / 4, (1 + 0.5) / 4])
        assert model.chances_.sum(axis=1) == pytest.approx(1.0)
