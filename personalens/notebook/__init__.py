"""What labs use beside boto3: sessions, checks, progress bars, plots."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["LabSession", "plots"]


def __getattr__(name: str) -> Any:
    if name == "LabSession":
        return importlib.import_module(f"{__name__}.lab_session").LabSession
    if name == "plots":
        return importlib.import_module(f"{__name__}.plots")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
