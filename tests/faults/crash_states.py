"""What a power cut may leave: recorded, rebuilt, and opened.

``python -m tests.faults.crash_states`` does each work of :mod:`tests.faults.acknowledged_work` once
under strace, which writes down every change of a file, every name that is made, moved or removed,
and every flush. From that it rebuilds the disks that a power cut at any moment may leave, opens the
home on each, lets the next worker do what is left to do, and compares what the home shows with what
had been acknowledged before the cut.

The model of a disk: the bytes of a file are safe once the file is flushed, a name once the folder
that holds it is. Of all that is not safe yet any part may have reached the disk, in any order, and
of a write any of its sectors. SQLite's files are files as all others, but for its shared memory
(``-shm``), which is made again after a crash.

References
----------
Pillai et al., "All File Systems Are Not Created Equal: On the Complexity of Crafting
Crash-Consistent Applications" (OSDI 2014), whose ALICE does this for other programs; SQLite, "How
SQLite Is Tested", on crashes; LazyFS, a file system that forgets what was not flushed.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tests.faults.acknowledged_work import WORKLOADS, Bench, working_folder
from tests.faults.recorded_disk import (
    BYTES,
    FLUSH,
    MARK,
    NAMES,
    RECORD,
    SIZE,
    Change,
    Disk,
    Recording,
)
from tests.faults.traced_child import CannotTrace, traced

SECTOR = 512
EXTREMES = {
    "nothing": (),
    "everything": (NAMES, SIZE, BYTES),
    "names": (NAMES, SIZE),
    "names and sizes": (NAMES, SIZE),  # with zeros for bytes
    "bytes": (SIZE, BYTES),
}
"""Which of the unsafe changes have reached the disk."""


class Crash(NamedTuple):
    """A power cut: after how many changes, and what of the unsafe ones has reached the disk: one of
    :data:`EXTREMES`, or a number, the seed of a random part."""

    after: int
    part: str | int


def record(bench: Bench, root: Path) -> Recording:
    """Do the steps of a bench under strace, with a mark after each."""
    bench.restore()
    marks, trace = root / "marks", root / "trace"
    recording = Recording(bench.folder, marks)

    def work() -> None:
        acknowledged = os.open(marks, os.O_WRONLY | os.O_CREAT)
        bench.run(after_each=lambda: os.write(acknowledged, b"."))

    if error := traced(work, RECORD, trace):
        raise AssertionError(f"the work failed although nothing was disturbed: {error}")
    recording.read(trace.read_bytes())
    end = state_after(recording, Crash(len(recording.changes), "everything"))
    if end.content() != Disk.read(bench.folder).content():
        raise AssertionError("what was recorded is not what was done")
    return recording


def crashes(recording: Recording, subsets: int) -> Iterator[Crash]:
    """Yield the power cuts to try: one after each change, with every extreme and random parts."""
    for after, change in enumerate(recording.changes, start=1):
        if change.what not in (FLUSH, MARK):
            yield from (Crash(after, part) for part in (*EXTREMES, *range(subsets)))
        else:  # nothing new is there to be lost, but more is safe, or was acknowledged
            yield from (Crash(after, part) for part in ("nothing", "names"))


def state_after(recording: Recording, crash: Crash) -> Disk:
    """Return the disk that a power cut leaves."""
    done = recording.changes[: crash.after]
    flushed: set[int] = set()
    is_safe = []
    for change in reversed(done):
        if change.what == FLUSH:
            flushed.add(change.of)
        is_safe.append(change.of in flushed)
    chance = random.Random(f"{crash.after} {crash.part}")
    disk = recording.before.copy()
    for change, safe in zip(done, reversed(is_safe), strict=True):
        if safe:
            disk.apply(change)
        elif isinstance(crash.part, int):
            apply_random_part(disk, change, chance)
        elif change.what in EXTREMES[crash.part]:
            disk.apply(change)
        elif change.what == BYTES and crash.part == "names and sizes":
            end = change.offset + len(change.content)
            disk.apply(replace(change, offset=end, content=b""))
    return disk


def apply_random_part(disk: Disk, change: Change, chance: random.Random) -> None:
    """Apply all of a change, nothing, or, of bytes, some sectors."""
    lot = chance.random()
    if lot < 0.4:
        disk.apply(change)
    elif lot < 0.6 and change.what == BYTES:
        for start in range(0, len(change.content), SECTOR):
            sector = change.content[start : start + SECTOR]
            if chance.random() < 0.5:
                disk.apply(replace(change, offset=change.offset + start, content=sector))


def try_workload(name: str, options: argparse.Namespace, root: Path) -> tuple[int, list[str]]:
    """Return how many states of a work were opened, and what was wrong with which of them."""
    bench = Bench(root, WORKLOADS[name])
    recording = record(bench, root)
    if options.without_flushes:
        recording.changes = [each for each in recording.changes if each.what != FLUSH]
    planned = list(crashes(recording, options.subsets))
    random.Random(options.seed).shuffle(planned)
    seen: set[tuple[int, int]] = set()
    faults = []
    for crash in planned:
        state = state_after(recording, crash)
        acknowledged = sum(change.what == MARK for change in recording.changes[: crash.after])
        if (key := (hash(state.content()), acknowledged)) in seen:
            continue
        if len(seen) == options.at_most:
            break
        seen.add(key)
        state.write(bench.folder)
        if wrong := bench.check(acknowledged):
            last = recording.changes[crash.after - 1]
            faults.append(f"{name}: {crash}, just after {last.what} of {last.of}: {wrong}")
    return len(seen), faults


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.faults.crash_states", description=__doc__)
    parser.add_argument("works", nargs="*", default=list(WORKLOADS), help="default: all")
    parser.add_argument("--subsets", type=int, default=4, help="random parts after each change")
    parser.add_argument("--at-most", type=int, default=10**9, help="states of each work")
    parser.add_argument("--seed", type=int, default=0, help="which states, where not all")
    parser.add_argument(
        "--without-flushes",
        action="store_true",
        help="leave all flushes out of the recording: shows that faults would be found",
    )
    options = parser.parse_args()
    opened, faults = 0, []
    for name in options.works:
        with working_folder() as root:
            try:
                count, found = try_workload(name, options, root)
            except CannotTrace as error:
                print(f"skipped: {error}")
                return 0
        opened, faults = opened + count, faults + found
        print(
            f"{name}: {count} states opened, {len(found)} with a fault",
            *found,
            sep="\n",
            flush=True,
        )
    print(f"{opened} states opened, {len(faults)} with a fault")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
