"""How fast recommendations and events are answered: over HTTP and in process, at rest and beside a
training, for catalogues of several sizes.

    python -m benchmarks.serving
    python -m benchmarks.serving --items 1700 --seconds 30 --workers 1

The first catalogue is ml-100k where it is at hand; the others are random data of as many items as
asked for and ml-100k's users, for the cost depends on sizes alone. Everything is imported, trained
(one epoch: serving costs the same) and deployed through the service, in a home that is deleted
afterwards. The server is ``personalens serve`` with so many workers and no access log. Every user
has been asked for before, so that models and scores are in memory, except in "first request of a
user". Requests ask for 25 items; with the filter, for items of one kind that the user has not had.
A PutEvents brings one event and is answered when it is on the disk. The mix is four
GetRecommendations to one PutEvents.

``cpu_us`` is the processor time of the server's processes for one request, ``memory_mb`` what they
hold together (PSS: shared pages count once).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pandas as pd
import psutil

import personalens
from benchmarks.http_load import summary
from benchmarks.machine import ROOT, describe_run, parser, run_module, write_result
from personalens.datasets import DataUnavailable, load
from personalens.home import Home
from personalens.jobs.job_runner import run_jobs
from personalens.jobs.opening import open_home

USERS, EVENTS = 943, 100_000
KINDS = ("drama", "comedy", "horror")
FILTER = (
    "INCLUDE ItemID WHERE Items.KIND IN ($KIND)"
    ' | EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("*")'
)
NOW = 1_700_000_000
TRAINING = {"PERSONALENS_TRAINING_MAX_EPOCHS": "1000", "PERSONALENS_TRAINING_PATIENCE": "1000"}


class Catalogue:
    """What a benchmark asks about: data, and campaign, filter and tracker by their ARNs."""

    def __init__(self, items: int, *, is_real: bool):
        frame = ml_100k() if is_real else None
        self.name = f"{items:,} items" if frame is None else "ml-100k"
        frame = random_interactions(items) if frame is None else frame
        self.interactions = frame.assign(EVENT_TYPE="watch")
        self.users = list(frame["USER_ID"].unique())
        self.items = np.unique(frame["ITEM_ID"])
        kinds = np.random.default_rng(1).choice(KINDS, len(self.items))
        self.metadata = pd.DataFrame({"ITEM_ID": self.items, "KIND": kinds})

    def deploy(self, home: Home, folder: Path) -> None:
        """Import, train and deploy."""
        context = open_home(home, inline_jobs=True)
        with personalens.activate(context.home.path, quiet=True):
            personalize = boto3.client("personalize")
            group = personalize.create_dataset_group(name="films")["datasetGroupArn"]
            for kind, table in (("Interactions", self.interactions), ("Items", self.metadata)):
                _import(personalize, group, kind, table, folder)
            run_jobs(context)
            self.solution = personalize.create_solution(
                name="hrnn",
                datasetGroupArn=group,
                recipeArn="arn:aws:personalize:::recipe/aws-hrnn",
                performAutoTraining=False,
            )["solutionArn"]
            version_arn = personalize.create_solution_version(solutionArn=self.solution)[
                "solutionVersionArn"
            ]
            tracker = personalize.create_event_tracker(name="films", datasetGroupArn=group)
            run_jobs(context)
            self.tracking_id = tracker["trackingId"]
            self.campaign = personalize.create_campaign(
                name="hrnn", solutionVersionArn=version_arn
            )["campaignArn"]
            self.filter = personalize.create_filter(
                name="kind", datasetGroupArn=group, filterExpression=FILTER
            )["filterArn"]
            run_jobs(context)

    def asking(self, *, filtered: bool = False) -> list[dict[str, Any]]:
        """Return GetRecommendations of every user."""
        more = {"filterArn": self.filter, "filterValues": {"KIND": '"drama"'}} if filtered else {}
        return [{"campaignArn": self.campaign, "userId": user, **more} for user in self.users]

    def telling(self) -> list[dict[str, Any]]:
        """Return a PutEvents of every user, of an item that nobody recommends twice."""
        return [
            {
                "trackingId": self.tracking_id,
                "userId": user,
                "sessionId": f"session-{user}",
                "eventList": [
                    {"eventType": "watch", "itemId": str(item), "sentAt": NOW, "eventId": "@"}
                ],
            }
            for user, item in zip(self.users, np.resize(self.items, len(self.users)), strict=True)
        ]


def ml_100k() -> pd.DataFrame | None:
    """Return ml-100k's events, or None where it is not at hand."""
    try:
        return load("ml-100k", download=False).interactions[["USER_ID", "ITEM_ID", "TIMESTAMP"]]
    except DataUnavailable:
        return None


def random_interactions(items: int) -> pd.DataFrame:
    """Return events in which every item occurs, the lower its number the more often."""
    rng = np.random.default_rng(0)
    count = max(EVENTS, 2 * items)
    popular = np.minimum(rng.exponential(items / 5, count).astype(int), items - 1)
    popular[:items] = np.arange(items)
    return pd.DataFrame(
        {
            "USER_ID": [f"user-{code}" for code in rng.integers(USERS, size=count)],
            "ITEM_ID": [f"item-{code}" for code in popular],
            "TIMESTAMP": 1_600_000_000 + rng.integers(10**7, size=count),
        }
    )


def _import(personalize: Any, group: str, kind: str, table: pd.DataFrame, folder: Path) -> None:
    fields: list[dict[str, Any]] = [{"name": name, "type": "string"} for name in table.columns]
    for field in fields:
        if field["name"] == "TIMESTAMP":
            field["type"] = "long"
        if field["name"] == "KIND":
            field["categorical"] = True
    dataset = make_dataset(personalize, group, kind, fields)
    path = folder / f"{kind}.csv"
    table.to_csv(path, index=False)
    personalize.create_dataset_import_job(
        jobName=kind,
        datasetArn=dataset,
        dataSource={"dataLocation": str(path)},
        roleArn="arn:aws:iam::123456789012:role/personalize",
    )


def make_dataset(personalize: Any, group: str, kind: str, fields: list[dict[str, Any]]) -> str:
    """Make a dataset of these fields in a group, and return its ARN."""
    schema = {"type": "record", "name": kind, "fields": fields, "version": "1.0"}
    schema["namespace"] = "com.amazonaws.personalize.schema"
    arn = personalize.create_schema(name=kind, schema=json.dumps(schema))["schemaArn"]
    return personalize.create_dataset(
        name=kind, schemaArn=arn, datasetGroupArn=group, datasetType=kind
    )["datasetArn"]


class Server:
    """``personalens serve`` in processes of its own."""

    def __init__(self, home: Home, workers: int):
        command = [sys.executable, "-m", "personalens", "serve", "--port", "0"]
        command += ["--workers", str(workers), "--no-access-log", "--home", str(home.path)]
        environment = {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"} | os.environ
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
        )
        self.url = self._process.stdout.readline().strip().partition("=")[2]

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate(timeout=60)

    def _processes(self) -> list[psutil.Process]:
        parent = psutil.Process(self._process.pid)
        return [parent, *parent.children(recursive=True)]

    def load(
        self,
        requests: list[tuple[str, dict[str, Any]]],
        connections: int,
        seconds: float,
        least: int = 0,
    ) -> dict[str, Any]:
        """Send requests for some seconds from another process; return what it measured."""
        texts = json.dumps([(path, json.dumps(body)) for path, body in requests])
        numbers, before = (connections, seconds, least), self._cpu_seconds()
        done = run_module(
            "http_load", self.url, *numbers, input=texts, capture_output=True, text=True, check=True
        )
        measured = json.loads(done.stdout)
        spent = self._cpu_seconds() - before
        return measured | {
            "connections": connections,
            "cpu_us": 1e6 * spent / measured["requests"],
            "memory_mb": sum(p.memory_full_info().pss for p in self._processes()) / 2**20,
        }

    def see_everybody(self, requests: list[tuple[str, dict[str, Any]]]) -> None:
        """Have each worker answer every request once or more: each connection sends them all, and
        among so many each worker has one."""
        self.load(requests, 16, 0.0, 16 * len(requests))

    def _cpu_seconds(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self._processes())


def in_process(call: Callable[..., Any], requests: list[dict], seconds: float) -> dict[str, Any]:
    """Call boto3 in this process for some seconds."""
    took: list[float] = []
    began, cpu = time.perf_counter(), time.process_time()
    while time.perf_counter() < began + seconds:
        request = requests[len(took) % len(requests)]
        start = time.perf_counter()
        call(**request)
        took.append(time.perf_counter() - start)
    spent = time.process_time() - cpu
    return summary(took, time.perf_counter() - began) | {
        "cpu_us": 1e6 * spent / len(took),
        "memory_mb": psutil.Process().memory_full_info().pss / 2**20,
        "failed": 0,
    }


@contextmanager
def training(catalogue: Catalogue, home: Home) -> Iterator[None]:
    """Train another version in a worker process meanwhile."""
    os.environ.update(TRAINING)
    with personalens.activate(home.path, quiet=True):
        personalize = boto3.client("personalize")
        started = personalize.create_solution_version(solutionArn=catalogue.solution)
        version = {"solutionVersionArn": started["solutionVersionArn"]}

        def status() -> str:
            found = personalize.describe_solution_version(**version)["solutionVersion"]
            return found["status"]

        while status() == "CREATE PENDING":
            time.sleep(0.1)
        time.sleep(5)  # the worker reads the data first
        yield
        if status() != "CREATE IN_PROGRESS":
            raise RuntimeError(f"the training did not last: it is {status()}")
        personalize.stop_solution_version_creation(**version)
        while status() != "CREATE STOPPED":
            time.sleep(0.1)
    for name in TRAINING:
        del os.environ[name]


def measure_visibility(
    catalogue: Catalogue, server: Server, home: Home, users: int = 40
) -> dict[str, Any]:
    """Return how long after an acknowledged event of this process the server's answer differs."""
    runtime = boto3.client(
        "personalize-runtime",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )

    def answer(request: dict[str, Any]) -> list[Any]:
        return runtime.get_recommendations(**request)["itemList"]

    took, answers = [], 0
    asking, telling = catalogue.asking(), catalogue.telling()
    for number in range(users):
        before = answer(asking[number])
        event = telling[number]["eventList"][0]
        told = event | {"itemId": before[3]["itemId"], "eventId": f"visible-{number}"}
        with personalens.activate(home.path, quiet=True):
            boto3.client("personalize-events").put_events(**telling[number] | {"eventList": [told]})
        acknowledged = time.perf_counter()
        answers += 1
        while answer(asking[number]) == before:
            answers += 1
        took.append(time.perf_counter() - acknowledged)
    return summary(took, sum(took)) | {
        "slowest_ms": 1000 * max(took),
        "answers_each": answers / users,
        "failed": 0,
    }


def measure_http(
    catalogue: Catalogue, home: Home, options: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Yield the rows of the server."""
    ask, filtered = (
        [("/recommendations", body) for body in catalogue.asking(filtered=filtered)]
        for filtered in (False, True)
    )
    tell = [("/events", body) for body in catalogue.telling()]
    mix = [each for n in range(len(ask) // 4) for each in (*ask[4 * n : 4 * n + 4], tell[n])]
    most = max(options.connections)
    with Server(home, options.workers) as server:
        server.load([("/recommendations", ask[0][1] | {"userId": "nobody"})], most, 1.0, 20)
        first = server.load(ask, 8, 0.0, len(ask) // 2)
        yield {"what": "first request of a user"} | first
        server.see_everybody(ask)
        for connections in options.connections:
            measured = server.load(ask, connections, options.seconds)
            yield {"what": "GetRecommendations"} | measured
        server.see_everybody(filtered)
        yield {"what": "with a filter"} | server.load(filtered, 8, options.seconds)
        yield {"what": "an event of another process changes the answer"} | measure_visibility(
            catalogue, server, home
        )
        with training(catalogue, home):
            measured = server.load(ask, 8, options.seconds)
            yield {"what": "GetRecommendations during a training"} | measured
        for connections in (8, most):
            yield {"what": "PutEvents"} | server.load(tell, connections, options.seconds)
        server.see_everybody(ask)  # the events made histories new
        yield {"what": "mix"} | server.load(mix, 8, options.seconds)


def measure_in_process(
    catalogue: Catalogue, home: Home, seconds: float
) -> Iterator[dict[str, Any]]:
    """Yield the rows of boto3 in this process."""
    with personalens.activate(home.path, quiet=True):
        ask = boto3.client("personalize-runtime").get_recommendations
        tell = boto3.client("personalize-events").put_events
        for name, filtered in (("GetRecommendations", False), ("with a filter", True)):
            requests = catalogue.asking(filtered=filtered)
            for request in requests:
                ask(**request)
            yield {"what": f"boto3 in process: {name}"} | in_process(ask, requests, seconds)
        numbered = [
            body | {"eventList": [body["eventList"][0] | {"eventId": f"{turn}-{place}"}]}
            for turn in range(20)
            for place, body in enumerate(catalogue.telling())
        ]
        yield {"what": "boto3 in process: PutEvents"} | in_process(tell, numbered, seconds)


def main() -> None:
    options = parser(__doc__)
    add = options.add_argument
    add("--items", type=int, nargs="+", default=[1700, 10_000, 100_000])
    add("--connections", type=int, nargs="+", default=[1, 8, 32])
    add("--workers", type=int, default=2)
    add("--seconds", type=float, default=10.0)
    options = options.parse_args()
    os.environ.setdefault("PERSONALENS_TRAINING_MAX_EPOCHS", "1")
    result = describe_run("serving") | {"workers": options.workers, "catalogues": []}
    for items in options.items:
        catalogue = Catalogue(items, is_real=items == 1700)
        with tempfile.TemporaryDirectory() as folder:
            home = Home(Path(folder) / "home")
            os.environ["PERSONALENS_JOBS"] = "inline"
            catalogue.deploy(home, Path(folder))
            os.environ["PERSONALENS_JOBS"] = "worker"
            rows = []
            result["catalogues"].append({"name": catalogue.name, "rows": rows})
            for row in measure_in_process(catalogue, home, options.seconds):
                rows.append(row)
                print(catalogue.name, json.dumps(row), flush=True)
            for row in measure_http(catalogue, home, options):
                rows.append(row)
                print(catalogue.name, json.dumps(row), flush=True)
    write_result(result, "serving", options.results)


if __name__ == "__main__":
    main()
