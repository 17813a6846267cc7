"""The labs' style of axes and colours."""

from __future__ import annotations

import numpy as np
from matplotlib import color_sequences
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis

from personalens.notebook.figure_output import use_small_png

COLOURS = color_sequences["petroff10"]
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
SIZE, DPI = (7.5, 3.2), 88


def new_axes(*, columns: int = 1, size: tuple[float, float] = SIZE) -> Axes | np.ndarray:
    """Return one Axes, or an array of ``columns`` Axes side by side, in the labs' style."""
    _, axes = plt.subplots(1, columns, figsize=size, dpi=DPI, layout="constrained")
    use_small_png()
    for axis in np.atleast_1d(axes):
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.3, linewidth=0.6)
        axis.set_axisbelow(True)
    return axes


def show_percent(axis: Axis) -> None:
    """Label an axis of shares in per cent, with no more digits than its ticks need."""
    axis.set_major_formatter(lambda share, _: f"{100 * share:.3g}%")
