"""Every figure says what it shows, draws what it is given, and draws it the same every time."""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from PIL import Image

mpl.use("Agg")

from matplotlib import pyplot as plt

from personalens.notebook import plots
from personalens.notebook.plots.axes import describe_figure, new_axes, show_percent, small_png

LOG = pd.DataFrame({"epoch": [1, 2, 3], "loss": [3.0, 2.0, 1.5], "metric": [0.1, 0.3, 0.2]})
METRICS = pd.DataFrame(
    {"popularity": [0.01, 0.1], "hrnn": [0.2, 0.3]},
    index=["coverage", "normalized_discounted_cumulative_gain_at_10"],
)
PLACES = pd.DataFrame({"catalogue": [3, 20, 1], "personal": [1, 2, 1]})
REGRET = pd.DataFrame({"greedy": [0.0, 2.0], "thompson": [0.5, 0.75]})
SEARCH = pd.DataFrame({"trial": [1, 2, 3], "discount": [0.5, 0.1, 0.7], "value": [0.2, None, 0.3]})
WINNERS = pd.DataFrame({"in the search": [0.1, 0.2], "measured again": [0.1, 0.1]}, index=[1, 9])
EVENTS = pd.DataFrame({"USER_ID": ["b", "b", "a"], "HOURS": [0.0, 30.0, 0.0]})
CAME = pd.DataFrame({"segment": [1.0, 0.5], "most active": [0.0, 0.5]}, index=[1, 2])
FIGURES = {
    "rank_curve": lambda ax: plots.rank_curve([5, 1, 3], ax=ax),
    "concentration_curve": lambda ax: plots.concentration_curve([8, 1, 1], ax=ax),
    "share_histogram": lambda ax: plots.share_histogram([0.2, 0.4], label="share", ax=ax),
    "events_over_time": lambda ax: plots.events_over_time([0, 86400 * 90], ax=ax),
    "gap_histogram": lambda ax: plots.gap_histogram([0, 5, 4000], threshold=1800, ax=ax),
    "viewer_timelines": lambda ax: plots.viewer_timelines(EVENTS, ax=ax),
    "training_curve": lambda ax: plots.training_curve(LOG, "metric", label="NDCG", ax=ax),
    "came_by_reach": lambda ax: plots.came_by_reach(CAME, chance=0.1, ax=ax),
    "found_by_place": lambda ax: plots.found_by_place(PLACES, ax=ax),
    "metric_comparison": lambda ax: plots.metric_comparison(METRICS, ax=ax),
    "overlap_matrix": lambda ax: plots.overlap_matrix({"a": "xy", "b": "yz"}, ax=ax),
    "regret_curves": lambda ax: plots.regret_curves(REGRET, ax=ax),
    "winner_by_trials": lambda ax: plots.winner_by_trials(WINNERS, label="NDCG", ax=ax),
    "search_history": lambda ax: plots.search_history(SEARCH, label="NDCG", ax=ax),
    "tried_values": lambda ax: plots.tried_values(SEARCH, "discount", label="NDCG", ax=ax),
    "workflow_map": lambda ax: plots.workflow_map(ax=ax),
}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(params=sorted(FIGURES))
def draw(request):
    return FIGURES[request.param]


def test_a_figure_is_drawn_on_the_axes_given_and_on_new_ones_without(draw):
    own = plots.new_axes()
    assert draw(own) is own
    assert draw(None) is not own


def test_a_figure_is_the_same_every_time(draw):
    assert small_png(draw(None).figure) == small_png(draw(None).figure)


def test_a_figure_is_small_and_described(draw):
    ax = draw(None)
    png, metadata = small_png(ax.figure)
    assert len(png) < 20_000
    assert len(metadata["alt"].split()) > 2
    assert Image.open(io.BytesIO(png)).size[0] < 900


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_axes_have_a_scale_with_a_label_but_for_the_map(name):
    ax = FIGURES[name](None)
    assert ax.axison == bool(ax.get_xlabel()) == (name != "workflow_map")


def test_new_axes_come_side_by_side():
    assert len(plots.new_axes(columns=3)) == 3


def test_the_rank_curve_falls_from_the_largest_count():
    line = plots.rank_curve([5, 1, 3]).lines[0]
    assert line.get_ydata().tolist() == [5, 3, 1]


def test_concentration_names_the_top_tenth():
    counts = [91] + [1] * 9
    texts = [text.get_text() for text in plots.concentration_curve(counts).texts]
    assert texts == ["top 10% of films:\n91% of interactions"]


def test_gaps_of_zero_have_a_bar_of_their_own():
    ax = plots.gap_histogram([0, 0, 5, 4000], threshold=1800)
    zero = min(ax.patches, key=lambda bar: bar.get_x())
    assert zero.get_height() == 0.5
    assert any("25.0% of gaps are longer" in text.get_text() for text in ax.texts)


def test_the_best_epoch_is_marked_where_more_is_better():
    ax = plots.training_curve(LOG, "metric", label="NDCG")
    assert [text.get_text() for text in ax.texts] == ["best: epoch 2"]
    assert len(plots.training_curve(LOG, "loss", label="loss").texts) == 0


def test_a_training_without_epochs_draws_nothing_and_does_not_fail():
    empty = LOG.iloc[:0]
    assert len(plots.training_curve(empty, "metric", label="NDCG").lines[0].get_xdata()) == 0


def test_recipes_differ_in_marker_not_only_in_colour():
    handles = plots.metric_comparison(METRICS).get_legend_handles_labels()[0]
    assert len({handle.get_marker() for handle in handles}) == 2


def test_metric_names_are_shortened():
    labels = [label.get_text() for label in plots.metric_comparison(METRICS).get_yticklabels()]
    assert labels == ["coverage", "NDCG at 10"]


def test_the_overlap_matrix_counts_common_items():
    ax = plots.overlap_matrix({"a": ["x", "y"], "b": ["y", "z"]})
    assert [text.get_text() for text in ax.texts] == ["2", "1", "1", "2"]


def test_months_are_counted_where_years_would_be_too_few():
    ax = plots.events_over_time([0, 86400 * 40, 86400 * 41])
    assert ax.get_xlabel() == "month"
    assert [bar.get_height() for bar in ax.patches] == [1, 2]


def test_a_description_names_every_panel():
    axes = plots.new_axes(columns=2)
    for name, ax in zip(("Left", "Right"), axes, strict=True):
        ax.set(title=name, xlabel="x")
    assert describe_figure(axes[0].figure) == "Figure. Left: x. Right: x."


def test_timelines_keep_the_order_of_first_appearance():
    labels = [label.get_text() for label in plots.viewer_timelines(EVENTS).get_yticklabels()]
    assert labels == ["viewer b", "viewer a"]


def test_shares_are_counted_in_steps_of_a_twentieth():
    ax = plots.share_histogram(np.array([0.02, 0.03, 0.97]), label="share")
    assert [bar.get_height() for bar in ax.patches][::19] == [2, 1]


def test_a_ladder_shows_each_step_with_its_figure_and_the_error_of_its_gain():
    ax = plots.ladder(["first", "second"], [0.1, 0.3], [np.nan, 0.05], label="NDCG@10")
    assert [bar.get_width() for bar in ax.patches] == [0.1, 0.3]
    assert [text.get_text().strip() for text in ax.texts] == ["0.100", "0.300"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["first", "second"]
    [lines] = [container for container in ax.containers if hasattr(container, "has_xerr")]
    [[start, end]] = [s[:, 0] for s in lines[2][0].get_segments() if s[0, 1] == 1]
    assert (round(start, 6), round(end, 6)) == (0.25, 0.35)


def test_wanted_items_are_counted_from_the_first_place_on():
    lines = plots.found_by_place(PLACES, most=4).get_lines()
    assert [line.get_label() for line in lines] == ["catalogue", "personal"]
    np.testing.assert_allclose(lines[0].get_ydata(), [1 / 3, 1 / 3, 2 / 3, 2 / 3])
    np.testing.assert_allclose(lines[1].get_ydata(), [2 / 3, 1, 1, 1])


def test_the_best_trial_of_a_search_is_marked_and_cut_ones_leave_a_gap():
    best_so_far, trials = plots.search_history(SEARCH, label="NDCG").lines
    assert best_so_far.get_ydata().tolist() == [0.2, 0.2, 0.3]
    assert np.isnan(trials.get_ydata()).tolist() == [False, True, False]
    ax = plots.tried_values(SEARCH, "discount", label="NDCG")
    assert [float(ax.lines[1].get_xdata()[0]), float(ax.lines[1].get_ydata()[0])] == [0.7, 0.3]
    assert [text.get_text() for text in ax.texts] == ["1", "3"]


def test_who_came_is_drawn_for_each_way_and_for_a_draw_by_lot():
    lines = plots.came_by_reach(CAME, chance=0.1).get_lines()
    assert [line.get_label() for line in lines] == ["segment", "most active", "by lot"]
    assert [list(line.get_ydata()) for line in lines] == [[1, 0.5], [0, 0.5], [0.1, 0.1]]


@pytest.mark.parametrize(
    ("top", "labels"), [(0.4, ["0%", "10%", "20%", "30%", "40%"]), (0.05, ["0%", "2.5%", "5%"])]
)
def test_shares_are_labelled_without_needless_digits(top, labels):
    ax = new_axes()
    show_percent(ax.yaxis)
    ax.set_yticks(np.linspace(0, top, len(labels)))
    assert [label.get_text() for label in ax.get_yticklabels()] == labels
