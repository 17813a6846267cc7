import numpy as np
import pytest

from personalens.evaluation.ranking_metrics import action_metrics, area_under_curve


def test_areas():
    scores = np.array([0.9, 0.8, 0.2, 0.1])
    assert area_under_curve(scores, np.array([True, True, False, False])) == 1.0
    assert area_under_curve(scores, np.array([False, False, True, True])) == 0.0
    assert area_under_curve(np.ones(4), np.array([True, False, True, False])) == 0.5
    assert np.isnan(area_under_curve(scores, np.ones(4, bool)))


def test_figures_by_hand():
    ranked = np.array([[0, 1, 2], [2, 0, -1], [1, 0, 2]])
    truths = [np.array([1]), np.array([2, 1]), np.array([], int)]
    figures = action_metrics(ranked, truths, [0.75, float("nan"), 0.25], 4)
    assert figures["coverage"] == 3 / 4
    assert figures["area_under_curve"] == 0.5
    # The third user took nothing and does not count; K is 5 though the lists have 3.
    assert figures["precision_at_5"] == pytest.approx((1 / 5 + 1 / 5) / 2)
    assert figures["recall_at_5"] == pytest.approx((1 + 1 / 2) / 2)
    # The first hit stands second, that of the other user first.
    ndcg = (1 / np.log2(3) + 1) / 2
    assert figures["normalized_discounted_cumulative_gain_at_25"] == pytest.approx(ndcg)


def test_nobody_took_anything():
    figures = action_metrics(np.array([[0]]), [np.array([], int)], [float("nan")], 2)
    assert figures.pop("coverage") == 0.5
    assert set(figures.values()) == {0.0}
