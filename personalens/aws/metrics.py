"""What operators watch, in Prometheus's text form: ``GET /_personalens/metrics``.

Requests and their seconds by operation and status (a histogram: its ``_count`` gives rates and
errors), jobs by state, the event log's group commits, and the memory of each process. With several
workers, any of them answers for all: they count in files of one folder that lasts as long as the
server (prometheus_client's multiprocess mode). What is refused before it is a request
(:mod:`personalens.aws.http_limits`) is not counted.
"""

from __future__ import annotations

import contextlib
import os
import struct
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from personalens.environment import environment
from personalens.home import Home
from personalens.storage.catalogue import Catalogue
from personalens.storage.group_commit import TALLY
from personalens.storage.job_queue import count_by_state

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_IN_MEMORY = "/dev/shm"
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
_LOOKS = 20
_LOOK_EVERY_SECONDS = 1.0
"""Memory and group commits of a process are as of its last request, or up to so long before it."""


class ServerMetrics:
    """The figures of one application. A request only adds to counters; a scrape looks into the
    queue. What requests cost with them is in what ``benchmarks/serving.py`` measures.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._registry = registry = CollectorRegistry()
        self._seconds = Histogram(
            "personalens_request_seconds",
            "From the head of a request to its answer; no operation: none was asked for.",
            ["operation", "status"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._commits, self._writes, self._failures = (
            Counter(f"personalens_event_log_{name}", text, registry=registry)
            for name, text in (
                ("commits", "Transactions of the event log, each one flush to the disk."),
                ("writes", "Requests that those transactions have written."),
                ("failures", "Transactions that failed; the requests beside the cause go on."),
            )
        )
        self._memory = Gauge(
            "personalens_resident_memory_bytes",
            "Memory of a process of the server.",
            ["process"],
            multiprocess_mode="livemax",
            registry=registry,
        )
        self._counted = (0, 0, 0)
        self._next_look = 0.0
        self._children: dict[tuple[str, int], Histogram] = {}

    def note(self, operation: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        child = self._children.get((operation, status))
        if child is None:
            child = self._seconds.labels(operation, status)
            self._children[operation, status] = child
        child.observe(seconds)
        if time.monotonic() > self._next_look:
            self.note_process()

    def note_process(self) -> None:
        """Take over what this process counts elsewhere; from one thread, like :meth:`note`."""
        now = (TALLY.commits, TALLY.writes, TALLY.failures)
        counters = (self._commits, self._writes, self._failures)
        for counter, new, old in zip(counters, now, self._counted, strict=True):
            counter.inc(new - old)
        self._counted = now
        self._next_look = time.monotonic() + _LOOK_EVERY_SECONDS
        if memory := _resident_bytes():
            self._memory.labels(os.getpid()).set(memory)

    def text(self) -> bytes:
        """Return what a scrape gets to see. It reads the catalogue: call it from a thread."""
        jobs = CollectorRegistry()
        jobs.register(_Jobs(self._home))
        return self._requests() + generate_latest(jobs)

    def _requests(self) -> bytes:
        if _FOLDER not in os.environ:
            return generate_latest(self._registry)
        _forget_ended_processes(Path(os.environ[_FOLDER]))
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        for _ in range(_LOOKS):
            try:
                return generate_latest(registry)
            except struct.error:  # a process has made its file in this moment, and it is empty yet
                time.sleep(0.01)
        return generate_latest(registry)


class _Jobs(Collector):
    """Counts the jobs of a home as they are at the moment."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def collect(self) -> Iterator[GaugeMetricFamily]:
        jobs = GaugeMetricFamily("personalens_jobs", "Jobs of the home.", labels=["state"])
        if self._home.catalogue.exists():
            catalogue = Catalogue(self._home, create=False)
            with contextlib.closing(catalogue), catalogue.reading() as connection:
                for state, count in count_by_state(connection).items():
                    jobs.add_metric([state.lower()], count)
        yield jobs


@contextlib.contextmanager
def counting_together() -> Iterator[None]:
    """Let the processes that are started in the block count into one folder."""
    # In memory where the system has such a folder: nobody needs these counters after a crash.
    place = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else None
    folders = tempfile.TemporaryDirectory(prefix="personalens-metrics-", dir=place)
    with folders as folder, environment({_FOLDER: folder}):
        yield


def _forget_ended_processes(folder: Path) -> None:
    """What they have counted stays; how much memory they had does not."""
    for file in folder.glob("gauge_live*_*.db"):
        process = int(file.stem.rpartition("_")[2])
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            mark_process_dead(process, str(folder))


def _resident_bytes() -> int:
    """Return the memory of this process; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
