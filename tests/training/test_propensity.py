import numpy as np
import pytest
from scipy.special import expit

from personalens.recipes.next_best_action import Propensity


def test_without_features_it_is_the_share_of_each_group():
    groups = np.repeat([0, 1], [10, 40])
    outcomes = np.r_[np.arange(10) < 3, np.arange(40) < 30]
    model = Propensity.fit(np.zeros((50, 2)), groups, outcomes, 3)
    shares = expit(model.logits(np.zeros((2, 2)), np.array([0, 1])))
    assert shares.tolist() == pytest.approx([0.3, 0.75], abs=1e-4)
    assert expit(model.intercepts[2]) == pytest.approx(0.5)  # a group that was never seen


def test_weights_are_found_again():
    rng = np.random.default_rng(0)
    features, groups = rng.normal(size=(20_000, 2)), rng.integers(0, 2, 20_000)
    true = np.array([[1.0, -0.5], [1.0, 0.5]])
    chance = expit(np.array([-1.0, 0.5])[groups] + (features * true[groups]).sum(axis=1))
    model = Propensity.fit(features, groups, rng.random(20_000) < chance, 2)
    np.testing.assert_allclose(model.shared + model.own, true, atol=0.1)
    np.testing.assert_allclose(model.intercepts, [-1.0, 0.5], atol=0.1)


def test_a_thin_group_keeps_to_the_others():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(5_010, 1))
    groups = np.repeat([0, 1], [5_000, 10])
    outcomes = rng.random(5_010) < expit(2 * features[:, 0])
    model = Propensity.fit(features, groups, outcomes, 2)
    assert (model.shared + model.own[1])[0] == pytest.approx(2, abs=0.4)


def test_no_examples_no_opinion():
    model = Propensity.fit(np.zeros((0, 3)), np.zeros(0, int), np.zeros(0, bool), 2)
    assert expit(model.logits(np.ones((2, 3)), np.array([0, 1]))).tolist() == [0.5, 0.5]
