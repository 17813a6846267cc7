"""The documented script: on this machine with its one line, and without it as a script for AWS."""

import json
import os
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

import personalens
from personalens.home import Home
from tests.local_server import LocalServer

SCRIPT = Path(__file__).with_name("workflow.py")
RECIPES = ["aws-hrnn", "aws-sims", "aws-popularity-count"]
SHAPED = ["filtered", "clicked"]


@pytest.fixture
def interactions(tmp_path, world):
    path = tmp_path / "interactions.csv"
    world.drop(columns="DEVICE").to_csv(path, index=False)
    return path


@pytest.fixture
def environment(tmp_path):
    """A learner's shell: no AWS settings, a home, short trainings, workers that leave soon."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {
        **clean,
        "PYTHONPATH": str(Path(personalens.__file__).parents[1]),
        "PERSONALENS_HOME": str(tmp_path / "home"),
        "PERSONALENS_JOBS": "worker",
        "PERSONALENS_WORKER_IDLE_SECONDS": "2",
        "PERSONALENS_TRAINING_MAX_EPOCHS": "2",
    }


def run(script, *arguments, environment):
    """Run a script and return its lines as (name, value), metrics first."""
    process = subprocess.run(
        [sys.executable, str(script), *map(str, arguments)],
        env=environment,
        cwd=Path(environment["PERSONALENS_HOME"]).parent,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr
    lines = [line.partition(" ") for line in process.stdout.splitlines()]
    return [(name, json.loads(value)) for name, _, value in lines if name in RECIPES + SHAPED]


def check(lines):
    assert [name for name, _ in lines] == RECIPES * 2 + SHAPED
    metrics, lists = dict(lines[:3]), dict(lines[3:])
    for figures in metrics.values():
        assert len(figures) == 8
        assert all(0 <= figure <= 1 for figure in figures.values())
    assert all(len(items) == 5 for items in lists.values())
    assert all("score" in item for item in lists["aws-hrnn"])
    assert "film-1" not in [item["itemId"] for item in lists["aws-sims"]]
    assert not any("score" in item for item in lists["aws-popularity-count"])
    assert lists["filtered"] != lists["aws-hrnn"] != lists["clicked"]


def test_one_script_gets_the_same_answers_here_and_as_a_script_for_aws(
    interactions, environment, tmp_path, monkeypatch
):
    """In process with its one line; without it an unmodified boto3 against our HTTP server and an
    S3 server, where nothing of ours is imported. Metrics, items and scores are equal."""
    here = environment | {"PERSONALENS_HOME": str(tmp_path / "here")}
    in_process = run(SCRIPT, interactions, environment=here)
    check(in_process)
    source = SCRIPT.read_text(encoding="utf-8")
    for line in ("import personalens\n\n", "    personalens.activate()\n"):
        assert source.count(line) == 1
        source = source.replace(line, "")
    script = tmp_path / "for_aws.py"
    script.write_text(source, encoding="utf-8")
    s3 = ThreadedMotoServer(port=0, verbose=False)
    s3.start()
    host, port = s3.get_host_and_port()
    aws = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_S3": f"http://{host}:{port}",
    }
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {**environment, **aws}.items():
        monkeypatch.setenv(name, value)  # the server and its worker read S3 with these
    try:
        boto3.client("s3").create_bucket(Bucket="films")
        with LocalServer(Home(Path(environment["PERSONALENS_HOME"]))) as server:
            endpoints = {
                "AWS_ENDPOINT_URL_PERSONALIZE": server.url,
                "AWS_ENDPOINT_URL_PERSONALIZE_RUNTIME": server.url,
                "AWS_ENDPOINT_URL_PERSONALIZE_EVENTS": server.url,
            }
            over_http = run(
                script,
                interactions,
                "--bucket",
                "films",
                environment={**environment, **aws, **endpoints},
            )
            assert over_http == in_process
    finally:
        s3.stop()
