"""What operators see: what was asked, of every process; signed wherever requests are."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from prometheus_client.parser import text_string_to_metric_families

import personalens
from personalens.aws.http_server import METRICS_PATH
from personalens.aws.signatures import SignatureVerifier
from personalens.home import Home
from personalens.storage.event_log import Event, EventLog
from tests.local_server import LocalServer

COUNT = "personalens_request_seconds_count"
KEYS = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "region_name": "us-east-1"}


def scrape(url, headers=()):
    """Return the samples by name and labels, as Prometheus itself reads them."""
    request = urllib.request.Request(url + METRICS_PATH, headers=dict(headers))
    with urllib.request.urlopen(request, timeout=20) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def status_of(url):
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_requests_are_counted_by_operation_and_status(router, allow_loopback):
    with LocalServer(router=router) as server:
        runtime = boto3.client("personalize-runtime", endpoint_url=server.url, **KEYS)
        for _ in range(3):
            runtime.get_recommendations(userId="1")
        with pytest.raises(runtime.exceptions.ResourceNotFoundException):
            runtime.get_recommendations(userId="404")
        assert status_of(server.url + "/%22%0a") == 404
        found = scrape(server.url)
    recommendations = {key: n for key, n in found.items() if "GetRecommendations" in key}
    assert recommendations[COUNT, "GetRecommendations", "200"] == 3
    assert recommendations[COUNT, "GetRecommendations", "404"] == 1
    assert found[COUNT, "", "404"] == 1
    assert 0 < found["personalens_request_seconds_sum", "GetRecommendations", "200"] < 60
    buckets = {"personalens_request_seconds_bucket", "200"}
    below = [n for key, n in recommendations.items() if buckets <= {*key}]
    assert below == sorted(below)
    assert below[-1] == 3


def test_jobs_and_group_commits_are_counted(tmp_path, allow_loopback):
    home = Home(tmp_path / "home")
    with LocalServer(home) as server:
        assert not [key for key in scrape(server.url) if key[0] == "personalens_jobs"]
        boto3.client("personalize", endpoint_url=server.url, **KEYS).list_schemas()
        connection = sqlite3.connect(home.catalogue)  # where jobs may be without resources
        for arn, state in (("a", "QUEUED"), ("b", "QUEUED"), ("c", "FAILED")):
            values = "('import', ?, '{}', ?, 0)"
            names = "kind, arn, payload, state, created_at"
            connection.execute(f"INSERT INTO jobs ({names}) VALUES {values}", (arn, state))
        connection.commit()
        connection.close()
        before = scrape(server.url)
        log = EventLog(home)
        for number in range(3):
            log.append("arn", "session", "user", [Event("film", number, "watch")])
        with pytest.raises(ValueError):
            log._commits.write(lambda connection: int("none"))
        after = scrape(server.url)
    jobs = {key[1]: value for key, value in after.items() if key[0] == "personalens_jobs"}
    assert jobs == {"queued": 2, "running": 0, "done": 0, "failed": 1, "stopped": 0}
    names = [f"personalens_event_log_{name}_total" for name in ("commits", "writes", "failures")]
    assert [after[name,] - before[name,] for name in names] == [3, 3, 1]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system tells no memory")
def test_the_memory_is_that_of_the_process(router, allow_loopback):
    with LocalServer(router=router) as server:
        found = scrape(server.url)
    memory = found["personalens_resident_memory_bytes", str(os.getpid())]
    assert 2**24 < memory < 2**40


def test_only_the_signed_see_it_where_requests_are_signed(router, allow_loopback):
    holder = Credentials("AKIDEXAMPLE", "secret")
    verifier = SignatureVerifier({holder.access_key: holder})
    with LocalServer(router=router, verifier=verifier) as server:
        assert status_of(server.url + METRICS_PATH) == 403
        request = AWSRequest("GET", server.url + METRICS_PATH)
        SigV4Auth(holder, "personalize", "us-east-1").add_auth(request)
        assert scrape(server.url, request.headers.items())[COUNT, "", "403"] == 1
        with urllib.request.urlopen(server.url + "/_personalens/health", timeout=20) as answer:
            assert answer.read() == b'{"status": "ok"}'  # no path, no version


def test_each_of_several_processes_tells_of_all(tmp_path, allow_loopback):
    command = [sys.executable, "-m", "personalens", "serve", "--port", "0", "--workers", "2"]
    server = subprocess.Popen(
        [*command, "--no-access-log", "--home", str(tmp_path / "home")],
        cwd=Path(personalens.__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        url = server.stdout.readline().strip().partition("=")[2]
        processes = set()
        for sent in range(1, 400):
            assert status_of(url + "/nothing") == 404
            found = scrape(url)
            while found[COUNT, "", "404"] < sent:  # it counts when it has sent
                found = scrape(url)
            assert found[COUNT, "", "404"] == sent
            processes |= {key[1] for key in found if key[0] == "personalens_resident_memory_bytes"}
            if len(processes) == 2 and sent >= 20:
                break
        assert len(processes) == 2
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=60)
