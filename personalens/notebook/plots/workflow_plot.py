"""The map of the workflow."""

from __future__ import annotations

from matplotlib.axes import Axes

from personalens.notebook.plots.axes import COLOURS, new_axes


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
