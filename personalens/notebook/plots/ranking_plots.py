"""Where in a list the wanted items stand."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from personalens.notebook.plots.axes import COLOURS, MARKERS, new_axes, show_percent


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
    for position, name in enumerate(places.columns):
        within = (places[name].to_numpy()[:, None] <= reach).mean(axis=0)  # (most,)
        marker = MARKERS[position % len(MARKERS)]
        ax.plot(reach, within, marker + "-", color=COLOURS[position % 10], ms=4, label=name)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    show_percent(ax.yaxis)
    ax.set_ylim(bottom=0)
    ax.set(xlabel="results that the viewer looks at, from the top", ylabel="wanted films so far")
    ax.legend(frameon=False)
    return ax
