"""A process that forks after it has computed, asked and written: its children do so too.

Each test is a script in a process of its own, for what is forked here is what the test is about:
threads of OpenMP (the tests run on one), locks, connections.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORLD = """
import multiprocessing, os, sys, threading, time, warnings
import numpy as np, pandas as pd
warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons advise against every fork
numbers = np.random.default_rng(0)
FRAME = pd.DataFrame({
    "USER_ID": np.repeat(np.arange(200), 30).astype(str),
    "ITEM_ID": numbers.integers(0, 2000, 6000).astype(str),
    "TIMESTAMP": np.arange(6000),
})

def in_children(work, count=2, tasks=4):
    with multiprocessing.get_context("fork").Pool(count) as pool:
        return pool.map_async(work, range(tasks)).get(90)
"""
SERVICE = """
import json
import boto3, personalens

personalens.activate(quiet=True)
personalize, runtime, events = map(
    boto3.client, ("personalize", "personalize-runtime", "personalize-events")
)
FIELDS = [("USER_ID", "string"), ("ITEM_ID", "string"), ("TIMESTAMP", "long")]
FRAME.to_csv("events.csv", index=False)
schema = personalize.create_schema(name="s", schema=json.dumps({
    "type": "record", "name": "Interactions", "version": "1.0",
    "namespace": "com.amazonaws.personalize.schema",
    "fields": [{"name": n, "type": t} for n, t in FIELDS],
}))["schemaArn"]
group = personalize.create_dataset_group(name="g")["datasetGroupArn"]
dataset = personalize.create_dataset(
    name="d", schemaArn=schema, datasetGroupArn=group, datasetType="Interactions"
)["datasetArn"]
personalize.create_dataset_import_job(
    jobName="i", datasetArn=dataset, dataSource={"dataLocation": os.path.abspath("events.csv")},
    roleArn="arn:aws:iam::123456789012:role/r",
)
tracker = personalize.create_event_tracker(name="t", datasetGroupArn=group)["trackingId"]

def train(name):
    solution = personalize.create_solution(
        name=name, datasetGroupArn=group, performAutoTraining=False,
        recipeArn="arn:aws:personalize:::recipe/aws-hrnn",
    )["solutionArn"]
    version = personalize.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    described = personalize.describe_solution_version(solutionVersionArn=version)
    assert described["solutionVersion"]["status"] == "ACTIVE", described
    return version

campaign = personalize.create_campaign(name="c", solutionVersionArn=train("first"))["campaignArn"]

def ask(user):
    listed = runtime.get_recommendations(campaignArn=campaign, userId=str(user), numResults=5)
    return [each["itemId"] for each in listed["itemList"]]

def put(user):
    events.put_events(trackingId=tracker, sessionId=str(user), userId=str(user), eventList=[
        {"eventType": "click", "itemId": "7", "sentAt": 1_700_000_000 + user}
    ])
"""


@pytest.fixture
def run(tmp_path):
    """Return a function that runs a script, on two threads, in an empty home."""

    def run(*parts: str) -> None:
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "2",
            "PERSONALENS_HOME": str(tmp_path / "home"),
            "PERSONALENS_JOBS": "inline",
            "PERSONALENS_TRAINING_MAX_EPOCHS": "1",
            "PYTHONPATH": str(ROOT),
        }
        script = "".join(textwrap.dedent(part) for part in (WORLD, *parts))
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr[-3000:]

    return run


def test_a_model_recommends_and_another_is_fitted(run):
    run(
        """
        from personalens.recipes.hrnn import HRNN

        def answer(model):
            return model.recommend(["1", "2"], k=5).ITEM_ID.tolist()

        model = HRNN(hidden_dimension=64).fit(FRAME)
        here = answer(model)
        def recommend(_):
            return answer(model)

        def fit(_):
            return answer(HRNN(hidden_dimension=64).fit(FRAME))

        assert in_children(recommend) == [here] * 4
        assert in_children(fit, tasks=2) == [here] * 2
        """
    )


def test_requests_events_and_trainings(run):
    run(
        SERVICE,
        """
        here = [ask(user) for user in range(4)]
        put(0)
        assert in_children(ask)[1:] == here[1:]
        in_children(put)

        def train_numbered(number):
            return train(f"in-a-child-{number}-{os.getpid()}")

        assert len(in_children(train_numbered, count=1, tasks=1)) == 1  # one trains at a time
        export = os.path.abspath("out") + "/"
        personalize.create_dataset_export_job(
            jobName="e", datasetArn=dataset, ingestionMode="PUT",
            roleArn="arn:aws:iam::123456789012:role/r",
            jobOutput={"s3DataDestination": {"path": export}},
        )
        lines = [line for folder, _, files in os.walk(export) for file in files
                 if file.endswith(".csv") for line in open(os.path.join(folder, file))]
        assert len(lines) == 1 + 4, lines  # each child's event, and the parent's is one of them
        assert ask(1) != [] and put(9) is None  # the parent goes on, too
        """,
    )


def test_data_loaders_of_pytorch(run):
    run(
        SERVICE,
        """
        import torch

        class Asked(torch.utils.data.Dataset):
            def __len__(self):
                return 4
            def __getitem__(self, user):
                return [int(item) for item in ask(user)]

        here = [[int(item) for item in ask(user)] for user in range(4)]
        loader = torch.utils.data.DataLoader(
            Asked(), batch_size=None, num_workers=2, multiprocessing_context="fork", timeout=90
        )
        assert [list(each) for each in loader] == here
        """,
    )


def test_locks_that_other_threads_hold_and_transactions_that_are_open(run):
    run(
        """
        from pathlib import Path
        from personalens.storage.event_log import Event
        from personalens.jobs.opening import open_home
        from personalens.home import Home

        context = open_home(Home(Path("home").resolve()), inline_jobs=True)
        log, stream = context.events, "arn:aws:personalize:us-east-1:1:dataset/g/INTERACTIONS"
        inside = threading.Event()

        def lead():
            def work(connection):
                inside.set()
                time.sleep(1)
            log._commits.write(work)

        leader = threading.Thread(target=lead)
        leader.start()
        inside.wait()
        from_child, to_parent = os.pipe()
        from_parent, to_child = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(to_child)
            log.append(stream, "s", "u", [Event("i", 1, "click")])
            os.write(to_parent, bytes([len(list(log.batches(stream))[0])]))
            os.read(from_parent, 1)  # it lives on, with all that it has inherited
            os._exit(0)
        leader.join()
        assert os.read(from_child, 1) == bytes([1])
        log._catalogue.busy_seconds = 1000.0  # so that a lock the child still had would be seen
        log.append(stream, "s", "u", [Event("i", 2, "click")])
        assert [len(batch) for batch in log.batches(stream)] == [2]
        os.close(to_child)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        """
    )


def test_a_fork_waits_for_a_commit_of_another_thread(run):
    """While SQLite flushes what is committed it says already that no transaction is open, and its
    lock is held: a child that inherited it could never write."""
    run(
        """
        from pathlib import Path
        from personalens.storage import catalogue
        from personalens.storage.event_log import Event
        from personalens.jobs.opening import open_home
        from personalens.home import Home

        committing = threading.Event()

        class Slow(catalogue._Connection):
            in_transaction = False

            def execute(self, statement, *values):
                if statement == "COMMIT":
                    committing.set()
                    time.sleep(1)
                return super().execute(statement, *values)

        catalogue._Connection = Slow
        context = open_home(Home(Path("home").resolve()), inline_jobs=True)
        log, stream = context.events, "arn:aws:personalize:us-east-1:1:dataset/g/INTERACTIONS"
        log.append(stream, "s", "u", [Event("i", 1, "click")])
        committing.clear()
        writer = threading.Thread(
            target=log.append, args=(stream, "s", "u", [Event("i", 2, "click")])
        )
        writer.start()
        committing.wait()
        child = os.fork()
        if child == 0:
            log._catalogue.busy_seconds = 0.5
            log.append(stream, "s", "u", [Event("i", 3, "click")])
            os._exit(0)
        writer.join()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert [len(batch) for batch in log.batches(stream)] == [3]
        """
    )


def test_a_fork_inside_a_reading_leaves_the_reading_as_it_is(run):
    run(
        """
        from pathlib import Path
        from personalens.storage.event_log import BATCH_ROWS, Event
        from personalens.jobs.opening import open_home
        from personalens.home import Home

        log = open_home(Home(Path("home").resolve()), inline_jobs=True).events
        stream = "arn:aws:personalize:us-east-1:1:dataset/g/INTERACTIONS"
        total = BATCH_ROWS + 5
        log.append(stream, "s", "u", [Event(str(n), n, "click") for n in range(total)])
        reading = log.batches(stream)
        first = next(reading)
        child = os.fork()
        if child == 0:
            os._exit(int(sum(map(len, log.batches(stream))) == total))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
        assert len(first) + sum(map(len, reading)) == total
        """
    )
