"""How well models do: metrics and curves, lists, exploring, searches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from personalens.notebook.plots.axes import COLOURS, new_axes, show_percent, styles

NEWEST_EVENTS = 100
"""Events of a viewer that a filter looks back on."""
DECK_RMSE = {"rolling average": 0.933, "FM": 0.916, "I-AutoRec": 0.871, "RNN": 0.857, "HRNN": 0.846}
"""What the deck's chart shows for "MovieLens"; it names neither release nor split."""


def training_curve(log: pd.DataFrame, column: str, *, label: str, ax: Axes | None = None) -> Axes:
    """Plot one column of a training log against the epoch.

    In a column where more is better (all but ``loss``) the best epoch is marked.
    """
    ax = new_axes() if ax is None else ax
    known = log.dropna(subset=[column])
    ax.plot(known["epoch"], known[column], "o-", color=COLOURS[0], markersize=4)
    if column != "loss" and len(known):
        best = known.loc[known[column].idxmax()]
        place = (best["epoch"], best[column])
        ax.plot(*place, "D", color=COLOURS[1], markersize=8)
        words = f"best: epoch {int(best['epoch'])}"
        ax.annotate(words, place, (0, 9), textcoords="offset points", ha="center")
        ax.margins(y=0.18)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="epoch (one pass over the data)", ylabel=label)
    return ax


def metric_comparison(metrics: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Plot one row of dots per metric, one marker per recipe.

    Parameters
    ----------
    metrics
        Index: metric names as GetSolutionMetrics writes them; columns: recipes; values 0..1.
    """
    ax = new_axes(size=(7.5, 0.42 * len(metrics) + 1.1)) if ax is None else ax
    rows = np.arange(len(metrics))
    for recipe, style in styles(metrics):
        ax.plot(metrics[recipe], rows, linestyle="none", markersize=8, **style)
    ax.hlines(rows, metrics.min(axis=1), metrics.max(axis=1), color="grey", alpha=0.4, zorder=0)
    ax.set_yticks(rows, [_short_metric(str(name)) for name in metrics.index])
    ax.invert_yaxis()
    ax.set_xlim(left=0)
    ax.set(xlabel="value (right is better)", title="Three recipes, one hold-out")
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax


def ladder(
    names: Sequence[str],
    figures: Sequence[float],
    errors: Sequence[float],
    *,
    label: str,
    better: str = "right",
    whose: str = "the gain",
    ax: Axes | None = None,
) -> Axes:
    """Plot one bar a step, each with the standard error of its gain over the step before.

    Parameters
    ----------
    names, figures
        The steps from the first to the last, and how good each is.
    errors
        Standard errors of the gains; NaN where there is none.
    label, better
        What the figures are, and in which direction they are better.
    whose
        What the errors belong to.
    """
    ax = new_axes(size=(7.5, 0.5 * len(names) + 1.0)) if ax is None else ax
    places = np.arange(len(names))
    ax.barh(places, figures, height=0.6, color=COLOURS[0])
    bars = np.nan_to_num(np.asarray(errors, float))
    ax.errorbar(figures, places, xerr=bars, fmt="none", ecolor="black", capsize=4)
    for place, figure, error in zip(places, figures, bars, strict=True):
        ax.text(figure + error, place, f"  {figure:.3f}", va="center")
    ax.set_yticks(places, list(names))
    ax.invert_yaxis()
    ax.margins(x=0.12)
    ax.set(xlabel=f"{label} ({better} is better); line: standard error of {whose}", xlim=(0, None))
    return ax


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
    for number, (series, style) in enumerate(styles(table)):
        known = table[series].dropna()
        places = [models.index(model) for model in known.index]
        ax.plot(known, places, linestyle="none", markersize=7, **style)
        side, edge = ((-0.16, "bottom"), (0.16, "top"))[number % 2]  # neighbours stay legible
        text = {"color": style["color"], "size": 7, "ha": "center", "va": edge}
        for value, place in zip(known, places, strict=True):
            ax.text(value, place + side, f"{value:.3f}", **text)
    ax.set_yticks(range(len(models)), models)
    ax.set_ylim(len(models) - 0.5, -0.7)
    ax.set(xlabel="RMSE of the rating, one step ahead (less is better)")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    return ax


def _short_metric(name: str) -> str:
    """Return ``NDCG at 10`` for ``normalized_discounted_cumulative_gain_at_10``."""
    name = name.replace("normalized_discounted_cumulative_gain", "NDCG")
    return name.replace("mean_reciprocal_rank", "MRR").replace("_", " ")


# -- lists ---------------------------------------------------------------------------------------


def overlap_matrix(lists: Mapping[str, Sequence[str]], *, ax: Axes | None = None) -> Axes:
    """Plot how many items each pair of lists has in common, as numbers on shades."""
    ax = new_axes(size=(3.8, 3.2)) if ax is None else ax
    names = list(lists)
    shared = np.array([[len(set(lists[a]) & set(lists[b])) for b in names] for a in names])
    ax.grid(False)
    ax.imshow(shared, cmap="Blues", vmin=0, vmax=max(shared.max(), 1))
    for row, column in np.ndindex(shared.shape):
        dark = shared[row, column] > 0.6 * shared.max()
        colour = "white" if dark else "black"
        ax.text(column, row, shared[row, column], ha="center", va="center", color=colour)
    ax.set_xticks(range(len(names)), names)
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="list", ylabel="list", title="Films that two lists share")
    return ax


def found_by_place(places: pd.DataFrame, *, most: int = 20, ax: Axes | None = None) -> Axes:
    """Plot which share of the wanted items stands among the first k, for k up to ``most``.

    Parameters
    ----------
    places
        One row per wanted item, one column per order of the lists; 1 is the first place.
    most
        The last place to be shown.
    """
    ax = new_axes(size=(7.5, 3.6)) if ax is None else ax
    reach = np.arange(1, most + 1)
    for name, style in styles(places):
        within = (places[name].to_numpy()[:, None] <= reach).mean(axis=0)  # (most,)
        ax.plot(reach, within, markersize=4, **style)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    show_percent(ax.yaxis)
    ax.set_ylim(bottom=0)
    ax.set(xlabel="results that the viewer looks at, from the top", ylabel="wanted films so far")
    ax.legend(frameon=False)
    return ax


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
    for name, style in styles(seen):
        ax.scatter(number, seen[name].to_numpy(), s=12, alpha=0.6, **style)
    ax.axvline(NEWEST_EVENTS, color="0.3", linestyle="--", linewidth=1)
    label = {"va": "top", "color": "0.3"}
    ax.text(NEWEST_EVENTS * 1.04, ax.get_ylim()[1], f"{NEWEST_EVENTS} events", **label)
    ax.set_xscale("log")
    ax.set(xlabel="events of the viewer (logarithmic)", ylabel="seen films in the list")
    ax.legend(frameon=False, loc="upper left")
    return ax


def shares_by_click(shares: pd.DataFrame, label: str, *, ax: Axes | None = None) -> Axes:
    """Plot what part of a list something takes, over the number of clicks.

    Parameters
    ----------
    shares
        One row per number of clicks, from none; one column per line, 0 to 1.
    label
        Of the vertical axis.
    """
    ax = new_axes() if ax is None else ax
    for name, style in styles(shares):
        ax.plot(shares[name].to_numpy(), **style)
    show_percent(ax.yaxis)
    ax.set_ylim(0, min(1.02, 1.2 * max(0.1, shares.to_numpy().max())))
    ax.set_xticks(range(len(shares)))
    ax.set(xlabel="films watched", ylabel=label)
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax


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
    for name, style in styles(shares):
        ax.plot(shares.index, shares[name], markersize=4, markevery=5, **style)
    ax.axhline(chance, color="0.3", linestyle="--", linewidth=1, label="by lot")
    show_percent(ax.yaxis)
    ax.set_ylim(bottom=0)
    ax.set(xlabel="people who are written to, the likeliest first", ylabel="who came of them")
    ax.legend(frameon=False)
    return ax


# -- exploring and searching ---------------------------------------------------------------------


def regret_curves(regret: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Plot the regret so far of each strategy against the round: flat means that it has learned.

    Parameters
    ----------
    regret
        A row a round, a column a strategy: the clicks lost up to this round.
    """
    ax = new_axes() if ax is None else ax
    rounds = np.arange(1, len(regret) + 1)
    step = max(1, len(regret) // 8)
    for name, style in styles(regret):
        style["label"] = name.replace("_", "-")
        ax.plot(rounds, regret[name], markevery=(step - 1, step), **style)
    title = "What a strategy has lost against always showing the best film"
    ax.set(xlabel="round", ylabel="regret: clicks lost so far", title=title)
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False)
    return ax


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
