"""How a notebook shows a figure: as a small PNG with a text alternative."""

from __future__ import annotations

import io

from matplotlib.figure import Figure
from PIL import Image

_COLOURS = 64


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
    image = image.quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
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
