"""``personalens serve``: who may connect where, several processes, S3 beside it, a clean end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

import personalens
from personalens.aws import server_launch
from personalens.aws.server_launch import ServerSettings, make_application, serve
from personalens.home import Home
from personalens.storage.object_storage import FOLDERS_VARIABLE

KEYS = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "region_name": "us-east-1"}


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.7", False),
        ("example.org", False),
    ],
)
def test_only_the_loopback_address_takes_everybody(tmp_path, host, is_loopback):
    settings = ServerSettings(Home(tmp_path / "home"), host=host)
    assert settings.is_loopback == is_loopback
    if not is_loopback:
        with pytest.raises(ValueError, match="--credentials FILE"):
            serve(settings)
        assert not (tmp_path / "home").exists()


def test_a_bad_credentials_file_is_told_before_anything_starts(tmp_path):
    settings = ServerSettings(Home(tmp_path / "home"), credentials=tmp_path / "missing")
    with pytest.raises(ValueError, match="cannot be read"):
        serve(settings)
    assert not (tmp_path / "home").exists()


def test_jobs_are_confined_where_requests_must_be_signed(tmp_path, monkeypatch):
    monkeypatch.delenv(FOLDERS_VARIABLE, raising=False)
    keys = tmp_path / "keys"
    keys.write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
    seen = []
    monkeypatch.setattr(
        server_launch, "_run", lambda *_: seen.append(os.environ.get(FOLDERS_VARIABLE))
    )
    (tmp_path / "link").symlink_to(tmp_path)
    home = Home(tmp_path / "home")
    for settings in (
        ServerSettings(home),
        ServerSettings(home, credentials=keys),
        ServerSettings(home, credentials=keys, allow_folders=(tmp_path / "link",)),
        ServerSettings(home, allow_folders=(tmp_path,)),
    ):
        serve(settings, announce=lambda _: None)
    assert seen == [None, "[]", json.dumps([str(tmp_path)]), json.dumps([str(tmp_path)])]
    assert FOLDERS_VARIABLE not in os.environ
    with pytest.raises(ValueError, match="there is no such folder"):
        serve(ServerSettings(home, allow_folders=(tmp_path / "none",)))


def test_a_port_that_is_taken_is_told_before_anything_starts(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = ServerSettings(Home(tmp_path / "home"), port=taken.getsockname()[1])
        told = []
        with pytest.raises(OSError, match="in use"):
            serve(settings, told.append)
    assert told == []


def test_an_application_verifies_where_there_are_credentials(tmp_path):
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
    settings = ServerSettings(
        Home(tmp_path / "home"), host="0.0.0.0", credentials=file, access_log=False
    )
    assert make_application(settings)._verifier is not None


@pytest.fixture
def command(tmp_path):
    """``personalens serve`` with two workers and S3, in a process of its own."""
    command = [sys.executable, "-m", "personalens", "serve", "--port", "0", "--workers", "2"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(personalens.__file__).parents[1]),
        "PYTHONUNBUFFERED": "1",
        "PERSONALENS_HOME": str(tmp_path / "home"),
    }
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--with-s3"], stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        )
    yield process
    process.kill()
    process.communicate()


def test_several_processes_on_one_home_lose_nothing(command, tmp_path, allow_loopback):
    """Clients create schemas while the server is told to end: what was acknowledged is there."""
    endpoints = dict(
        re.findall(
            r"AWS_ENDPOINT_URL_(\w+)=(\S+)", "".join(command.stdout.readline() for _ in range(8))
        )
    )
    assert set(endpoints) == {
        "PERSONALIZE", "PERSONALIZE_RUNTIME", "PERSONALIZE_EVENTS", "S3", "IAM", "STS",
        "KMS", "SSM",
    }  # fmt: skip
    boto3.client("s3", endpoint_url=endpoints["S3"], **KEYS).create_bucket(Bucket="films")
    boto3.client("iam", endpoint_url=endpoints["IAM"], **KEYS).list_roles()
    identity = boto3.client("sts", endpoint_url=endpoints["STS"], **KEYS).get_caller_identity()
    assert identity["Account"] == "123456789012"

    acknowledged, first = [], threading.Event()

    def work(number):
        session = boto3.session.Session(**KEYS)
        client = session.client(
            "personalize",
            endpoint_url=endpoints["PERSONALIZE"],
            config=Config(retries={"total_max_attempts": 1}),
        )
        for count in range(10_000):
            name = f"group-{number}-{count}"
            try:
                client.create_dataset_group(name=name)
            except Exception:  # the server is gone
                return
            acknowledged.append(name)
            if count == 5:
                first.set()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    assert first.wait(120)
    command.send_signal(signal.SIGTERM)
    assert command.wait(60) == 0
    for thread in threads:
        thread.join()
    with personalens.activate(tmp_path / "home", quiet=True):
        pages = boto3.client("personalize").get_paginator("list_dataset_groups").paginate()
        kept = [group["name"] for page in pages for group in page["datasetGroups"]]
    assert set(acknowledged) <= set(kept)
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log
    assert log.count('"operation": "CreateDatasetGroup", "status": 200') >= len(acknowledged)
