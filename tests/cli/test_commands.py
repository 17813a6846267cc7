"""The ``personalens`` command: what it says, what it refuses, how it exits."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import boto3
import pytest
import typer
from typer.testing import CliRunner

import personalens
from personalens import datasets
from personalens.cli.commands import app
from personalens.datasets import releases
from personalens.home import Home

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def cli(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments, **options: CliRunner().invoke(app, list(arguments), **options)


def commands(command, *path):
    """Yield the words of every command below a command group, and the command."""
    for name, inner in getattr(command, "commands", {}).items():
        if hasattr(inner, "commands"):
            yield from commands(inner, *path, name)
        else:
            yield (*path, name), inner


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_and_option_is_documented(cli, words):
    shown = cli(*words, "--help")
    assert shown.exit_code == 0
    assert len(COMMANDS[words].help.split()) > 8
    undocumented = [p.name for p in COMMANDS[words].params if not getattr(p, "help", None)]
    assert undocumented == []


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "personalens", "--help"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0
    assert "personalens [OPTIONS] COMMAND" in done.stdout


class TestData:
    def test_list_names_every_release_and_where_it_lies(self, cli, tmp_path, monkeypatch):
        monkeypatch.setattr(releases, "data_folders", lambda: [tmp_path])
        folder = tmp_path / "ml-100k"
        folder.mkdir()
        for file in ("u.data", "u.item", "u.user"):
            (folder / file).touch()
        lines = cli("data", "list").output.splitlines()
        assert [line.split()[0] for line in lines] == ["sample", *releases.RELEASES]
        assert str(folder) in next(line for line in lines if line.startswith("ml-100k"))
        assert "personalens data fetch ml-1m" in next(x for x in lines if x.startswith("ml-1m "))

    def test_fetch_says_why_it_cannot(self, cli, tmp_path, monkeypatch):
        monkeypatch.setattr(releases, "data_folders", lambda: [tmp_path])
        monkeypatch.setattr(releases, "_why_unreachable", lambda url: "no network here")
        failed = cli("data", "fetch", "ml-100k")
        assert failed.exit_code == 1
        assert "no network here" in failed.stderr
        unknown = cli("data", "fetch", "netflix")
        assert unknown.exit_code == 1
        assert "choose one of ml-latest-small" in unknown.stderr

    def test_generate_writes_what_was_asked_for_and_the_same_again(self, cli, tmp_path):
        sizes = ("--users", "20", "--items", "30", "--interactions", "400", "--seed", "3")
        for out in ("first", "second"):
            assert cli("data", "generate", *sizes, "--out", str(tmp_path / out)).exit_code == 0
        for name, rows in (("interactions", 400), ("items", 30), ("users", 20)):
            text = (tmp_path / "first" / f"{name}.csv").read_bytes()
            assert text.count(b"\n") == rows + 1
            assert text == (tmp_path / "second" / f"{name}.csv").read_bytes()

    def test_generate_refuses_fewer_interactions_than_viewers(self, cli, tmp_path):
        sizes = ("--users", "20", "--interactions", "10", "--out", str(tmp_path))
        failed = cli("data", "generate", *sizes)
        assert failed.exit_code == 1
        assert "20 users need as many interactions" in failed.stderr


class TestReset:
    @pytest.fixture
    def home(self, tmp_path):
        home = Home(tmp_path / "home")
        with personalens.activate(home, quiet=True):
            boto3.client("personalize").create_dataset_group(name="films")
        return home

    def test_asks_first(self, cli, home):
        refused = cli("reset", "--home", str(home.path), input="n\n")
        assert refused.exit_code == 1
        assert home.catalogue.exists()

    def test_deletes_the_home(self, cli, home):
        assert cli("reset", "--home", str(home.path), "--yes").exit_code == 0
        assert not home.path.exists()

    def test_the_default_home_is_the_one_in_force(self, cli, home, monkeypatch):
        monkeypatch.setenv("PERSONALENS_HOME", str(home.path))
        cli("reset", "--yes")
        assert not home.path.exists()

    def test_has_nothing_to_do_without_a_home(self, cli, tmp_path):
        done = cli("reset", "--home", str(tmp_path / "none"))
        assert done.exit_code == 0
        assert "There is nothing at" in done.output

    def test_what_somebody_else_made_stays_and_is_named(self, cli, home):
        mine = ("thesis/thesis.txt", "datasets/own/rows.csv", "models/net/best/weights.bin",
                "logs/app.log", "labs/00.ipynb", "catalogue.txt")  # fmt: skip
        for name in mine:
            (home.path / name).parent.mkdir(parents=True, exist_ok=True)
            (home.path / name).write_text("precious")
        (home.path / "models" / "net" / "link").symlink_to(home.path / "thesis")
        done = cli("reset", "--home", str(home.path), "--yes")
        assert done.exit_code == 0
        assert all((home.path / name).read_text() == "precious" for name in mine)
        assert not list(home.path.glob("*.sqlite*"))
        shown = "catalogue.txt, datasets, labs, logs, models, thesis"
        assert f"This stays: {shown}." in done.output

    def test_removes_all_that_is_ours(self, cli, account):
        (account.home.labs / "sample").mkdir(parents=True)
        (account.home.logs / "worker.log").touch()
        assert cli("reset", "--home", str(account.home.path), "--yes").exit_code == 0
        assert not account.home.path.exists()

    def test_a_link_is_not_followed(self, cli, home, tmp_path):
        elsewhere = tmp_path / "elsewhere"
        (elsewhere / "own-interactions-0a1b2c3d").mkdir(parents=True)
        home.datasets.rmdir()
        home.datasets.symlink_to(elsewhere)
        done = cli("reset", "--home", str(home.path), "--yes")
        assert (elsewhere / "own-interactions-0a1b2c3d").is_dir()
        assert "This stays: datasets." in done.output

    @pytest.mark.parametrize("content", [b"not a database", b"", b"SQLite format 3\0of another"])
    def test_a_catalogue_that_is_none_makes_no_home(self, cli, tmp_path, content):
        (tmp_path / "catalogue.sqlite").write_bytes(content)
        (tmp_path / "mine.txt").touch()
        refused = cli("reset", "--home", str(tmp_path), "--yes")
        assert refused.exit_code == 1
        assert "is not a PersonaLens home" in refused.stderr
        assert len(list(tmp_path.iterdir())) == 2

    def test_another_programs_database_makes_no_home(self, cli, tmp_path):
        connection = sqlite3.connect(tmp_path / "catalogue.sqlite")
        connection.execute("CREATE TABLE books (title)")
        connection.close()
        refused = cli("reset", "--home", str(tmp_path), "--yes")
        assert refused.exit_code == 1
        assert (tmp_path / "catalogue.sqlite").exists()

    def test_a_file_in_the_place_of_the_folder_is_a_message(self, cli, tmp_path):
        (tmp_path / "file").touch()
        refused = cli("reset", "--home", str(tmp_path / "file"), "--yes")
        assert refused.exit_code == 1
        assert "is a file, not a folder" in refused.stderr

    @pytest.mark.parametrize("end", ["", "-shm", "-wal"])
    def test_a_crash_on_the_way_leaves_a_home_that_can_be_reset(self, cli, home, monkeypatch, end):
        unlink, last = Path.unlink, Path(f"{home.catalogue}{end}")
        in_use = sqlite3.connect(home.catalogue)  # so that the log is there, and holds the newest
        in_use.execute("UPDATE resources SET updated_at = updated_at + 1")
        in_use.commit()

        def die(path, **options):
            if path == last:
                raise KeyboardInterrupt
            unlink(path, **options)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", die)
            cli("reset", "--home", str(home.path), "--yes")
        assert last.exists()
        in_use.close()
        assert cli("reset", "--home", str(home.path), "--yes").exit_code == 0
        assert not home.path.exists()

    @pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux tells who uses it")
    def test_says_who_uses_it(self, cli, home):
        script = "import sys; file = open(sys.argv[1]); print(flush=True); sys.stdin.read()"
        with subprocess.Popen(
            [sys.executable, "-c", script, str(home.catalogue)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as user:
            user.stdout.readline()
            done = cli("reset", "--home", str(home.path), input="n\n")
            user.stdin.close()
        assert f"In use by process {user.pid} (" in done.output

    def test_never_deletes_a_folder_that_is_no_home(self, cli, tmp_path):
        (tmp_path / "thesis.docx").touch()
        refused = cli("reset", "--home", str(tmp_path), "--yes")
        assert refused.exit_code == 1
        assert "is not a PersonaLens home" in refused.stderr
        assert (tmp_path / "thesis.docx").exists()


class TestRun:
    def test_a_data_set_that_cannot_be_had_ends_the_run(self, cli, monkeypatch):
        def refuse(name):
            raise datasets.DataUnavailable("MovieLens ml-100k is not on this machine")

        monkeypatch.setattr(datasets, "load", refuse)
        failed = cli("run", "--dataset", "ml-100k")
        assert failed.exit_code == 1
        assert failed.stderr == "personalens: MovieLens ml-100k is not on this machine\n"

    def test_says_where_to_run_when_there_are_no_labs(self, cli, tmp_path):
        failed = cli("run", "--dataset", "sample", "--labs", str(tmp_path))
        assert failed.exit_code == 1
        assert "run this in the root of the working tree" in failed.stderr


def test_serve_answers_an_unmodified_client_and_ends_on_ctrl_c(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "personalens", "serve", "--port", str(port)]
    server = subprocess.Popen(
        [*command, "--home", str(tmp_path / "home")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        health = wait_for_health(f"http://127.0.0.1:{port}/_personalens/health")
        assert health["home"] == str(tmp_path / "home")
        client = boto3.client(
            "personalize",
            endpoint_url=f"http://127.0.0.1:{port}",
            region_name="us-east-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
        )
        assert client.create_dataset_group(name="films")["datasetGroupArn"].endswith("group/films")
        client.close()
    finally:
        server.send_signal(signal.SIGINT)
        told, _ = server.communicate(timeout=20)
    assert f"export AWS_ENDPOINT_URL_PERSONALIZE_RUNTIME=http://127.0.0.1:{port}\n" in told


def wait_for_health(url, seconds=30.0):
    """Return what the health page says once it answers."""
    end = time.monotonic() + seconds
    while True:
        try:
            with urlopen(url, timeout=5) as answer:
                return json.load(answer)
        except (URLError, ConnectionError):
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
