"""kill -9 of the worker and of the caller in the middle of a training."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from personalens.arns import recipe_arn
from personalens.control.operations.provider import PersonalizeProvider
from personalens.storage.model_folders import read_outcome, version_folder
from personalens.storage.service_context import ServiceContext
from tests.faults.conftest import make_dataset, until, workers

USERS, EVENTS, ITEMS = 120, 40, 600


@pytest.fixture
def solution(personalize, context, tmp_path, monkeypatch) -> str:
    """A solution over enough events that an HRNN takes seconds."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PERSONALENS_TRAINING_MAX_EPOCHS", "8")
    dataset = make_dataset(personalize)
    arn = personalize.create_dataset_import_job(
        jobName="events",
        datasetArn=dataset,
        dataSource={"dataLocation": str(write_events(tmp_path / "events.csv"))},
    )["datasetImportJobArn"]
    assert until(lambda: context.store.require(arn, "dataset-import-job").status == "ACTIVE")
    return personalize.create_solution(
        name="films",
        datasetGroupArn=context.store.list("dataset-group")[0].arn,
        recipeArn=recipe_arn("aws-hrnn"),
        solutionConfig={"algorithmHyperParameters": {"hidden_dimension": "96"}},
    )["solutionArn"]


def write_events(path: Path) -> Path:
    rng = np.random.default_rng(5)
    lines = [
        f"u{user},i{(user * 7 + event * 3 + rng.integers(9)) % ITEMS},{10**9 + 90 * event}\n"
        for user in range(USERS)
        for event in range(EVENTS)
    ]
    path.write_text("USER_ID,ITEM_ID,TIMESTAMP\n" + "".join(lines))
    return path


def reach_the_middle(context: ServiceContext, arn: str) -> None:
    assert until(lambda: context.jobs.progress(arn).get("epoch")), context.jobs.progress(arn)
    assert context.store.require(arn).status == "CREATE IN_PROGRESS"


def finished(context: ServiceContext, arn: str) -> bool:
    resource = context.store.require(arn)
    assert resource.status in ("CREATE PENDING", "CREATE IN_PROGRESS", "ACTIVE"), resource
    return resource.status == "ACTIVE"


def check_model(personalize: PersonalizeProvider, context: ServiceContext, arn: str) -> None:
    metrics = personalize.get_solution_metrics(solutionVersionArn=arn)["metrics"]
    assert 0 < metrics["coverage"] <= 1
    leftovers = list(context.home.models.rglob(".*"))
    assert leftovers == []
    assert len(list(context.home.models.rglob("weights.safetensors"))) == 1


def test_a_killed_training_is_done_by_the_next_worker(personalize, context, solution):
    arn = personalize.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    reach_the_middle(context, arn)
    for worker in workers(context):
        os.kill(worker.pid, signal.SIGKILL)
        assert until(worker.is_gone)
    assert context.store.require(arn).status == "CREATE IN_PROGRESS"
    personalize.describe_solution_version(solutionVersionArn=arn)
    assert until(lambda: finished(context, arn))
    assert context.jobs.progress(arn)["attempt"] == 2
    check_model(personalize, context, arn)


def epochs_on_disk(context: ServiceContext) -> list[dict]:
    """Return the log in the newest checkpoint, with the seconds that every epoch took."""
    files = list(context.home.models.rglob("[!.]*.safetensors"))
    if not files:
        return []
    with safe_open(max(files, key=lambda path: path.stat().st_mtime_ns), "np") as file:
        return json.loads(file.metadata()["state"])["log"]


def test_epochs_that_were_done_are_not_run_again(personalize, context, solution):
    arn = personalize.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    assert until(lambda: len(epochs_on_disk(context)) >= 3)
    for worker in workers(context):
        os.kill(worker.pid, signal.SIGKILL)
        assert until(worker.is_gone)
    done = epochs_on_disk(context)
    assert context.store.require(arn).status == "CREATE IN_PROGRESS"
    personalize.describe_solution_version(solutionVersionArn=arn)
    assert until(lambda: finished(context, arn))
    check_model(personalize, context, arn)
    log = read_outcome(version_folder(context.home, arn)).training_log
    assert log[: len(done)] == done  # to the microsecond: they are those of the first worker


CALLER = """
import sys
from pathlib import Path
from personalens.control.operations.provider import PersonalizeProvider
from personalens.jobs.opening import open_home
from personalens.storage.service_context import ServiceContext
from personalens.home import Home

provider = PersonalizeProvider(open_home(Home(Path(sys.argv[1]))))
print(provider.create_solution_version(solutionArn=sys.argv[2])["solutionVersionArn"], flush=True)
sys.stdin.read()
"""


def test_a_training_goes_on_when_its_caller_is_killed(personalize, context, solution, run_python):
    caller = run_python(CALLER, context.home.path, solution)
    arn = caller.stdout.readline().strip()
    assert arn.startswith("arn:"), arn + caller.stdout.read()
    reach_the_middle(context, arn)
    os.killpg(caller.pid, signal.SIGKILL)
    caller.wait()
    assert until(lambda: finished(context, arn))  # nobody describes it
    assert context.jobs.progress(arn)["attempt"] == 1
    check_model(personalize, context, arn)


def test_a_training_that_is_stopped_after_its_worker_died_is_stopped(
    personalize, context, solution
):
    arn = personalize.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    reach_the_middle(context, arn)
    for worker in workers(context):
        os.kill(worker.pid, signal.SIGKILL)
        assert until(worker.is_gone)
    personalize.stop_solution_version_creation(solutionVersionArn=arn)

    def status() -> str:
        described = personalize.describe_solution_version(solutionVersionArn=arn)
        return described["solutionVersion"]["status"]

    assert until(lambda: status() == "CREATE STOPPED"), status()
    assert list(context.home.models.rglob("weights.safetensors")) == []
