"""The deck's chart of rating errors, redrawn."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes

from personalens.notebook.plots import COLOURS, MARKERS, new_axes

DECK_RMSE = {
    "rolling average": 0.933,
    "FM": 0.916,
    "I-AutoRec": 0.871,
    "RNN": 0.857,
    "HRNN": 0.846,
}
"""What the deck's chart shows for "MovieLens"; it names neither release nor split."""


def rmse_chart(
    figures: Mapping[str, Mapping[str, float]] | pd.DataFrame, *, ax: Axes | None = None
) -> Axes:
    """Plot one row for each model and one marker for each series of RMSE; less is better.

    Parameters
    ----------
    figures
        Series -> model -> RMSE; a model that a series lacks has no marker. Models stand in the
        order in which they first come, from the top.
    ax
        Where to draw.
    """
    table = pd.DataFrame(figures)
    models = list(dict.fromkeys(name for series in figures for name in dict(figures[series])))
    table = table.reindex(models)
    ax = new_axes(size=(7.5, 0.6 + 0.42 * len(models))) if ax is None else ax
    for number, series in enumerate(table):
        known = table[series].dropna()
        places = [models.index(model) for model in known.index]
        marker, colour = MARKERS[number % len(MARKERS)], COLOURS[number % len(COLOURS)]
        ax.plot(known, places, marker, color=colour, label=series, markersize=7)
        for value, place in zip(known, places, strict=True):
            side, edge = ((-0.16, "bottom"), (0.16, "top"))[number % 2]  # neighbours stay legible
            ax.text(value, place + side, f"{value:.3f}", color=colour, size=7, ha="center", va=edge)
    ax.set_yticks(range(len(models)), models)
    ax.set_ylim(len(models) - 0.5, -0.7)
    ax.set(xlabel="RMSE of the rating, one step ahead (less is better)")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    return ax
