"""The worker process: started when needed, once, detached, gone when idle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from personalens.home import Home
from personalens.jobs import job_runner, opening
from personalens.jobs.job_runner import JobHandler
from personalens.jobs.opening import MAX_WORKERS, check_in, ensure_worker, open_home, retire
from personalens.jobs.worker import NICENESS, Worker, main
from personalens.storage.catalogue import StorageError
from personalens.storage.job_queue import QUEUED, RUNNING, JobQueue, ProcessIdentity
from personalens.storage.resource_store import Resource
from personalens.storage.service_context import ServiceContext

PREFIX = "arn:aws:personalize:us-east-1:123456789012:campaign/"


def put(jobs: JobQueue, name: str, kind: str = "test", **arguments) -> None:
    with jobs.store.transaction() as tx:
        tx.insert(Resource(PREFIX + name, "campaign", name, status="CREATE PENDING"))
        jobs.enqueue(tx, kind, PREFIX + name, **arguments)


def until(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def jobs(home) -> JobQueue:
    """A queue that starts nobody."""
    return JobQueue(home)


@pytest.fixture
def spawned(monkeypatch) -> list[str]:
    """Instead of processes: the places that were reserved for them."""
    places: list[str] = []
    monkeypatch.setattr(opening, "_spawn", lambda home, worker_id: places.append(worker_id))
    return places


def test_no_worker_without_work(home, jobs, spawned):
    assert not ensure_worker(home, jobs)
    assert spawned == []


def test_one_worker_for_one_job_however_many_ask(home, jobs, spawned):
    put(jobs, "a")
    assert [ensure_worker(home) for _ in range(3)] == [True, False, False]
    assert len(spawned) == 1


def test_two_workers_at_most_and_none_for_a_lane_that_is_taken(home, jobs, spawned):
    for name in ("a", "b"):
        put(jobs, name, lane="x")
    assert [ensure_worker(home) for _ in range(3)] == [True, False, False]
    for name in ("c", "d", "e"):
        put(jobs, name)
    assert [ensure_worker(home) for _ in range(3)] == [True, False, False]
    assert len(spawned) == MAX_WORKERS == 2


def test_an_idle_worker_is_enough(home, jobs, spawned):
    put(jobs, "a")
    ensure_worker(home)
    assert check_in(jobs, spawned[0])
    jobs.claim()
    assert not ensure_worker(home)
    put(jobs, "b")  # the worker that checked in is busy now: it and this process are one
    assert ensure_worker(home)


def test_a_place_of_a_dead_process_is_given_anew(home, jobs, spawned, monkeypatch):
    put(jobs, "a")
    with monkeypatch.context() as patch:
        gone = ProcessIdentity(ProcessIdentity.of_self().host, 2**22 + 1)
        patch.setattr(ProcessIdentity, "of_self", classmethod(lambda cls: gone))
        assert ensure_worker(home)
    assert ensure_worker(home)
    assert len(spawned) == 2


def test_a_process_that_cannot_be_started_leaves_the_place_free(home, jobs, monkeypatch, caplog):
    def refuse(home, worker_id):
        raise OSError("no more processes")

    put(jobs, "a")
    monkeypatch.setattr(opening, "_spawn", refuse)
    assert not ensure_worker(home)
    assert "no more processes" in caplog.text
    monkeypatch.setattr(opening, "_spawn", lambda home, worker_id: None)
    assert ensure_worker(home)


def test_a_third_worker_finds_no_place(home, jobs):
    assert [check_in(jobs, name) for name in ("a", "b", "c")] == [True, True, False]
    assert Worker(home, worker_id="c", idle_seconds=0).run() == 0
    assert retire(jobs, "a")
    assert check_in(jobs, "c")


def test_a_worker_does_not_leave_while_a_job_waits(jobs):
    check_in(jobs, "a")
    put(jobs, "a")
    assert not retire(jobs, "a", if_idle=True)
    jobs.claim()
    assert retire(jobs, "a", if_idle=True)


def test_a_worker_does_what_is_there_and_leaves(home, jobs, monkeypatch):
    done = []
    handler = JobHandler(run=lambda context, job, report: done.append((job.arn, context.region)))
    monkeypatch.setitem(job_runner.HANDLERS, "test", handler)
    for name in ("a", "b"):
        put(jobs, name)
    assert Worker(home, idle_seconds=0.0).run() == 2
    assert done == [(PREFIX + "a", "us-east-1"), (PREFIX + "b", "us-east-1")]
    assert jobs.waiting() == 0
    assert check_in(jobs, "x")
    assert check_in(jobs, "y")  # both places are free again


def test_a_worker_makes_no_home(tmp_path):
    with pytest.raises(StorageError, match="is gone"):
        Worker(Home(tmp_path / "none"), idle_seconds=0).run()
    assert main(["--home", str(tmp_path / "none")]) == 1
    assert not (tmp_path / "none").exists()


def test_the_idle_time_must_be_a_number(home, monkeypatch):
    monkeypatch.setenv("PERSONALENS_WORKER_IDLE_SECONDS", "long")
    with pytest.raises(ValueError, match="'long'"):
        Worker(home)


@pytest.fixture(autouse=True)
def restored_signals():
    """``main`` sets the process's signal handlers, and these tests call it."""
    kinds = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
    before = [signal.getsignal(kind) for kind in kinds]
    yield
    for kind, handler in zip(kinds, before, strict=True):
        signal.signal(kind, handler)


@pytest.fixture
def real(home, monkeypatch):
    """A context whose jobs a real worker process does; it leaves soon after the last one."""
    monkeypatch.setenv("PERSONALENS_WORKER_IDLE_SECONDS", "0.5")
    context = open_home(home, inline_jobs=False)
    yield context
    assert until(lambda: not workers(context)), "a worker has stayed"


def workers(context: ServiceContext) -> list[ProcessIdentity]:
    with context.store.catalogue.reading() as connection:
        rows = connection.execute("SELECT holder FROM workers").fetchall()
    identities = [ProcessIdentity.from_json(holder) for (holder,) in rows]
    return [identity for identity in identities if not identity.is_gone()]


def test_enqueueing_starts_a_detached_process(home, real, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "")
    put(real.jobs, "a", "nonsense")
    arn = PREFIX + "a"
    assert until(lambda: real.store.require(arn).status == "CREATE FAILED")
    assert "no handler for 'nonsense'" in real.store.require(arn).failure_reason
    (worker,) = workers(real)
    assert worker.pid != os.getpid()
    assert os.getsid(worker.pid) != os.getsid(0)
    if sys.platform == "linux":
        assert os.readlink(f"/proc/{worker.pid}/cwd") == str(home.path)
        assert os.readlink(f"/proc/{worker.pid}/fd/0") == "/dev/null"
        assert os.readlink(f"/proc/{worker.pid}/fd/2") == str(home.logs / "worker.log")
    assert "nonsense" in (home.logs / "worker.log").read_text()
    os.kill(worker.pid, signal.SIGINT)
    put(real.jobs, "b", "nonsense")
    assert until(lambda: real.store.require(PREFIX + "b").status == "CREATE FAILED")
    assert workers(real) == [worker]  # warm, and deaf to Ctrl-C


def test_a_worker_imports_torch_only_for_a_training(home, real):
    put(real.jobs, "a", "nonsense")
    assert until(lambda: real.store.require(PREFIX + "a").status == "CREATE FAILED")
    if sys.platform != "linux":
        pytest.skip("looks at /proc")
    (worker,) = workers(real)
    with open(f"/proc/{worker.pid}/maps") as maps:
        assert "libtorch" not in maps.read()


def test_a_terminated_worker_gives_its_job_back_and_has_cost_an_attempt(home, jobs, monkeypatch):
    def handler(context, job, report):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)

    monkeypatch.setitem(job_runner.HANDLERS, "test", JobHandler(run=handler))
    put(jobs, "a")
    with pytest.raises(SystemExit):
        main(["--home", str(home.path)])
    progress = jobs.progress(PREFIX + "a")
    assert (progress["state"], progress["attempt"]) == (QUEUED, 1)  # the next one is the second
    assert check_in(jobs, "x")
    assert check_in(jobs, "y")


def test_a_worker_whose_job_is_running_shows_it(home, jobs, monkeypatch):
    states = []

    def handler(context, job, report):
        states.append(jobs.progress(job.arn)["state"])

    monkeypatch.setitem(job_runner.HANDLERS, "test", JobHandler(run=handler))
    put(jobs, "a")
    Worker(home, idle_seconds=0.0).run()
    assert states == [RUNNING]


def test_a_worker_gives_way_to_what_people_wait_for():
    told = (
        "import os; from personalens.jobs import worker; worker.step_back();"
        "print(os.nice(0), worker.AUTOGROUP.exists() and worker.AUTOGROUP.read_text().split()[-1])"
    )
    before = os.nice(0)
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    nice, of_session = done.stdout.split()
    assert int(nice) == min(19, before + NICENESS)
    assert of_session in ("False", str(NICENESS))
