"""What the fault tests need: a storage that stalls on demand, other processes, and patience."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import personalens
from personalens.control.operations.provider import PersonalizeProvider
from personalens.home import Home
from personalens.jobs.opening import open_home
from personalens.storage.catalogue import StorageError
from personalens.storage.job_queue import ProcessIdentity
from personalens.storage.service_context import ServiceContext
from tests.dataset_tables import schema_of

EVENTS_SCHEMA = json.dumps(
    schema_of(
        "Interactions",
        [
            {"name": "USER_ID", "type": "string"},
            {"name": "ITEM_ID", "type": "string"},
            {"name": "TIMESTAMP", "type": "long"},
        ],
    )
)


def until(condition: Callable[[], object], seconds: float = 90.0) -> bool:
    """Wait for a condition; False when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def context(home: Home, monkeypatch) -> Iterator[ServiceContext]:
    """A service whose jobs real workers do; they have left when the test is over."""
    monkeypatch.setenv("PERSONALENS_WORKER_IDLE_SECONDS", "0.3")
    monkeypatch.delenv("PERSONALENS_JOBS", raising=False)
    context = open_home(home, inline_jobs=False)
    yield context
    for worker in workers(context):
        os.kill(worker.pid, 9)


@pytest.fixture
def personalize(context: ServiceContext) -> PersonalizeProvider:
    return PersonalizeProvider(context)


def workers(context: ServiceContext) -> list[ProcessIdentity]:
    """Return the living workers of a home."""
    try:
        with context.store.catalogue.reading() as connection:
            rows = connection.execute("SELECT holder FROM workers").fetchall()
    except StorageError:
        return []
    identities = [ProcessIdentity.from_json(holder) for (holder,) in rows]
    here = os.getpid()
    return [one for one in identities if not one.is_gone() and one.pid != here]


def make_dataset(personalize: PersonalizeProvider) -> str:
    """Make an Interactions dataset and return its ARN."""
    return personalize.create_dataset(
        name="events",
        schemaArn=personalize.create_schema(name="events", schema=EVENTS_SCHEMA)["schemaArn"],
        datasetGroupArn=personalize.create_dataset_group(name="films")["datasetGroupArn"],
        datasetType="Interactions",
    )["datasetArn"]


@pytest.fixture
def run_python(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Return a function that starts a script in a process and a session of its own."""
    root = str(Path(personalens.__file__).parents[1])
    started = []

    def start(script: str, *arguments: object, **options) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": root},
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            **options,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


class StallingStorage:
    """An S3 that has one object, ``s3://films/events.csv``, and can stop in the midst of it.

    Attributes
    ----------
    rows
        How many records the object has.
    released
        While it is not set, a download stops shortly before its end.
    """

    LOCATION = "s3://films/events.csv"

    def __init__(self, rows: int):
        self.rows = rows
        lines = [f"user{n % 997},item{n % 1009},{1_600_000_000 + n}\n" for n in range(rows)]
        self.body = ("USER_ID,ITEM_ID,TIMESTAMP\n" + "".join(lines)).encode()
        self.released = threading.Event()
        storage = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(storage.body)))
                self.send_header("ETag", '"1"')
                self.end_headers()

            def do_GET(self) -> None:
                self.do_HEAD()
                try:
                    self.wfile.write(storage.body[:-1000])
                    self.wfile.flush()
                    storage.released.wait()
                    self.wfile.write(storage.body[-1000:])
                except OSError:
                    pass  # the reader was killed: that is what we are here for

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def storage(monkeypatch) -> Iterator[StallingStorage]:
    """A storage with enough rows that the first are imported before it stalls."""
    storage = StallingStorage(rows=720_000)  # more than one block of 16 MB
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", storage.url)
    yield storage
    storage.close()
