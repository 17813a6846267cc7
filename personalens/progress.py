"""How long work tells what it is doing, and how it is asked to stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class ProgressEvent:
    """One report. ``stage`` is a short phrase ("training on the hold-out"); the rest where known.

    ``fraction`` is of the whole work, 0..1; ``loss`` is the mean training loss of the epoch so far;
    ``metric`` is the validation figure (NDCG@10 unless the stage says otherwise);
    ``missing_values`` are those that an import takes as missing, by column.
    """

    stage: str
    fraction: float | None = None
    epoch: int | None = None
    epochs: int | None = None
    loss: float | None = None
    metric: float | None = None
    rows: int | None = None
    total_rows: int | None = None
    missing_values: dict[str, int] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the known members only, ready for JSON."""
        return {name: value for name, value in asdict(self).items() if value is not None}


Progress = Callable[[ProgressEvent], None]
"""Called with each report. It may raise :class:`Cancelled`, which stops the work cleanly."""


class Cancelled(Exception):
    """Raised by a progress callback: stop now, leave nothing behind."""


def within(progress: Progress, first: float, last: float, stage: str | None = None) -> Progress:
    """Return a listener for one part of a work: its fractions become fractions of the whole, from
    ``first`` to ``last``, and its stage is called ``stage``, if that is given.

    Examples
    --------
    >>> heard = []
    >>> within(heard.append, 0.5, 1.0, "measuring")(ProgressEvent("counting", fraction=0.5))
    >>> heard[0].stage, heard[0].fraction
    ('measuring', 0.75)
    """

    def listen(event: ProgressEvent) -> None:
        fraction = event.fraction
        if fraction is not None:
            fraction = first + min(max(fraction, 0.0), 1.0) * (last - first)
        progress(replace(event, stage=stage or event.stage, fraction=fraction))

    return listen


def ignore_progress(event: ProgressEvent) -> None:
    """The default listener: does nothing."""
