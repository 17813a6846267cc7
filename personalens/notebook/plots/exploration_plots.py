"""What exploring costs and buys."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from personalens.notebook.plots.axes import COLOURS, MARKERS, new_axes


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
    for position, name in enumerate(regret.columns):
        ax.plot(
            rounds,
            regret[name],
            marker=MARKERS[position % len(MARKERS)],
            markevery=(step - 1, step),
            color=COLOURS[position % 10],
            label=str(name).replace("_", "-"),
        )
    ax.set(
        xlabel="round",
        ylabel="regret: clicks lost so far",
        title="What a strategy has lost against always showing the best film",
    )
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False)
    return ax
