"""Work on a home, step by step, and what is there after each step: what both
:mod:`tests.faults.crash_states` and :mod:`tests.faults.failing_calls` disturb.

A step is one call, or the jobs that the calls before it have asked for. After step k, and after the
next worker has done what was left to do, a home shows ``expected[k]``. Whatever happens in step
k + 1, it must show ``expected[k]`` or ``expected[k + 1]``, and nothing else.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import importlib
import json
import os
import pickle
import shutil
import sqlite3
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from personalens.arns import build, dataset_arn
from personalens.cli.home_examination import examine_home
from personalens.home import Home
from personalens.jobs.job_runner import run_jobs
from personalens.jobs.opening import open_home
from personalens.storage.dataset_rows import DatasetRows
from personalens.storage.datasets import sweep_folders
from personalens.storage.job_queue import JobQueue
from personalens.storage.model_folders import serving_folder
from personalens.storage.resource_store import ACTIVE, ResourceStore, is_in_transition
from personalens.storage.service_context import ServiceContext
from tests.conftest import INTERACTIONS_SCHEMA, Service, small_world
from tests.dataset_tables import import_table

Step = Callable[[Service, Path], object]
WAIT_SECONDS = 10.0
ALL_ROWS = "all rows"
ROLE = "arn:aws:iam::123456789012:role/personalize"
ITEM_FIELDS = [
    {"name": "ITEM_ID", "type": "string"},
    {"name": "GENRE", "type": ["null", "string"], "categorical": True},
]
TABLES = {"first": small_world(), "second": small_world(seed=8)}


def arn_of(kind: str, name: str) -> str:
    return build(kind, name, region="us-east-1", account="123456789012")


GROUP = arn_of("dataset-group", "films")
EVENTS, ITEMS = dataset_arn(GROUP, "Interactions"), dataset_arn(GROUP, "Items")


def open_service(home: Home) -> Service:
    """Return the services on a home; jobs wait until somebody does them."""
    service = Service(home)
    patient = JobQueue(home, ResourceStore(home, catalogue=service.context.store.catalogue))
    service.use(replace(service.context, jobs=patient))
    return service


def do_jobs(service: Service, folder: Path) -> None:
    run_jobs(service.context)


# -- the homes that the work begins with -----------------------------------------------------------


def make_nothing(service: Service, folder: Path) -> None:
    """The first use: not even the home is there, but for the files to import."""
    for name, table in TABLES.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    (folder / "leavers.csv").write_text("USER_ID\nviewer-1\nviewer-2\n")


def make_films(service: Service, folder: Path) -> None:
    """Two datasets, a tracker, a trained version with a campaign, and one that nobody uses."""
    make_nothing(service, folder)
    service.use(open_home(service.home, inline_jobs=True))
    for step in (make_group, make_schema, make_dataset):
        step(service, folder)
    import_events("first")(service, folder)
    genres = [(f"film-{n}", ["noir", "space"][n % 2]) for n in range(40)]
    frame = pd.DataFrame(genres, columns=["ITEM_ID", "GENRE"])
    import_table(service, GROUP, folder, "Items", ITEM_FIELDS, frame)
    make_tracker(service, folder)
    for name in ("popular", "unused"):
        make_solution(name, "aws-popularity-count")(service, folder)
        train(name)(service, folder)
    (version,) = service.list_solution_versions(solutionArn=arn_of("solution", "popular"))[
        "solutionVersions"
    ]
    service.create_campaign(name="popular", solutionVersionArn=version["solutionVersionArn"])


# -- the steps -------------------------------------------------------------------------------------


def make_group(service: Service, folder: Path) -> None:
    service.create_dataset_group(name="films")


def make_schema(service: Service, folder: Path) -> None:
    service.create_schema(name="films", schema=json.dumps(INTERACTIONS_SCHEMA))


def make_dataset(service: Service, folder: Path) -> None:
    service.create_dataset(
        name="films",
        schemaArn=arn_of("schema", "films"),
        datasetGroupArn=GROUP,
        datasetType="Interactions",
    )


def make_tracker(service: Service, folder: Path) -> None:
    service.create_event_tracker(name="films", datasetGroupArn=GROUP)


def import_events(name: str, mode: str = "FULL") -> Step:
    def ask(service: Service, folder: Path) -> None:
        service.create_dataset_import_job(
            jobName=name,
            datasetArn=EVENTS,
            dataSource={"dataLocation": f"{folder}/{name}.csv"},
            importMode=mode,
            roleArn=ROLE,
        )

    return ask


def put_events(session: str, user: str | None, items: list[int]) -> Step:
    def put(service: Service, folder: Path) -> None:
        (tracker,) = service.list_event_trackers(datasetGroupArn=GROUP)["eventTrackers"]
        described = service.describe_event_tracker(eventTrackerArn=tracker["eventTrackerArn"])
        events = [
            {"eventType": "watch", "itemId": f"film-{n}", "sentAt": 1_700_000_000 + n}
            for n in items
        ]
        service.put_events(
            trackingId=described["eventTracker"]["trackingId"],
            sessionId=session,
            eventList=events,
            **({} if user is None else {"userId": user}),
        )

    return put


def put_items(first: int, count: int) -> Step:
    def put(service: Service, folder: Path) -> None:
        items = [
            {"itemId": f"film-{n}", "properties": '{"genre": "heist"}'}
            for n in range(first, first + count)
        ]
        service.put_items(datasetArn=ITEMS, items=items)

    return put


def make_solution(name: str, recipe: str) -> Step:
    def make(service: Service, folder: Path) -> None:
        service.create_solution(
            name=name,
            datasetGroupArn=GROUP,
            recipeArn=f"arn:aws:personalize:::recipe/{recipe}",
            performAutoTraining=False,
        )

    return make


def train(name: str) -> Step:
    def ask(service: Service, folder: Path) -> None:
        service.create_solution_version(solutionArn=arn_of("solution", name))

    return ask


def ask_export(service: Service, folder: Path) -> None:
    service.create_dataset_export_job(
        jobName="events",
        datasetArn=EVENTS,
        ingestionMode="ALL",
        roleArn=ROLE,
        jobOutput={"s3DataDestination": {"path": f"{folder}/out/new/"}},
    )


def ask_to_forget(service: Service, folder: Path) -> None:
    service.create_data_deletion_job(
        jobName="leavers",
        datasetGroupArn=GROUP,
        dataSource={"dataLocation": f"{folder}/leavers.csv"},
        roleArn=ROLE,
    )


def delete_items(service: Service, folder: Path) -> None:
    service.delete_dataset(datasetArn=ITEMS)


def delete_solution(service: Service, folder: Path) -> None:
    service.delete_solution(solutionArn=arn_of("solution", "unused"))


@dataclass(frozen=True)
class Workload:
    """What is done to a home, and what it looked like before. With ``in_pieces`` a job that fails
    has perhaps done some of its work, such as removing the rows of users, but no piece by half."""

    prepare: Step
    steps: tuple[Step, ...]
    in_pieces: bool = False


WORKLOADS = {
    "first use": Workload(
        make_nothing,
        (
            make_group,
            make_schema,
            make_dataset,
            import_events("first"),
            do_jobs,
            make_tracker,
            put_events("s1", "viewer-1", [3, 4]),
        ),
    ),
    "puts": Workload(
        make_films,
        (
            put_events("s1", "viewer-1", [3, 4, 5]),
            put_events("s2", None, [6, 7]),
            put_events("s2", "viewer-2", [8]),
            put_items(100, 3),
            put_items(102, 2),
        ),
    ),
    "FULL import": Workload(make_films, (import_events("second"), do_jobs)),
    "INCREMENTAL import": Workload(make_films, (import_events("second", "INCREMENTAL"), do_jobs)),
    "training aws-popularity-count": Workload(make_films, (train("popular"), do_jobs)),
    "training aws-sims": Workload(
        make_films, (make_solution("near", "aws-sims"), train("near"), do_jobs)
    ),
    "export": Workload(make_films, (ask_export, do_jobs), in_pieces=True),
    "deletion of users": Workload(
        make_films, (put_events("s1", "viewer-1", [3]), ask_to_forget, do_jobs), in_pieces=True
    ),
    "deletes": Workload(make_films, (put_items(100, 3), delete_items, delete_solution)),
}


# -- what a home shows -----------------------------------------------------------------------------


def take_up(home: Home) -> None:
    """Do what the next worker does, and wait until nothing is on its way any more."""
    context = open_home(home, inline_jobs=False)
    sweep_folders(context)
    run_jobs(context)
    deadline = time.monotonic() + WAIT_SECONDS
    while any(map(is_in_transition, all_resources(context))):
        if time.monotonic() > deadline:
            raise AssertionError("what was on its way has not ended")
        time.sleep(0.05)


def all_resources(context: ServiceContext) -> list[Any]:
    with context.store.catalogue.reading() as connection:
        kinds = connection.execute("SELECT DISTINCT kind FROM resources").fetchall()
    return [each for (kind,) in kinds for each in context.store.list(kind)]


def observe(home: Home, folder: Path) -> dict[str, Any]:
    """Return all that a user can see of a home, without what is another at each time."""
    context = open_home(home, inline_jobs=False)
    service = open_service(home)
    seen: dict[str, Any] = {"failed": set(), "reasons": []}
    for each in all_resources(context):
        name = f"{each.kind} {each.parent_arn if 'version' in each.kind else each.name}"
        if (each.status or "").endswith("FAILED"):
            seen["failed"].add(name)
            seen["reasons"].append(each.failure_reason)
            continue
        seen.setdefault(name, []).append((each.status, each.body.get("numDeleted")))
        if each.kind == "dataset":
            seen |= rows_of(context, each)
        elif each.kind == "solution-version" and each.status == ACTIVE:
            model = serving_folder(home, each)
            for file in ("ids.json", "weights.safetensors"):
                seen.setdefault(f"{file} of {each.parent_arn}", []).append(digest(model / file))
        elif each.kind == "campaign":
            answer = service.get_recommendations(campaignArn=each.arn, userId="viewer-1")
            seen["list"] = [item["itemId"] for item in answer["itemList"]]
    exported = folder / "out" / "new" / "events.csv"
    seen["export"] = digest(exported) if exported.exists() else None
    return seen


def rows_of(context: ServiceContext, dataset: Any) -> dict[str, list[str]]:
    """Return what was imported, what was put, and what a training reads of both."""
    rows = DatasetRows(context, dataset)
    tables = {
        f"imported rows of {dataset.name}": rows.files.read_delivered(),
        f"put rows of {dataset.name}": None if rows.put is None else rows.put.table,
        f"{ALL_ROWS} of {dataset.name}": rows.read(),
    }
    return {
        name: sorted(repr(sorted(row.items())) for row in table.to_pylist())
        for name, table in tables.items()
        if table is not None
    }


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def damage(home: Home, leftovers: tuple[str, ...]) -> list[str]:
    """Return what ``personalens doctor --deep`` finds, but for what a crash may leave lying about
    and these remove."""
    allowed = tuple(f"the next {each} removes it" for each in leftovers)
    findings = [finding for finding in examine_home(home) if not finding.is_ok]
    return [str(each) for each in findings if not each.remedy.startswith(allowed)]


def judge(allowed: list[dict[str, Any]], seen: dict[str, Any], *, in_pieces: bool) -> str | None:
    """Return what is wrong with what a home shows, if it must show one of these, or each piece of
    it what one of them has; None: nothing."""
    for reason in seen["reasons"]:
        if not reason or "Internal error" in reason:
            return f"a job failed with {reason!r}"
    told = [
        {key: value for key, value in each.items() if key not in ("failed", "reasons")}
        for each in (seen, *allowed)
    ]
    if told[0] in told[1:]:
        return None
    keys = {key for each in told for key in each}
    odd = [key for key in keys if told[0].get(key) not in [each.get(key) for each in told[1:]]]
    if in_pieces and all(key.startswith(ALL_ROWS) for key in odd):  # they are of two pieces
        return None
    return f"it shows neither what was before the step nor what is after it: {sorted(odd)}"


# -- processes and folders -------------------------------------------------------------------------


def in_child(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a child process, and return what it returns; its errors are raised."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.close(reader)
        try:
            outcome = ("returned", function(*arguments))
        except BaseException:
            outcome = ("raised", traceback.format_exc())
        with os.fdopen(writer, "wb") as file:
            pickle.dump(outcome, file)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        content = file.read()
    os.waitpid(child, 0)
    what, value = pickle.loads(content) if content else ("raised", "the process died")
    if what == "raised":
        raise AssertionError(value)
    return value


class Bench:
    """One workload with the folder in which it is done again and again.

    Attributes
    ----------
    folder, home
        Where: ``folder/home``, and beside it what imports read and exports write.
    base
        A copy of the folder before the first step.
    expected
        What the home shows after k steps, k = 0, 1, ...
    """

    def __init__(self, root: Path, workload: Workload):
        self.workload = workload
        self.folder, self.base = root / "work", root / "base"
        self.home = Home(self.folder / "home")
        self.folder.mkdir(parents=True)
        open_service(self.home)  # reads what the children shall not read again; touches no disk
        self._import(in_child(self._prepare))
        shutil.copytree(self.folder, self.base)
        self.expected = [self._expect(k) for k in range(len(workload.steps) + 1)]

    def _prepare(self) -> list[str]:
        """Make the home, and return what had to be imported for it."""
        service = open_service(self.home)
        self.workload.prepare(service, self.folder)
        for path in self.home.path.glob("*.sqlite"):  # what is in its log comes to the file itself
            connection = sqlite3.connect(path)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.close()
        return list(sys.modules)

    @staticmethod
    def _import(modules: list[str]) -> None:
        for name in modules:
            if name.startswith(("personalens", "botocore", "boto3", "torch", "pyarrow", "scipy")):
                importlib.import_module(name)

    def restore(self) -> None:
        """Make the folder what it was before the first step."""
        shutil.rmtree(self.folder)
        shutil.copytree(self.base, self.folder)

    def _expect(self, steps: int) -> dict[str, Any]:
        self.restore()
        self._import(in_child(self.run, steps))
        in_child(take_up, self.home)
        return in_child(observe, self.home, self.folder)

    def run(
        self, steps: int | None = None, after_each: Callable[[], object] = lambda: None
    ) -> list[str]:
        """Do the first steps, close the home, and return what had to be imported for all that."""
        service = open_service(self.home)
        for step in self.workload.steps[:steps]:
            step(service, self.folder)
            after_each()
        del service
        gc.collect()
        return list(sys.modules)

    def check(self, acknowledged: int, *, may_fail: bool = False) -> str | None:
        """Return what is wrong with the home as it is, if so many steps were acknowledged.

        With ``may_fail`` a job may have failed, and is then as if it had not been asked for.
        """
        try:
            return in_child(self._check, acknowledged, may_fail)
        except AssertionError as error:
            return f"it does not open: {error}"

    def _check(self, acknowledged: int, may_fail: bool) -> str | None:
        if found := damage(self.home, ("worker", "import", "training")):
            return f"doctor --deep finds damage: {found}"
        take_up(self.home)
        seen = observe(self.home, self.folder)
        has_failed = may_fail and bool(seen["failed"])
        allowed = self.expected[max(0, acknowledged - has_failed) : acknowledged + 2]
        in_pieces = has_failed and self.workload.in_pieces
        if wrong := judge(allowed, seen, in_pieces=in_pieces):
            return wrong
        if found := damage(self.home, ("import", "training")):
            return f"doctor --deep finds damage after the jobs: {found}"
        return None


@contextlib.contextmanager
def working_folder() -> Iterator[Path]:
    """A folder in memory, where there is such a thing: a flush need not really happen here."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)
