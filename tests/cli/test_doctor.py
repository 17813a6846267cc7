"""``personalens doctor``: each line is right on a sound machine, and notices what is broken."""

from __future__ import annotations

import errno
import os
import socket
import sqlite3
import sys

import boto3
import pytest
from typer.testing import CliRunner

import personalens
from personalens.cli import doctor
from personalens.cli.commands import app
from personalens.cli.doctor import Finding
from personalens.home import Home


def test_a_finding_reads_as_one_line_or_with_a_remedy_below():
    assert str(Finding("home", "writable")) == "OK       home      writable"
    problem = str(Finding("home", "full", "free some space"))
    assert problem.splitlines()[0] == "PROBLEM  home      full"
    assert problem.splitlines()[1].strip() == "-> free some space"


def test_examines_everything_in_order(tmp_path):
    subjects = [finding.subject for finding in doctor.examine(Home(tmp_path), port=0)]
    assert subjects == [
        "python", "packages", "torch", "memory", "data", "home", "worker", "kernel", "models",
        "port",
    ]  # fmt: skip


def test_a_check_that_breaks_is_a_finding_and_the_others_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "check_torch", lambda: 1 / 0)
    findings = {f.subject: f for f in doctor.examine(Home(tmp_path), port=0)}
    assert "ZeroDivisionError" in findings["torch"].text
    assert not findings["torch"].is_ok
    assert findings["port"].is_ok


@pytest.mark.parametrize(("broken", "status"), [(False, 0), (True, 1)])
def test_the_exit_status_says_whether_there_is_a_problem(monkeypatch, broken, status):
    findings = [Finding("home", "fine"), Finding("port", "taken", "stop it" if broken else "")]
    monkeypatch.setattr(doctor, "examine", lambda home, port: iter(findings))
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == status
    assert ("PROBLEM  port" in done.output) == broken


def test_python_must_be_new_enough(monkeypatch):
    assert doctor.check_python().is_ok
    monkeypatch.setattr(sys, "version_info", (3, 10, 4, "final", 0))
    found = doctor.check_python()
    assert found.text.startswith("3.10.4")
    assert "3.11" in found.remedy


def test_packages_are_compared_with_their_pins(tmp_path):
    pins = tmp_path / "requirements.txt"
    pins.write_text(f"# numpy==0.1\npytest=={pytest.__version__}\n-e .\n")
    assert doctor.check_packages(pins) == Finding(
        "packages", "1 packages, all at their pinned versions"
    )
    pins.write_text('other-python-s==2.0 ; python_version == "3.12"\n')
    assert doctor.check_packages(pins).is_ok
    pins.write_text("pytest==1.0\nno-such-package==2.0\n")
    found = doctor.check_packages(pins)
    assert f"pytest {pytest.__version__} (pinned 1.0)" in found.text
    assert "no-such-package missing (pinned 2.0)" in found.text
    assert not found.is_ok
    assert doctor.check_packages(tmp_path / "none").is_ok


def test_a_build_s_local_version_is_no_difference(tmp_path):
    import torch

    pins = tmp_path / "requirements.txt"
    pins.write_text(f"torch=={torch.__version__.partition('+')[0]}\n")
    assert doctor.check_packages(pins).is_ok


@pytest.mark.parametrize(("free", "is_ok"), [(8.0, True), (0.3, False), (None, True)])
def test_memory_is_a_problem_below_what_a_lab_takes(monkeypatch, free, is_ok):
    monkeypatch.setattr(doctor, "_free_memory", lambda: free)
    assert doctor.check_memory().is_ok == is_ok


def test_data_that_is_not_where_the_variable_says(monkeypatch, tmp_path):
    monkeypatch.setenv("PERSONALENS_DATA", str(tmp_path / "gone"))
    assert not doctor.check_data().is_ok
    monkeypatch.setenv("PERSONALENS_DATA", str(tmp_path))
    assert doctor.check_data().is_ok
    monkeypatch.delenv("PERSONALENS_DATA")
    assert "sample" in doctor.check_data().text


def test_a_home_that_cannot_be_made(tmp_path):
    assert doctor.check_home(Home(tmp_path / "deep" / "below")).is_ok
    (tmp_path / "file").touch()
    found = doctor.check_home(Home(tmp_path / "file" / "home"))
    assert "is not a folder" in found.text
    assert "PERSONALENS_HOME" in found.remedy


def test_a_home_on_a_read_only_disk(tmp_path, monkeypatch):
    def refuse(**_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(doctor.tempfile, "NamedTemporaryFile", refuse)
    found = doctor.check_home(Home(tmp_path))
    assert found.text == f"{tmp_path} cannot be written: Read-only file system"
    assert "PERSONALENS_HOME" in found.remedy


def test_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "_LEAST_FREE_DISK", 1e9)
    assert "free some space" in doctor.check_home(Home(tmp_path)).remedy


def test_a_job_without_a_worker(tmp_path):
    home = Home(tmp_path / "home")
    assert doctor.check_worker(home).text.startswith("none is needed yet")
    with personalens.activate(home, quiet=True):
        arn = boto3.client("personalize").create_dataset_group(name="films")["datasetGroupArn"]
    assert doctor.check_worker(home) == Finding("worker", "0 running, 0 jobs waiting")
    from personalens.storage.job_queue import JobQueue

    jobs = JobQueue(home)  # without on_work: nobody is told that there is work
    with jobs.store.transaction() as tx:
        jobs.enqueue(tx, "train", arn)
    found = doctor.check_worker(home)
    assert found.text == "0 running, 1 jobs waiting"
    assert "worker.log" in found.remedy


def test_notebooks_run_in_this_python(tmp_path, monkeypatch):
    assert doctor.check_kernel().is_ok
    foreign = tmp_path / "kernels" / "python3"
    foreign.mkdir(parents=True)
    (foreign / "kernel.json").write_text('{"argv": ["/elsewhere/bin/python3", "-m", "ipykernel"]}')
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    found = doctor.check_kernel()
    assert "/elsewhere/bin/python3" in found.text
    assert not found.is_ok


def test_a_port_that_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = doctor.check_port(port)
    assert f"{port} is taken" in found.text
    assert f"--port {port + 1}" in found.remedy
    assert doctor.check_port(port).is_ok


def test_a_stale_model_of_the_service_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path / "models"))
    assert doctor.check_models().is_ok
    (tmp_path / "models/personalize-runtime/2018-05-22").mkdir(parents=True)
    (tmp_path / "models/s3/2006-03-01").mkdir(parents=True)
    found = doctor.check_models()
    folder = tmp_path / "models/personalize-runtime"
    assert found.text.startswith(f"{folder}: PersonaLens ignores it")
    assert f"mv {folder} {folder}.old" in found.remedy


class TestAdvice:
    """What to do fits what was found."""

    @pytest.fixture
    def home(self, tmp_path):
        home = Home(tmp_path / "home")
        with personalens.activate(home, quiet=True):
            boto3.client("personalize").create_dataset_group(name="films")
        return home

    def remedy(self, home):
        [found] = [f for f in doctor.examine(home, port=0) if f.subject == "worker"]
        assert "Error" not in found.text
        return found.remedy

    def test_a_newer_home_is_no_reason_to_reset(self, home):
        connection = sqlite3.connect(home.catalogue)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        assert "update PersonaLens" in self.remedy(home)
        assert "nothing is lost" in self.remedy(home)

    @pytest.mark.parametrize("content", [b"noise" * 1000, b"SQLite format 3\0" + b"noise" * 1000])
    def test_a_damaged_catalogue(self, home, content):
        for path in home.path.glob("catalogue.sqlite*"):
            path.unlink()
        home.catalogue.write_bytes(content)
        assert "restore a backup of the home" in self.remedy(home)

    def test_a_folder_in_its_place(self, home):
        for path in home.path.glob("catalogue.sqlite*"):
            path.unlink()
        home.catalogue.mkdir()
        assert "install afresh" not in self.remedy(home)
