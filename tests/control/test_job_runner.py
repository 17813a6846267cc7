"""Running one job: every way it can end is in the catalogue."""

from __future__ import annotations

import errno
import time

import pytest

from personalens.jobs import job_runner
from personalens.jobs.job_runner import JobFailed, JobHandler, run_jobs
from personalens.jobs.opening import open_home
from personalens.progress import Cancelled, ProgressEvent
from personalens.storage.job_queue import (
    DONE,
    FAILED,
    MAX_ATTEMPTS,
    QUEUED,
    STOPPED,
    ProcessIdentity,
)
from personalens.storage.resource_store import Resource
from personalens.storage.service_context import ServiceContext

ARN = "arn:aws:personalize:us-east-1:123456789012:campaign/a"


@pytest.fixture(autouse=True)
def quick_beats(monkeypatch):
    monkeypatch.setattr(job_runner, "BEAT_SECONDS", 0.01)


@pytest.fixture
def run(context: ServiceContext, monkeypatch):
    """Run a handler as an inline job and return (resource, progress)."""

    def run(function, *, claimed_by_the_dead: int = 0):
        monkeypatch.setitem(job_runner.HANDLERS, "test", JobHandler(run=function))
        queue = open_home(context.home, inline_jobs=False).jobs
        with context.store.transaction() as tx:
            tx.insert(Resource(ARN, "campaign", "a", status="CREATE PENDING"))
            context.jobs.enqueue(tx, "test", ARN, {"n": 3})
            tx.after_commit.clear()
        gone = ProcessIdentity(ProcessIdentity.of_self().host, 2**22 + 1, None)
        for _ in range(claimed_by_the_dead):
            queue.claim(gone)
        run_jobs(context)
        return context.store.get(ARN), context.jobs.progress(ARN)

    return run


def test_a_handler_that_finishes_its_job(run):
    def handler(context, job, report):
        with context.jobs.finishing(job) as tx:
            tx.update(job.arn, status="ACTIVE", n=job.payload["n"])

    resource, progress = run(handler)
    assert (resource.status, resource.body, progress["state"]) == ("ACTIVE", {"n": 3}, DONE)


def test_a_handler_that_just_returns_is_done(run):
    resource, progress = run(lambda context, job, report: None)
    assert (resource.status, progress["state"]) == ("CREATE PENDING", DONE)


def test_job_failed_becomes_the_failure_reason(run):
    def handler(context, job, report):
        raise JobFailed("the file is empty")

    resource, progress = run(handler)
    assert (resource.status, resource.failure_reason) == ("CREATE FAILED", "the file is empty")
    assert progress["state"] == FAILED


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "no room left to write below .*home"),
        (OSError(errno.EFBIG, "File too large"), "no room left to write"),
        (MemoryError(), "not enough memory"),
        (ValueError("odd"), "Internal error: ValueError: odd. The log in .*logs"),
    ],
)
def test_other_errors_become_a_reason_that_says_what_to_do(run, error, text):
    def handler(context, job, report):
        raise error

    resource, _ = run(handler)
    assert resource.status == "CREATE FAILED"
    with pytest.raises(RuntimeError, match=text):
        raise RuntimeError(resource.failure_reason)


def test_progress_is_written_while_the_job_runs(run):
    seen = []

    def handler(context, job, report):
        report(ProgressEvent("reading", rows=1))
        report(ProgressEvent("reading", rows=2))
        deadline = time.monotonic() + 30
        while "rows" not in context.jobs.progress(ARN) and time.monotonic() < deadline:
            time.sleep(0.005)
        seen.append(context.jobs.progress(ARN))

    _, progress = run(handler)
    assert (seen[0]["stage"], seen[0]["rows"]) == ("reading", 2)
    assert progress["rows"] == 2


def test_a_requested_stop_reaches_the_work_and_ends_in_create_stopped(run):
    def handler(context, job, report):
        context.jobs.request_stop(ARN)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            report(ProgressEvent("training"))
            time.sleep(0.005)

    resource, progress = run(handler)
    assert (resource.status, progress["state"]) == ("CREATE STOPPED", STOPPED)


def test_a_job_whose_resource_is_deleted_just_ends(run, context):
    def handler(context, job, report):
        with context.store.transaction() as tx:
            tx.delete(ARN)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            report(ProgressEvent("training"))
            time.sleep(0.005)

    assert run(handler) == (None, None)


def test_ctrl_c_in_an_inline_job_puts_it_back(run, context):
    def handler(context, job, report):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(handler)
    assert context.jobs.progress(ARN)["state"] == QUEUED
    assert context.jobs.progress(ARN)["attempt"] == 0


def test_the_third_attempt_is_made_and_the_fourth_is_not(run, context):
    attempts = []
    resource, _ = run(
        lambda context, job, report: attempts.append(job.attempt), claimed_by_the_dead=2
    )
    assert (attempts, resource.status) == ([MAX_ATTEMPTS], "CREATE PENDING")
    with context.store.transaction() as tx:
        tx.delete(ARN)
    resource, progress = run(
        lambda context, job, report: attempts.append(job.attempt), claimed_by_the_dead=3
    )
    assert attempts == [MAX_ATTEMPTS]
    assert (resource.status, progress["state"]) == ("CREATE FAILED", FAILED)
    assert "ended unexpectedly 3 times" in resource.failure_reason


def test_a_kind_without_handler_fails_with_the_known_ones(context):
    with context.store.transaction() as tx:
        tx.insert(Resource(ARN, "campaign", "a", status="CREATE PENDING"))
        context.jobs.enqueue(tx, "nonsense", ARN)
    resource = context.store.require(ARN)
    assert resource.status == "CREATE FAILED"
    assert "no handler for 'nonsense'; there are " in resource.failure_reason
    assert "campaign, data-deletion-job, dataset-export-job, dataset-import" in (
        resource.failure_reason
    )


def test_cancelled_by_the_work_itself_counts_as_stopped(run):
    def handler(context, job, report):
        raise Cancelled

    assert run(handler)[0].status == "CREATE STOPPED"
