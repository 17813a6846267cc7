"""What filters leave in a list."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from personalens.notebook.plots.axes import COLOURS, MARKERS, new_axes

NEWEST_EVENTS = 100


def seen_in_lists(events: pd.Series, seen: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Plot how many films of their list viewers have seen, over how many events they have.

    Parameters
    ----------
    events
        Number of events by viewer.
    seen
        Number of seen films by viewer, one column per way of asking.
    """
    ax = new_axes(size=(7.5, 3.4)) if ax is None else ax
    number = events.loc[seen.index].to_numpy()
    for position, name in enumerate(seen.columns):
        marker = MARKERS[position % len(MARKERS)]
        style = {"color": COLOURS[position % 10], "s": 12, "alpha": 0.6, "label": name}
        ax.scatter(number, seen[name].to_numpy(), marker=marker, **style)
    ax.axvline(NEWEST_EVENTS, color="0.3", linestyle="--", linewidth=1)
    label = {"va": "top", "color": "0.3"}
    ax.text(NEWEST_EVENTS * 1.04, ax.get_ylim()[1], f"{NEWEST_EVENTS} events", **label)
    ax.set_xscale("log")
    ax.set(xlabel="events of the viewer (logarithmic)", ylabel="seen films in the list")
    ax.legend(frameon=False, loc="upper left")
    return ax
