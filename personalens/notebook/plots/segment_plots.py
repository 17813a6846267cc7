"""How many of those whom a message reaches come."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from personalens.notebook.plots.axes import COLOURS, MARKERS, new_axes, show_percent


def came_by_reach(shares: pd.DataFrame, *, chance: float, ax: Axes | None = None) -> Axes:
    """Plot which share of the people who are written to come, over how many they are.

    Parameters
    ----------
    shares
        Index: number of people, the likeliest first; one column per way of choosing them; values
        0..1.
    chance
        The share if people are drawn by lot.
    """
    ax = new_axes(size=(7.5, 3.4)) if ax is None else ax
    for position, name in enumerate(shares.columns):
        style = {"color": COLOURS[position % 10], "markersize": 4, "markevery": 5}
        marker = MARKERS[position % len(MARKERS)] + "-"
        ax.plot(shares.index, shares[name], marker, label=name, **style)
    ax.axhline(chance, color="0.3", linestyle="--", linewidth=1, label="by lot")
    show_percent(ax.yaxis)
    ax.set_ylim(bottom=0)
    ax.set(xlabel="people who are written to, the likeliest first", ylabel="who came of them")
    ax.legend(frameon=False)
    return ax
