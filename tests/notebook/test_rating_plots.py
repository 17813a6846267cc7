"""The chart of rating errors shows every figure that it is given, and no other."""

import matplotlib
import pytest

from personalens.notebook.plots.model_plots import DECK_RMSE, rmse_chart

matplotlib.use("Agg")


def test_models_stand_in_the_order_in_which_they_come():
    ax = rmse_chart({"measured": {"averages": 0.95, "HRNN": 0.93}, "deck": DECK_RMSE})
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["averages", "HRNN", "rolling average", "FM", "I-AutoRec", "RNN"]
    measured, deck = ax.get_lines()
    assert list(zip(measured.get_xdata(), measured.get_ydata(), strict=True)) == [
        (0.95, 0),
        (0.93, 1),
    ]
    assert dict(zip(deck.get_xdata(), deck.get_ydata(), strict=True))[DECK_RMSE["HRNN"]] == 1
    assert measured.get_marker() != deck.get_marker()  # not told apart by colour alone


def test_it_draws_where_it_is_told_to():
    first = rmse_chart({"measured": {"a": 1.0}})
    assert rmse_chart({"measured": {"b": 2.0}}, ax=first) is first


@pytest.mark.parametrize("model", DECK_RMSE)
def test_the_decks_order(model):
    assert DECK_RMSE["HRNN"] <= DECK_RMSE[model] <= DECK_RMSE["rolling average"]
