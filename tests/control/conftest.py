"""Events on disk, and a clock that a test moves."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from personalens.storage import event_log, job_queue


@pytest.fixture
def write_events(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes an interactions CSV."""

    def write(rows: int = 1000, path: Path | str = "events.csv", first: int = 0) -> Path:
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"u{n % 50},i{n % 70},{1_600_000_000 + n}\n" for n in range(first, first + rows)]
        target.write_text("USER_ID,ITEM_ID,TIMESTAMP\n" + "".join(lines))
        return target

    return write


class Clock:
    """Tells a time that a test moves."""

    def __init__(self):
        self.ahead = 0.0

    def __call__(self):
        return time.time() + self.ahead

    def advance(self, seconds):
        self.ahead += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(job_queue, "clock", clock)
    monkeypatch.setattr(event_log, "time", SimpleNamespace(time=clock))
    return clock
