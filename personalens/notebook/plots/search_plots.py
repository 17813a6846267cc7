"""What a search for hyperparameters tried, and what its winner is worth."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from personalens.notebook.plots.axes import COLOURS, new_axes


def winner_by_trials(curve: pd.DataFrame, *, label: str, ax: Axes | None = None) -> Axes:
    """Plot what winners scored in their search, and measured again, by the number of trials.

    Parameters
    ----------
    curve
        Index: number of trials; columns: ``in the search`` and ``measured again``.
    label
        What the figures are.
    """
    ax = new_axes(size=(6.5, 3.0)) if ax is None else ax
    for place, (column, style) in enumerate(zip(curve.columns, ("o-", "s--"), strict=True)):
        ax.plot(curve.index, curve[column], style, color=COLOURS[place], markersize=4, label=column)
    ax.set(xlabel="trials in the search", ylabel=label)
    ax.legend(frameon=False, title="the winner's figure", loc="center right")
    return ax


def search_history(log: pd.DataFrame, *, label: str, ax: Axes | None = None) -> Axes:
    """Plot the value of each trial, and of the best one so far.

    Trials that were cut short have no value and leave a gap.

    Parameters
    ----------
    log
        As :func:`personalens.search_log` returns it.
    label
        What the values are.
    """
    ax = new_axes(size=(6.5, 3.0)) if ax is None else ax
    best = log["value"].cummax().ffill()
    ax.step(log["trial"], best, where="post", color=COLOURS[1], label="best so far")
    ax.plot(log["trial"], log["value"], "o", color=COLOURS[0], label="a trial")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="trial", ylabel=label, title="In the order in which they ran")
    ax.legend(frameon=False, loc="lower right")
    return ax


def tried_values(log: pd.DataFrame, name: str, *, label: str, ax: Axes | None = None) -> Axes:
    """Plot the value of each trial against one hyperparameter, each with its number.

    Parameters
    ----------
    log
        As :func:`personalens.search_log` returns it.
    name
        The hyperparameter: a column of the log.
    label
        What the values are.
    """
    ax = new_axes(size=(6.5, 3.0)) if ax is None else ax
    done = log.dropna(subset=["value"])
    ax.plot(done[name], done["value"], "o", color=COLOURS[0])
    best = done.loc[done["value"].idxmax()]
    ax.plot(best[name], best["value"], "D", color=COLOURS[1], markersize=9)
    for number, place, value in zip(done["trial"], done[name], done["value"], strict=True):
        offset = (0, 8) if number % 2 else (0, -16)  # neighbours seldom share a side
        ax.annotate(str(number), (place, value), offset, textcoords="offset points", ha="center")
    ax.margins(y=0.2)
    ax.set(xlabel=name, ylabel=label, title="By what they tried (diamond: the best)")
    return ax
