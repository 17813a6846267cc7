"""kill -9 of the server under a stream of PutEvents: is every acknowledged event there afterwards?

    python -m benchmarks.put_events_durability [--kills 20] [--rate 200] [--workers 1]

Clients send one event a call, at a fixed rate together, to ``personalens serve`` on a home of its
own. Within two seconds the server and its worker processes are killed with SIGKILL, at a moment
drawn at random; then it is started on the same home again, and so on. At the end the event log is
read: every event whose call was answered with 200 must be in it, once.

A process that is killed leaves what it has written to the system. What a power cut does, no test of
this kind can show; the log's transactions are flushed to the disk before they are acknowledged.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.machine import ROOT
from benchmarks.serving import make_dataset
from personalens.control.operations.provider import PersonalizeProvider
from personalens.home import Home
from personalens.jobs.opening import open_home

FIELDS = [
    {"name": name, "type": kind}
    for name, kind in (("USER_ID", "string"), ("ITEM_ID", "string"), ("TIMESTAMP", "long"))
]
LONGEST_STREAM, CLIENTS = 2.0, 8
HEADERS = {"Content-Type": "application/json"}


class Stream:
    """Clients that send events, each with an item of its own, until the server is gone."""

    def __init__(self, tracking_id: str):
        self.tracking_id = tracking_id
        self.acknowledged: list[str] = []  # items of events whose call was answered with 200
        self._numbers = itertools.count()

    def run(self, url: str, rate: float, clients: int = CLIENTS) -> list[threading.Thread]:
        """Start the clients; they end by themselves."""
        numbers = (next(self._numbers) for _ in itertools.count())
        schedule = self._schedule(numbers, rate)
        lock = threading.Lock()
        threads = [
            threading.Thread(target=self._client, args=(url, schedule, lock))
            for _ in range(clients)
        ]
        for thread in threads:
            thread.start()
        return threads

    @staticmethod
    def _schedule(numbers: Iterator[int], rate: float) -> Iterator[tuple[int, float]]:
        """Yield an event's number and when it is due."""
        begin = time.monotonic()
        for place, number in enumerate(numbers):
            yield number, begin + place / rate

    def _client(
        self, url: str, schedule: Iterator[tuple[int, float]], lock: threading.Lock
    ) -> None:
        address = urlsplit(url).netloc
        connection = http.client.HTTPConnection(address, timeout=30)
        try:
            while True:
                with lock:
                    number, due = next(schedule)
                time.sleep(max(0.0, due - time.monotonic()))
                connection.request("POST", "/events", self.body(number), HEADERS)
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    raise SystemExit(f"PutEvents was answered with {answer.status}")
                self.acknowledged.append(f"item-{number}")
        except (OSError, http.client.HTTPException):
            pass  # killed
        finally:
            connection.close()

    def body(self, number: int) -> str:
        """Return a request."""
        user = number % 50
        event = {"eventType": "click", "sentAt": 1_700_000_000 + number, "itemId": f"item-{number}"}
        return json.dumps(
            {
                "trackingId": self.tracking_id,
                "sessionId": f"session-{user}",
                "userId": f"user-{user}",
                "eventList": [event],
            }
        )


def make_tracker(home: Home) -> tuple[str, str]:
    """Return the tracking id and the dataset's ARN of a new group with an Interactions dataset."""
    personalize = PersonalizeProvider(open_home(home, inline_jobs=True))
    group = personalize.create_dataset_group(name="films")["datasetGroupArn"]
    dataset = make_dataset(personalize, group, "Interactions", FIELDS)
    tracker = personalize.create_event_tracker(name="clicks", datasetGroupArn=group)
    return tracker["trackingId"], dataset


def start_server(home: Home, *, workers: int = 1) -> tuple[subprocess.Popen, str]:
    """Start the server in a process group of its own; return it and its address, once it answers
    PutEvents: the first call loads what answers it."""
    command = [sys.executable, "-m", "personalens", "serve", "--port", "0", "--no-access-log"]
    server = subprocess.Popen(
        [*command, "--workers", str(workers)],
        env=os.environ | {"PYTHONUNBUFFERED": "1", "PERSONALENS_HOME": str(home.path)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    url = server.stdout.readline().strip().partition("=")[2]
    if not url:
        raise SystemExit("the server did not start")
    for _ in range(2000):
        try:
            connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
            connection.request("POST", "/events", Stream("none").body(0), HEADERS)
            if connection.getresponse().status == 400:
                return server, url
        except OSError:
            time.sleep(0.02)
        finally:
            connection.close()
    raise SystemExit("the server does not answer")


def kill(server: subprocess.Popen) -> None:
    """Kill the server and its worker processes."""
    os.killpg(server.pid, signal.SIGKILL)
    server.wait()
    server.stdout.close()


def logged_items(home: Home, dataset_arn: str) -> Counter[str]:
    """Return how often each item is in the event log, whose file must be sound."""
    with sqlite3.connect(home.events) as connection:
        (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
    connection.close()
    if verdict != "ok":
        raise SystemExit(f"the event log is damaged: {verdict}")
    batches = open_home(home).events.batches(dataset_arn)
    return Counter(item for batch in batches for item in batch["ITEM_ID"].to_pylist())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rate", type=float, default=200.0, help="calls a second, all clients")
    parser.add_argument("--workers", type=int, default=1, help="server processes")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        tracking_id, dataset = make_tracker(home)
        stream, streamed = Stream(tracking_id), 0.0
        for number in range(options.kills):
            server, url = start_server(home, workers=options.workers)
            clients, begin = stream.run(url, options.rate), time.monotonic()
            time.sleep(chance.uniform(0.1, LONGEST_STREAM))
            kill(server)
            streamed += time.monotonic() - begin
            for client in clients:
                client.join()
            print(f"kill {number + 1}: {len(stream.acknowledged)} acknowledged so far", flush=True)
        found = logged_items(home, dataset)
    missing = [item for item in stream.acknowledged if not found[item]]
    twice = [item for item, count in found.items() if count > 1]
    print(
        f"{options.kills} kills, {len(stream.acknowledged)} events acknowledged "
        f"({len(stream.acknowledged) / streamed:.0f} calls a second), {sum(found.values())} in the "
        f"log: {len(missing)} acknowledged events missing, {len(twice)} there twice"
    )
    if missing or twice:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
