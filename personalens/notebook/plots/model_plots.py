"""How well models do: curves, comparisons, overlaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from personalens.notebook.plots.axes import COLOURS, MARKERS, new_axes


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
    for position, recipe in enumerate(metrics.columns):
        ax.plot(
            metrics[recipe],
            rows,
            MARKERS[position % len(MARKERS)],
            color=COLOURS[position % 10],
            markersize=8,
            label=recipe,
        )
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


def _short_metric(name: str) -> str:
    """Return ``NDCG at 10`` for ``normalized_discounted_cumulative_gain_at_10``."""
    name = name.replace("normalized_discounted_cumulative_gain", "NDCG")
    return name.replace("mean_reciprocal_rank", "MRR").replace("_", " ")
