"""The job queue: one holder a job, stale holders shut out, the dead replaced."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from personalens.storage import job_queue
from personalens.storage.catalogue import StorageError
from personalens.storage.job_queue import (
    DONE,
    QUEUED,
    RUNNING,
    STOPPED,
    JobQueue,
    LeaseLost,
    ProcessIdentity,
)
from personalens.storage.resource_store import Resource

PREFIX = "arn:aws:personalize:us-east-1:123456789012"


def arn(name: str) -> str:
    return f"{PREFIX}:campaign/{name}"


@pytest.fixture
def jobs(home) -> JobQueue:
    return JobQueue(home)


def put(jobs: JobQueue, name: str, kind: str = "campaign", **arguments) -> str:
    with jobs.store.transaction() as tx:
        if tx.get(arn(name)) is None:
            tx.insert(Resource(arn(name), "campaign", name, status="CREATE PENDING"))
        jobs.enqueue(tx, kind, arn(name), **arguments)
    return arn(name)


@pytest.fixture
def dead() -> ProcessIdentity:
    """The identity of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = replace(ProcessIdentity.of_self(), pid=process.pid, started=None)
    process.communicate()
    return identity


def elsewhere() -> ProcessIdentity:
    return ProcessIdentity("another machine", 1, 1)


def test_a_job_is_claimed_once_and_brings_its_payload(jobs):
    put(jobs, "a", payload={"n": 1, "text": "é"})
    job = jobs.claim()
    assert (job.kind, job.arn, job.payload, job.attempt) == (
        "campaign",
        arn("a"),
        {"n": 1, "text": "é"},
        1,
    )
    assert jobs.claim() is None


def test_jobs_come_in_order_and_quick_kinds_before_trainings(jobs):
    put(jobs, "a", "train")
    put(jobs, "b")
    put(jobs, "c", "dataset-import")
    assert [jobs.claim().arn for _ in range(3)] == [arn("b"), arn("c"), arn("a")]


def test_jobs_of_one_lane_run_one_after_another(jobs):
    put(jobs, "a", "train")
    put(jobs, "b", "train")
    put(jobs, "c", lane="x")
    put(jobs, "d", lane="x")
    first, second = jobs.claim(), jobs.claim()
    assert [first.arn, second.arn] == [arn("c"), arn("a")]
    assert jobs.claim() is None
    with jobs.finishing(second):
        pass
    assert jobs.claim().arn == arn("b")
    assert jobs.waiting() == 0


def test_enqueue_rolls_back_with_its_transaction_and_calls_on_work_once_after_it(home):
    calls = []
    jobs = JobQueue(home, on_work=lambda: calls.append(jobs.waiting()))
    with jobs.store.transaction() as tx:
        for name in ("a", "b"):
            tx.insert(Resource(arn(name), "campaign", name))
            jobs.enqueue(tx, "campaign", arn(name))
        assert calls == []
    assert calls == [2]

    def half_a_change() -> None:
        with jobs.store.transaction() as tx:
            jobs.enqueue(tx, "campaign", arn("a"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half_a_change()
    assert jobs.waiting() == 2
    assert calls == [2]


def test_wake_calls_on_work_only_when_there_is_some(home):
    calls = []
    jobs = JobQueue(home, on_work=lambda: calls.append("work"))
    jobs.wake()
    assert calls == []
    put(jobs, "a")
    jobs.claim()
    calls.clear()
    jobs.wake()
    assert calls == []


def test_a_disk_that_fills_up_after_the_commit_does_not_undo_the_operation(home, caplog):
    def no_room() -> None:
        raise StorageError("the disk is full")

    jobs = JobQueue(home, on_work=no_room)
    put(jobs, "a")
    assert "the disk is full" in caplog.text
    assert jobs.store.require(arn("a")).status == "CREATE PENDING"
    assert jobs.waiting() == 1


def test_progress_tells_state_attempt_and_the_latest_report(jobs):
    assert jobs.progress(arn("a")) is None
    put(jobs, "a")
    assert jobs.progress(arn("a")) == {"state": QUEUED, "attempt": 0, "started_at": None}
    job = jobs.claim()
    assert jobs.heartbeat(job, {"stage": "counting", "rows": 5}) is False
    progress = jobs.progress(arn("a"))
    assert time.time() - 60 < progress.pop("started_at") <= time.time()
    assert progress == {"state": RUNNING, "attempt": 1, "stage": "counting", "rows": 5}
    jobs.heartbeat(job)
    assert jobs.progress(arn("a"))["rows"] == 5
    with jobs.finishing(job, progress={"stage": "done", "rows": 9}):
        pass
    assert (jobs.progress(arn("a"))["state"], jobs.progress(arn("a"))["rows"]) == (DONE, 9)


def test_finishing_changes_resource_and_job_together_or_neither(jobs):
    put(jobs, "a")
    job = jobs.claim()

    def half_a_change() -> None:
        with jobs.finishing(job) as tx:
            tx.update(job.arn, status="ACTIVE")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half_a_change()
    assert jobs.store.require(job.arn).status == "CREATE PENDING"
    assert jobs.progress(job.arn)["state"] == RUNNING
    with jobs.finishing(job) as tx:
        tx.update(job.arn, status="ACTIVE")
    assert jobs.store.require(job.arn).status == "ACTIVE"
    assert jobs.progress(job.arn)["state"] == DONE
    assert not jobs.is_held(job)


def test_the_job_of_a_dead_process_is_taken_at_once(jobs, dead):
    put(jobs, "a")
    jobs.claim(dead)
    assert jobs.waiting() == 1
    again = jobs.claim()
    assert (again.arn, again.attempt) == (arn("a"), 2)


def test_a_living_holder_keeps_its_job(jobs):
    put(jobs, "a")
    jobs.claim()
    assert jobs.waiting() == 0


def test_a_job_held_elsewhere_is_taken_when_its_lease_is_over(jobs, monkeypatch):
    put(jobs, "a")
    monkeypatch.setattr(job_queue, "LEASE_SECONDS", 1000.0)
    jobs.claim(elsewhere())
    assert jobs.waiting() == 0
    monkeypatch.setattr(job_queue, "LEASE_SECONDS", -1.0)
    put(jobs, "b")
    jobs.claim(elsewhere())
    assert jobs.claim().arn == arn("b")


def test_a_frozen_process_here_loses_its_job_by_the_monotonic_clock_only(jobs, monkeypatch):
    put(jobs, "a")
    frozen = jobs.claim()
    late = time.time() + 3600  # the laptop slept for an hour; its monotonic clock did not move
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: late)
        assert jobs.waiting() == 0
    monotonic = time.monotonic() + job_queue.LEASE_SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: monotonic)
    assert jobs.claim().arn == frozen.arn


def test_a_stale_holder_can_write_nothing(jobs, dead):
    put(jobs, "a")
    stale = jobs.claim(dead)
    fresh = jobs.claim()
    for attempt in (
        lambda: jobs.heartbeat(stale, {"rows": 1}),
        lambda: jobs.holding(stale).__enter__(),
        lambda: jobs.finishing(stale).__enter__(),
        lambda: jobs.give_back(stale),
    ):
        with pytest.raises(LeaseLost):
            attempt()
    assert jobs.is_held(fresh)
    assert "rows" not in jobs.progress(arn("a"))


def test_deleting_the_resource_ends_its_job(jobs):
    put(jobs, "a")
    job = jobs.claim()
    with jobs.store.transaction() as tx:
        tx.delete(job.arn)
    with pytest.raises(LeaseLost):
        jobs.heartbeat(job)
    assert jobs.progress(job.arn) is None


def test_a_stop_before_the_start_takes_the_job_out(jobs):
    put(jobs, "a")
    assert jobs.request_stop(arn("a")) == STOPPED
    assert jobs.claim() is None
    assert jobs.request_stop(arn("a")) is None


def test_a_running_job_hears_the_stop_at_its_heartbeat(jobs):
    put(jobs, "a")
    job = jobs.claim()
    with jobs.store.transaction() as tx:
        assert jobs.request_stop(arn("a"), tx) == RUNNING
    assert jobs.heartbeat(job) is True


def test_a_stop_request_survives_the_holder(jobs, dead):
    put(jobs, "a")
    jobs.claim(dead)
    jobs.request_stop(arn("a"))
    assert jobs.claim().stop_requested


@pytest.mark.parametrize(("counts", "attempt"), [(True, 2), (False, 1)])
def test_a_job_given_back_costs_an_attempt_if_it_shall(jobs, counts, attempt):
    put(jobs, "a")
    job = jobs.claim()
    jobs.give_back(job, counts=counts)
    again = jobs.claim()
    assert (again.id, again.attempt) == (job.id, attempt)
    assert again.token != job.token


def test_identity_tells_the_living_from_the_dead(dead):
    me = ProcessIdentity.of_self()
    assert me.host == job_queue.this_host()
    assert not me.is_gone()
    assert ProcessIdentity.from_json(me.to_json()) == me
    assert dead.is_gone()
    assert not elsewhere().is_gone()


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs /proc")
def test_a_recycled_process_number_and_a_zombie_count_as_gone():
    me = ProcessIdentity.of_self()
    assert replace(me, started=me.started - 1).is_gone()
    child = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], os.environ)
    zombie = replace(me, pid=child, started=None)
    deadline = time.monotonic() + 60
    while not zombie.is_gone() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert os.kill(child, 0) is None  # its number is still there ...
    assert zombie.is_gone()  # ... and yet it has ended
    os.waitpid(child, 0)
