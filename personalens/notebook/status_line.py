"""One line that tells how work is going, and ends as a plain sentence.

The bar is tqdm's, as plain text in a terminal and in a notebook alike. tqdm's notebook widget would
leave a dead view ("model not found") in every saved notebook; a line of text that the final line
overwrites leaves just that final line.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, TextIO

from tqdm import tqdm

_WIDTH = 88


class StatusLine:
    """Shown while waiting: a live bar where somebody watches, then one line that stays.

    Parameters
    ----------
    title
        What is waited for.
    shown
        False prints nothing at all. Where the output goes to a file there is no live bar.
    """

    def __init__(self, title: str, *, shown: bool) -> None:
        self.title = title
        self.stream = _stream()
        self.shown = shown
        self.is_live = shown and (_in_notebook() or self.stream.isatty())
        self.bar: tqdm | None = None

    def __enter__(self) -> StatusLine:
        return self

    def __exit__(self, *_: object) -> None:
        self._take_away()

    def update(self, status: str, progress: Mapping[str, Any]) -> None:
        """Show the status, and the job's progress where it is known."""
        if not self.is_live:
            return
        if self.bar is None:
            self.bar = tqdm(total=1.0, leave=False, file=self.stream, ncols=_WIDTH)
        fraction = progress.get("fraction")
        self.bar.set_description_str(progress.get("stage") or status, refresh=False)
        self.bar.set_postfix_str(_numbers(progress), refresh=False)
        if fraction is None:
            self.bar.bar_format = "{desc} [{elapsed}]{postfix}"
        else:
            self.bar.bar_format = "{desc} {percentage:3.0f}%|{bar}|{postfix}"
            self.bar.n = min(1.0, max(0.0, float(fraction)))
        self.bar.refresh()

    def finish(self, text: str) -> None:
        """Take the bar away and print the line that stays."""
        self._take_away()
        if self.shown:
            print(f"{self.title}: {text}", file=self.stream, flush=True)

    def _take_away(self) -> None:
        if self.bar is not None:
            self.bar.close()


def _numbers(progress: Mapping[str, Any]) -> str:
    """Return ``epoch 3/8, loss 5.213, 12,000/100,000 rows`` from a job's progress."""
    parts = []
    if (epoch := progress.get("epoch")) is not None:
        parts.append(f"epoch {epoch}" + (f"/{progress['epochs']}" if "epochs" in progress else ""))
    for name in ("loss", "metric"):
        if (value := progress.get(name)) is not None:
            parts.append(f"{name} {value:.3f}")
    if (rows := progress.get("rows")) is not None:
        total = f"/{progress['total_rows']:,}" if "total_rows" in progress else ""
        parts.append(f"{rows:,}{total} rows")
    return ", ".join(parts)


def missing_values(progress: Mapping[str, Any]) -> str:
    """Return what an import took as missing, as the end of a line; empty if that is nothing.

    >>> missing_values({"missing_values": {"YEAR": 12, "GENRES": 1}})
    '; values taken as missing: YEAR 12, GENRES 1'
    """
    counts = progress.get("missing_values") or {}
    columns = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    return f"; values taken as missing: {columns}" if columns else ""


def _in_notebook() -> bool:
    return "ipykernel" in sys.modules and hasattr(sys.stdout, "set_parent")


def _stream() -> TextIO:
    """A notebook cell's output; elsewhere stderr, so that a script's stdout stays its own."""
    return sys.stdout if _in_notebook() else sys.stderr
