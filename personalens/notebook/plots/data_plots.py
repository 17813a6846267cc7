"""What interactions look like (popularity, time, bursts), and their way to recommendations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from personalens.notebook.plots.axes import COLOURS, new_axes

_SECOND, _MINUTE, _HOUR, _DAY, _YEAR = 1, 60, 3600, 86400, 31_557_600
_PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.85}
_ZERO_GAP = 0.12
"""Where gaps of zero stand on a log axis that cannot show zero."""
_TIME_TICKS = {
    _SECOND: "1 s",
    _MINUTE: "1 min",
    _HOUR: "1 h",
    _DAY: "1 day",
    30 * _DAY: "1 month",
    _YEAR: "1 year",
}
_MAP_BOXES = {
    "schema\n(lab 02)": (0, 1),
    "dataset group\n(lab 02)": (0, 0),
    "dataset\n(lab 02)": (1, 0.5),
    "import job\n(lab 03)": (2, 0.5),
    "recipe\n(lab 04)": (2, 1.4),
    "solution\n(lab 04)": (3, 0.5),
    "solution version\n(lab 04)": (4, 0.5),
    "metrics\n(lab 05)": (5, 1),
    "campaign\n(lab 05)": (5, 0),
}
_MAP_ARROWS = [
    tuple(next(box for box in _MAP_BOXES if box.startswith(name + "\n")) for name in arrow)
    for arrow in (
        ("schema", "dataset"),
        ("dataset group", "dataset"),
        ("dataset", "import job"),
        ("import job", "solution"),
        ("recipe", "solution"),
        ("solution", "solution version"),
        ("solution version", "metrics"),
        ("solution version", "campaign"),
    )
]


def rank_curve(counts: Sequence[int], *, what: str = "film", ax: Axes | None = None) -> Axes:
    """Plot interactions against popularity rank, both on log axes: a power law is a line."""
    ax = new_axes() if ax is None else ax
    ordered = np.sort(np.asarray(counts))[::-1]
    ax.loglog(np.arange(1, len(ordered) + 1), ordered, color=COLOURS[0], linewidth=2)
    ax.set(
        xlabel=f"{what}s by rank, most popular first (log)",
        ylabel=f"interactions per {what} (log)",
        title=f"A few {what}s take most of the interactions",
    )
    return ax


def concentration_curve(counts: Sequence[int], *, ax: Axes | None = None) -> Axes:
    """Plot the share of interactions that the most popular share of films holds."""
    ax = new_axes() if ax is None else ax
    ordered = np.sort(np.asarray(counts))[::-1]
    films = np.arange(len(ordered) + 1) / len(ordered)
    share = np.concatenate([[0], np.cumsum(ordered)]) / ordered.sum()
    ax.plot(films, share, color=COLOURS[0], linewidth=2, label="observed")
    ax.plot([0, 1], [0, 1], color="grey", linestyle=":", label="if all films were equal")
    tenth = float(np.interp(0.1, films, share))
    ax.plot(0.1, tenth, "o", color=COLOURS[1])
    ax.text(
        0.14,
        tenth,
        f"top 10% of films:\n{tenth:.0%} of interactions",
        va="center",
        size=9,
        bbox=_PAPER,
    )
    ax.set(
        xlabel="share of films, most popular first",
        ylabel="share of interactions",
        title="Attention is concentrated",
    )
    ax.legend(loc="lower right", frameon=False)
    return ax


def share_histogram(
    shares: Sequence[float], *, label: str, title: str = "", ax: Axes | None = None
) -> Axes:
    """Plot how many viewers have which share (0..1) of something, with the median marked."""
    ax = new_axes() if ax is None else ax
    values = np.asarray(shares, dtype=float)
    ax.hist(values, bins=np.linspace(0, 1, 21), color=COLOURS[0], edgecolor="white")
    median = float(np.median(values))
    ax.axvline(median, color=COLOURS[1], linewidth=2)
    top = ax.get_ylim()[1]
    ax.text(median - 0.01, top * 0.97, f"median {median:.0%}", ha="right", va="top")
    ax.set(xlabel=label, ylabel="viewers", xlim=(0, 1), title=title)
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    return ax


def events_over_time(timestamps: Sequence[int], *, ax: Axes | None = None) -> Axes:
    """Plot interactions per year, or per month where the data spans less than three years."""
    ax = new_axes() if ax is None else ax
    times = pd.to_datetime(pd.Series(timestamps), unit="s")
    yearly = (times.max() - times.min()).days > 3 * 365
    counts = times.dt.to_period("Y" if yearly else "M").value_counts().sort_index()
    counts = counts.reindex(pd.period_range(counts.index[0], counts.index[-1]), fill_value=0)
    ax.bar(np.arange(len(counts)), counts.to_numpy(), color=COLOURS[0])
    ticks = np.arange(0, len(counts), -(-len(counts) // 9))
    ax.set_xticks(ticks, [str(counts.index[i]) for i in ticks])
    unit = "year" if yearly else "month"
    ax.set(xlabel=unit, ylabel=f"interactions per {unit}", title="When the interactions happened")
    return ax


def gap_histogram(
    gaps: Sequence[float], *, threshold: float | None = None, ax: Axes | None = None
) -> Axes:
    """Plot the time between a viewer's neighbouring interactions (seconds) on a log axis.

    Gaps of zero get a bar of their own on the left; ``threshold`` (seconds) draws a line.
    """
    ax = new_axes() if ax is None else ax
    seconds = np.asarray(gaps, dtype=float)
    same_second = float((seconds == 0).mean())
    edges = np.geomspace(1, max(seconds.max(), 10), 41)
    weights = np.full((seconds > 0).sum(), 1 / len(seconds))
    ax.hist(seconds[seconds > 0], bins=edges, weights=weights, color=COLOURS[0], edgecolor="white")
    ax.bar(_ZERO_GAP, same_second, width=0.06, color=COLOURS[3], hatch="//", edgecolor="white")
    ax.set_xscale("log")
    if threshold is not None:
        ax.axvline(threshold, color=COLOURS[1], linewidth=2)
        later = float((seconds > threshold).mean())
        place = (threshold * 1.2, ax.get_ylim()[1] * 0.92)
        ax.text(*place, f"{later:.1%} of gaps are longer", bbox=_PAPER)
    ticks = {_ZERO_GAP: "same\nsecond"} | {t: n for t, n in _TIME_TICKS.items() if t <= edges[-1]}
    ax.set_xticks(list(ticks), list(ticks.values()))
    ax.minorticks_off()
    ax.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    ax.set(
        xlabel="time to the viewer's next interaction (log)",
        ylabel="share of gaps",
        title="Interactions come in bursts",
    )
    return ax


def viewer_timelines(events: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Plot one row of ticks per viewer against the hours since that viewer's first interaction.

    ``events`` has USER_ID and HOURS; rows appear in the order of first appearance. The axis is
    linear for the first hour and logarithmic beyond, so that minutes and years both show.
    """
    ax = new_axes() if ax is None else ax
    viewers = list(dict.fromkeys(events["USER_ID"]))
    for row, viewer in enumerate(viewers):
        hours = events.loc[events["USER_ID"] == viewer, "HOURS"]
        ax.plot(hours, np.full(len(hours), row), "|", markersize=14, color=COLOURS[row % 10])
    ax.set_yticks(range(len(viewers)), [f"viewer {viewer}" for viewer in viewers])
    ax.set_ylim(-0.6, len(viewers) - 0.4)
    ax.invert_yaxis()
    ax.set_xscale("symlog", linthresh=1)
    ticks = {0: "start", 1: "1 h", 24: "1 day", 30 * 24: "1 month", 365 * 24: "1 year"}
    longest = events["HOURS"].max()
    ticks = {hours: label for hours, label in ticks.items() if hours <= longest}
    ax.set_xticks(list(ticks), list(ticks.values()))
    ax.set_xlim(-0.1, longest * 1.5)
    ax.minorticks_off()
    ax.set(xlabel="time since the viewer's first interaction", title="One tick is one interaction")
    return ax


def workflow_map(*, ax: Axes | None = None) -> Axes:
    """Draw the resources of Amazon Personalize, what leads to what, and the lab for each."""
    ax = new_axes(size=(9.0, 2.6)) if ax is None else ax
    box = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": COLOURS[0]}
    patches = {
        words: ax.text(x, y, words, ha="center", va="center", size=9.5, bbox=box).get_bbox_patch()
        for words, (x, y) in _MAP_BOXES.items()
    }
    for start, end in _MAP_ARROWS:
        ends = {"patchA": patches[start], "patchB": patches[end], "shrinkA": 2, "shrinkB": 2}
        ax.annotate(
            "",
            _MAP_BOXES[end],
            _MAP_BOXES[start],
            arrowprops={"arrowstyle": "->", "color": "grey", **ends},
        )
    ax.set(xlim=(-0.5, 5.5), ylim=(-0.4, 1.7), title="From data to recommendations")
    ax.set_axis_off()
    return ax
