"""Where a benchmark runs, and what it leaves: processes, a description, a results file."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
ENVIRONMENTS = ROOT / ".venv-bench"
PACKAGES = ("numpy", "scipy", "pandas", "pyarrow", "torch")


def parser(description: str) -> ArgumentParser:
    """Return a parser of a module's options, which knows ``--results`` already."""
    options = ArgumentParser(description=description.splitlines()[0])
    options.add_argument("--results", type=Path, default=RESULTS)
    return options


def python_of(environment: str = "") -> Path:
    """Return the interpreter of an environment of the peers, by default our own."""
    return ENVIRONMENTS / environment / "bin" / "python" if environment else Path(sys.executable)


def run_module(name: str, *arguments: object, environment: str = "", **options: Any) -> Any:
    """Run ``python -m benchmarks.NAME`` in a process of its own, in an environment of the peers if
    one is named; further options are those of ``subprocess.run``."""
    command = [python_of(environment), "-m", f"benchmarks.{name}", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, **options)


def run_step(name: str, *arguments: object, environment: str = "") -> dict[str, Any] | None:
    """Run a step that prints what it took as JSON; None where the environment is not there."""
    if not python_of(environment).exists():
        return None
    # Every tool chooses its threads itself.
    own = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    load = round(os.getloadavg()[0], 1)
    done = run_module(
        name, *arguments, environment=environment, check=True, stdout=subprocess.PIPE, env=own
    )
    return json.loads(done.stdout) | {"load": load}


def fastest_runs(
    steps: list[str], run: Callable[[str], dict[str, Any] | None], repeats: int
) -> Iterator[dict[str, Any]]:
    """Run the steps ``repeats`` times, interleaved; yield the fastest run of each, with the seconds
    of all its runs and the most memory that one of them took."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for _ in range(repeats):
        for step in steps:
            if (measured := run(step)) is not None:
                runs.setdefault(step, []).append(measured)
                seconds, cpu = measured["seconds"], measured["cpu_seconds"]
                print(f"{step:<24} {seconds:>8.2f} s {cpu:>8.2f} s of processor", flush=True)
    for step, each in runs.items():
        yield {
            "step": step,
            **min(each, key=lambda run: run["seconds"]),
            "peak_mb": max(run["peak_mb"] for run in each),
            "runs": len(each),
            "all_seconds": [round(run["seconds"], 2) for run in each],
        }


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
    """Write a results file, which :mod:`benchmarks.page` reads, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    return path


def command_line(arguments: list[str]) -> str:
    """Return the command to repeat a run, without the folders where files were put.

    >>> command_line(["x/accuracy.py", "--work", "folder", "--peers", "implicit ALS"])
    "python -m benchmarks.accuracy --peers 'implicit ALS'"
    """
    script, *rest = arguments
    for option in ("--work", "--results"):
        if option in rest:
            place = rest.index(option)
            rest = rest[:place] + rest[place + 2 :]
    return shlex.join(["python", "-m", f"benchmarks.{Path(script).stem}", *rest])


def processor() -> str:
    """Return the processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
