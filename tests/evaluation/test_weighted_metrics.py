"""Figures in which some hits count more, against values computed by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.interactions import Interactions
from personalens.evaluation.holdouts import ServiceHoldout
from personalens.evaluation.offline_report import average_rewards, weighted_ndcg


@pytest.fixture
def holdout():
    """User u chose a (a purchase) and b (a view), user v chose c (a view)."""
    frame = pd.DataFrame({"USER_ID": list("uuv"), "ITEM_ID": list("abc"), "TIMESTAMP": range(3)})
    truths = replace(
        Interactions.from_frame(frame), event_weights=np.array([0.3, 0.1, 0.1], np.float32)
    )
    return ServiceHoldout(truths, truths, truths, np.array([0, 1], np.int32))


KNOWN = np.array([0, 1, 2], np.int32)


def test_a_heavy_hit_after_a_light_one_costs(holdout):
    # u's list is b, a: gains 0.1 and 0.3, the ideal has 0.3 first. v's list has its only hit first.
    ranked = np.array([[1, 0], [2, 0]])
    discount = 1 / np.log2(3)
    expected = (0.1 + 0.3 * discount) / (0.3 + 0.1 * discount)
    assert weighted_ndcg(ranked, holdout, KNOWN) == pytest.approx((expected + 1) / 2)
    assert weighted_ndcg(np.array([[0, 1], [2, 0]]), holdout, KNOWN) == pytest.approx(1.0)
    assert weighted_ndcg(np.array([[2, -1], [0, 1]]), holdout, KNOWN) == 0.0


def test_rewards_are_shares_of_what_the_choices_were_worth(holdout):
    rewards = np.array([3.0, 1.0, 5.0])
    assert average_rewards(np.array([[0, 2], [0, 1]]), holdout, KNOWN, rewards) == 3 / 8
    assert average_rewards(np.array([[0, 1], [2, 0]]), holdout, KNOWN, rewards) == 1.0


def test_truths_that_the_model_does_not_know_or_that_are_worth_nothing_do_not_count(holdout):
    rewards = np.array([0.0, 1.0])
    known = np.array([0, 1, -1], np.int32)
    assert average_rewards(np.array([[1, 0], [1, 0]]), holdout, known, rewards) == 1.0
    assert average_rewards(np.array([[1, 0]] * 2), holdout, known, np.zeros(2)) == 0.0
    assert weighted_ndcg(np.array([[1, -1], [-1, -1]]), holdout, known) == pytest.approx(0.5)
