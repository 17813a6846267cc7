"""How lists follow events."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from personalens.notebook.plots.axes import COLOURS, MARKERS, new_axes, show_percent


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
    for position, name in enumerate(shares.columns):
        marker = MARKERS[position % len(MARKERS)]
        ax.plot(shares[name].to_numpy(), marker=marker, color=COLOURS[position % 10], label=name)
    show_percent(ax.yaxis)
    ax.set_ylim(0, min(1.02, 1.2 * max(0.1, shares.to_numpy().max())))
    ax.set_xticks(range(len(shares)))
    ax.set(xlabel="films watched", ylabel=label)
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax
