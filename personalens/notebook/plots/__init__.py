"""The figures of the labs. Each takes ``ax=None`` and returns the Axes, so that it can be restyled.

Colours are petroff10, which colour-blind readers can tell apart; markers or labels repeat what a
colour says. Nothing here is random: the same data gives the same picture.
"""

from personalens.notebook.plots.axes import COLOURS, MARKERS, new_axes
from personalens.notebook.plots.data_plots import (
    concentration_curve,
    events_over_time,
    gap_histogram,
    rank_curve,
    share_histogram,
    viewer_timelines,
    workflow_map,
)
from personalens.notebook.plots.model_plots import (
    came_by_reach,
    found_by_place,
    ladder,
    metric_comparison,
    overlap_matrix,
    regret_curves,
    search_history,
    seen_in_lists,
    shares_by_click,
    training_curve,
    tried_values,
    winner_by_trials,
)

__all__ = [
    "COLOURS",
    "MARKERS",
    "came_by_reach",
    "concentration_curve",
    "events_over_time",
    "found_by_place",
    "gap_histogram",
    "ladder",
    "metric_comparison",
    "new_axes",
    "overlap_matrix",
    "rank_curve",
    "regret_curves",
    "search_history",
    "seen_in_lists",
    "share_histogram",
    "shares_by_click",
    "training_curve",
    "tried_values",
    "viewer_timelines",
    "winner_by_trials",
    "workflow_map",
]
