import numpy as np
import pytest

from personalens.evaluation.ranking_metrics import trend_prediction_accuracy


def test_the_items_that_rose_most_are_the_best_list():
    rise = np.arange(-10, 40)
    best = np.argsort(-rise)
    assert trend_prediction_accuracy(best[:25], rise) == 1.0
    # Beyond 25 nothing counts, neither listed nor risen.
    assert trend_prediction_accuracy(best, rise) == 1.0


def test_half_the_rise_is_half_the_accuracy():
    assert trend_prediction_accuracy(np.array([0, 3]), np.array([4, 3, 1, 0])) == 0.5


@pytest.mark.parametrize("rise", [[0, 0, 0], [-1, -2, -3], [-5, 3, 0]])
def test_a_list_that_fell_is_worth_nothing(rise):
    assert trend_prediction_accuracy(np.array([0]), np.array(rise)) == 0.0
