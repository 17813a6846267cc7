"""Several processes on one home at the same moment."""

from __future__ import annotations

import json

from personalens.storage.event_log import Event, EventLog
from personalens.storage.resource_store import ResourceStore
from tests.faults.conftest import EVENTS_SCHEMA, make_dataset, until

CREATOR = """
import json, sys
from pathlib import Path
from personalens.control.operations.provider import PersonalizeProvider
from personalens.jobs.opening import open_home
from personalens.storage.service_context import ServiceContext
from personalens.home import Home
from personalens.service_errors import ServiceError

provider = PersonalizeProvider(open_home(Home(Path(sys.argv[1])), inline_jobs=True))
print("ready", flush=True)
sys.stdin.readline()
answers = []
for number in range(20):
    name = f"name-{number}"
    for create in (
        lambda: provider.create_schema(name=name, schema=sys.argv[2]),
        lambda: provider.create_dataset_group(
            name=name, tags=[{"tagKey": "winner", "tagValue": sys.argv[3]}]
        ),
    ):
        try:
            answers.append(list(create().values())[0])
        except ServiceError as error:
            answers.append(error.code)
print(json.dumps(answers), flush=True)
"""


def test_the_same_resource_is_created_once(home, run_python):
    processes = [run_python(CREATOR, home.path, EVENTS_SCHEMA, n) for n in range(3)]
    for process in processes:  # on a home that none of them has made yet
        assert process.stdout.readline() == "ready\n", process.stdout.read()
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [json.loads(process.stdout.readline()) for process in processes]
    store = ResourceStore(home)
    for attempts in zip(*answers, strict=True):
        winners = [n for n, answer in enumerate(attempts) if answer.startswith("arn:")]
        assert len(winners) == 1
        losers = [answer for answer in attempts if not answer.startswith("arn:")]
        assert losers == ["ResourceAlreadyExistsException"] * 2
        arn = attempts[winners[0]]
        expected = {"winner": str(winners[0])} if ":dataset-group/" in arn else {}
        assert store.tags(arn) == expected
    assert len(store.list("schema")) == len(store.list("dataset-group")) == 20


IMPORTER = """
import sys
from pathlib import Path
from personalens.control.operations.provider import PersonalizeProvider
from personalens.jobs.opening import open_home
from personalens.storage.service_context import ServiceContext
from personalens.home import Home

provider = PersonalizeProvider(open_home(Home(Path(sys.argv[1]))))
for number in range(3):
    provider.create_dataset_import_job(
        jobName=f"{sys.argv[4]}-{number}", datasetArn=sys.argv[2],
        dataSource={"dataLocation": sys.argv[3]}, importMode="INCREMENTAL",
    )
"""


def test_imports_that_two_processes_ask_for_are_all_done_once(
    context, personalize, run_python, tmp_path
):
    dataset = make_dataset(personalize)
    path = tmp_path / "events.csv"
    rows = "".join(f"u{n % 50},i{n},{1_600_000_000 + n}\n" for n in range(1000))
    path.write_text("USER_ID,ITEM_ID,TIMESTAMP\n" + rows)
    personalize.create_dataset_import_job(
        jobName="full", datasetArn=dataset, dataSource={"dataLocation": str(path)}
    )
    processes = [run_python(IMPORTER, context.home.path, dataset, path, n) for n in "ab"]
    for process in processes:
        output, _ = process.communicate()
        assert (process.returncode, output) == (0, "")

    def statuses() -> list[str]:
        page = personalize.list_dataset_import_jobs(datasetArn=dataset)
        for job in page["datasetImportJobs"]:
            personalize.describe_dataset_import_job(datasetImportJobArn=job["datasetImportJobArn"])
        return [job["status"] for job in page["datasetImportJobs"]]

    assert until(lambda: statuses() == ["ACTIVE"] * 7), statuses()
    jobs = context.store.list("dataset-import-job")
    assert [context.jobs.progress(job.arn)["attempt"] for job in jobs] == [1] * 7


SENDER = """
import sys
from pathlib import Path
from personalens.storage.event_log import Event, EventLog
from personalens.home import Home

log, arn, name = EventLog(Home(Path(sys.argv[1]))), sys.argv[2], sys.argv[3]
print("ready", flush=True)
for line in sys.stdin:
    for number in range(int(line)):
        log.append(arn, name, f"user-{number % 7}", [Event(f"{name}-{number}", number, "click")])
    newest = log.live_events(arn, "asked", 0)["ITEM_ID"].to_pylist()[-1:]
    print(*newest, flush=True)
"""
CLICKS = "arn:aws:personalize:us-east-1:123456789012:dataset/films/INTERACTIONS"


def test_an_event_is_seen_by_every_process_at_its_next_look(home, run_python):
    log = EventLog(home)
    processes = [run_python(SENDER, home.path, CLICKS, name) for name in "ab"]
    for process in processes:
        assert process.stdout.readline() == "ready\n", process.stdout.read()
    for number in range(20):
        log.append(CLICKS, "s", "asked", [Event(f"item-{number}", number, "click")])
        for process in processes:
            process.stdin.write("0\n")
            process.stdin.flush()
            assert process.stdout.readline() == f"item-{number}\n"


def test_events_that_processes_put_at_the_same_time_are_all_there(home, run_python):
    processes = [run_python(SENDER, home.path, CLICKS, name) for name in "abc"]
    for process in processes:
        assert process.stdout.readline() == "ready\n", process.stdout.read()
        process.stdin.write("60\n")
        process.stdin.flush()
    for process in processes:
        assert process.stdout.readline() == "\n"
    found = [item for b in EventLog(home).batches(CLICKS) for item in b["ITEM_ID"].to_pylist()]
    assert sorted(found) == sorted(f"{name}-{n}" for name in "abc" for n in range(60))
