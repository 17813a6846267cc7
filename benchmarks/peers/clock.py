"""What a piece of work takes; it needs no package, so that it adds nothing to what is measured."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable


def peak_mb() -> float:
    """Return the most memory that this process had so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def timed(work: Callable[[], object]) -> dict[str, float]:
    """Do the work; return its seconds, those of the processor, the peak of memory and what of it
    came with the work."""
    before, began, worked = peak_mb(), time.perf_counter(), time.process_time()
    work()
    return {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - worked,
        "peak_mb": peak_mb(),
        "added_mb": peak_mb() - before,
    }
