"""On what a benchmark ran (processor, threads, versions, date, command), and its results file."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = ("numpy", "scipy", "pandas", "pyarrow", "torch")


def describe_run(benchmark: str) -> dict[str, Any]:
    """Return what every results file begins with."""
    return {
        "benchmark": benchmark,
        "command": command_line(sys.argv),
        "date": datetime.now(UTC).date().isoformat(),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "machine_cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),  # before it; above the cores, others work
        "threads": os.environ.get("OMP_NUM_THREADS", "default"),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }


def write_result(result: dict[str, Any], name: str, folder: Path = RESULTS) -> Path:
    """Write a results file, which report.py reads, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    return path


def command_line(arguments: list[str]) -> str:
    """Return the command to repeat a run, without the folders where files were put.

    >>> command_line(["x/accuracy.py", "--work", "folder", "--peers", "implicit ALS"])
    "python benchmarks/accuracy.py --peers 'implicit ALS'"
    """
    script, *rest = arguments
    for option in ("--work", "--results"):
        if option in rest:
            place = rest.index(option)
            rest = rest[:place] + rest[place + 2 :]
    return shlex.join(["python", f"benchmarks/{Path(script).name}", *rest])


def processor() -> str:
    """Return the processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
