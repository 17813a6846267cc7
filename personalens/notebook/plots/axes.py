"""The labs' axes, colours and markers, and their figures as small pictures with a description."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from matplotlib import color_sequences
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from PIL import Image

COLOURS = color_sequences["petroff10"]
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
SIZE, DPI = (7.5, 3.2), 88
_PNG_COLOURS = 64


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


def styles(names: Iterable[object]) -> Iterator[tuple[Any, dict[str, str]]]:
    """Yield each name with a colour, a marker and a label, for one line of a figure each."""
    for place, name in enumerate(names):
        colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
        yield name, {"color": colour, "marker": marker, "label": str(name)}


def use_small_png() -> None:
    """Have this notebook's figures shown by :func:`small_png`; outside a notebook do nothing.

    Called for each new figure, since matplotlib's inline backend sets its own way when it starts.
    """
    try:
        from IPython import get_ipython
    except ImportError:
        return
    shell = get_ipython()
    if shell is not None:
        shell.display_formatter.formatters["image/png"].for_type(Figure, small_png)


def small_png(figure: Figure) -> tuple[bytes, dict[str, str]]:
    """Return a figure as a PNG with a palette, a quarter of the usual size, and its metadata.

    Flat colours and text lose nothing by a palette of 64 colours, and a lab with its outputs
    stays small enough to read in a diff. The metadata's ``alt`` describes the figure in words.
    """
    raw, small = io.BytesIO(), io.BytesIO()
    figure.savefig(raw, format="png", bbox_inches="tight")
    image = Image.open(raw).convert("RGB")
    image = image.quantize(_PNG_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    image.save(small, format="png", optimize=True)
    return small.getvalue(), {"alt": describe_figure(figure)}


def describe_figure(figure: Figure) -> str:
    """Return one sentence per panel: its title and what its axes show.

    >>> figure = Figure()
    >>> _ = figure.subplots().set(title="Loss", xlabel="epoch", ylabel="loss")
    >>> describe_figure(figure)
    'Figure. Loss: loss against epoch.'
    """
    panels = []
    for axes in figure.axes:
        words = " against ".join(filter(None, (axes.get_ylabel(), axes.get_xlabel())))
        title = axes.get_title()
        panels.append(": ".join(filter(None, (title, words))))
    return " ".join(["Figure.", *(f"{panel}." for panel in panels if panel)])
