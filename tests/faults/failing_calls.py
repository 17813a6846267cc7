"""Every call to the system that a work makes on its files fails once.

``python -m tests.faults.failing_calls`` does each work of :mod:`tests.faults.acknowledged_work`
once under strace to see what it calls, and then once for each call, which answers EIO; for a sample
of them ENOSPC, from that call on. Then the call or job has failed with a typed error or worked all
the same, reading still works, and the home shows all that was acknowledged and no half of anything.

References
----------
SQLite, "How SQLite Is Tested", on I/O errors: a failure after the N-th operation, N = 1, 2, ...
until the work is done without one.
"""

from __future__ import annotations

import argparse
import json
import logging
import mmap
import random
import re
import sys
import traceback
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

from personalens.service_errors import ServiceError
from tests.faults.acknowledged_work import (
    WORKLOADS,
    Bench,
    all_resources,
    do_jobs,
    open_service,
    working_folder,
)
from tests.faults.traced_child import CannotTrace, traced

CALLS = (
    "fsync",
    "fdatasync",
    "write",
    "pwrite64",
    "writev",
    "ftruncate",
    "openat",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "mkdir",
    "rmdir",
)
WRITING = ("write", "pwrite64", "writev", "ftruncate", "mkdir")
_LINE = re.compile(r"(\d+) +(\w+)\((.*)")


class Failure(NamedTuple):
    """Which call of its kind fails in each thread, and how; ``when`` is strace's."""

    call: str
    when: str
    error: str


class Report:
    """What a child says of itself, in memory that it shares: no call of the system is needed."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1 << 16)

    def write(self, **said: object) -> None:
        self._memory.seek(0)
        self._memory.write(json.dumps(said).encode()[: (1 << 16) - 1] + b"\0")

    def read(self) -> dict:
        self._memory.seek(0)
        return json.loads(self._memory.read().partition(b"\0")[0] or b"{}")


def do_steps(bench: Bench, report: Report, *, lasting: bool = False) -> None:
    """Do the steps until one fails, and say how far it went and what was wrong.

    Where the failure is a ``lasting`` one, reading may fail as well: on a full disk SQLite cannot
    make the shared memory that it needs to open a database.
    """
    report.write(acknowledged=0, outcome="the first step")
    service = open_service(bench.home)
    for number, step in enumerate(bench.workload.steps):
        try:
            step(service, bench.folder)
            has_failed = step is do_jobs and any(
                (each.status or "").endswith("FAILED") for each in all_resources(service.context)
            )
        except ServiceError as error:
            fault = None if error.http_status != 500 else f"not typed: {error!r}"
            if not fault and not lasting and bench.home.catalogue.exists():
                service.list_dataset_groups()  # reading must go on
            return report.write(acknowledged=number, outcome="refused", fault=fault)
        except Exception:
            trace = traceback.format_exc()[-3000:]
            return report.write(acknowledged=number, outcome="broken", fault=trace)
        if has_failed:
            return report.write(acknowledged=number, outcome="job failed")
        report.write(acknowledged=number + 1, outcome="done")


def find_failures(bench: Bench, root: Path, chance: random.Random) -> list[Failure]:
    """Return one failure for each call that the work makes below its folder."""
    bench.restore()
    trace = root / "trace"
    options = ["-y", "-e", f"trace={','.join(CALLS)}", "-e", "signal=none"]
    if error := traced(lambda: do_steps(bench, Report()), options, trace):
        raise AssertionError(f"the work failed although nothing was disturbed: {error}")
    counts: Counter[tuple[str, str]] = Counter()
    found: dict[Failure, None] = {}
    for process, call, rest in _LINE.findall(trace.read_text(errors="replace")):
        counts[process, call] += 1
        if str(bench.folder) in rest:
            number = counts[process, call]
            found[Failure(call, f"{number}", "EIO")] = None
            if call in WRITING and chance.random() < 0.2:
                found[Failure(call, f"{number}+", "ENOSPC")] = None
    return list(found)


def try_failure(bench: Bench, root: Path, failure: Failure) -> tuple[str, str | None]:
    """Return how the work ended when a call failed, and what was wrong then."""
    bench.restore()
    trace, report = root / "trace", Report()
    call, when, error = failure
    options = ["-y", "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={when}"]
    lasting = when.endswith("+")
    died = traced(
        lambda: do_steps(bench, report, lasting=lasting), [*options, "-e", "signal=none"], trace
    )
    hit = [line for line in trace.read_text(errors="replace").split("\n") if "(INJECTED)" in line]
    if not hit:
        return "not reached", None
    said = report.read()
    fault = died or said.get("fault") or bench.check(said["acknowledged"], may_fail=True)
    return said["outcome"], fault and f"{hit[0]}: {said['outcome']}: {fault}"


def try_workload(name: str, options: argparse.Namespace, root: Path) -> tuple[Counter, list[str]]:
    """Return how often a work ended how, and what was wrong."""
    bench = Bench(root, WORKLOADS[name])
    chance = random.Random(options.seed)
    failures = find_failures(bench, root, chance)
    by_call: dict[str, list[Failure]] = defaultdict(list)
    for failure in chance.sample(failures, len(failures)):
        by_call[failure.call].append(failure)
    rare_first = sorted(failures, key=lambda f: by_call[f.call].index(f))
    outcomes, faults = Counter(), []
    for failure in rare_first[: options.at_most]:
        outcome, fault = try_failure(bench, root, failure)
        outcomes[outcome] += 1
        if fault:
            faults.append(f"{name}: {failure}: {fault}")
    return outcomes, faults


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.faults.failing_calls", description=__doc__)
    parser.add_argument("works", nargs="*", default=list(WORKLOADS), help="default: all")
    parser.add_argument("--at-most", type=int, default=10**9, help="failures of each work")
    parser.add_argument("--seed", type=int, default=0, help="which failures, where not all")
    options = parser.parse_args()
    logging.disable()  # what the children log would be calls, too
    total, faults = Counter(), []
    for name in options.works:
        with working_folder() as root:
            try:
                outcomes, found = try_workload(name, options, root)
            except CannotTrace as error:
                print(f"skipped: {error}")
                return 0
        total, faults = total + outcomes, faults + found
        print(f"{name}: {_told(outcomes)}; {len(found)} with a fault", *found, sep="\n", flush=True)
    failed = total.total() - total["not reached"]
    print(f"{failed} calls failed ({_told(total)}); {len(faults)} with a fault")
    return bool(faults)


def _told(outcomes: Counter) -> str:
    return ", ".join(f"{outcome} {count}" for outcome, count in sorted(outcomes.items()))


if __name__ == "__main__":
    sys.exit(main())
