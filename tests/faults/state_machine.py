"""A home and its model live side by side: whatever is asked, both must answer the same.

``python -m tests.faults.state_machine`` asks at random, through boto3, for resources, imports,
trainings, recommendations, events, exports and deletions; between them the process that answers is
started again or killed, in the middle of a call, too. Each answer, and each error, is predicted by
:mod:`tests.faults.home_model`.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy: forked children have one thread

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.faults.acknowledged_work import working_folder
from tests.faults.home_agent import Agent, import_what_agents_import
from tests.faults.home_model import (
    ACTIVE,
    COLUMNS,
    EVENT_TABLES,
    FAILED,
    INVALID,
    LISTS,
    NOT_FOUND,
    TABLES,
    HomeModel,
    Thing,
    arn_of,
    dataset_of,
    names_of,
)

LIVES_OF_A_SEED, STEPS_OF_A_LIFE = 10, 60
"""The first life of a seed is Hypothesis's plainest one, which does the same thing all the time."""
ROLE = "arn:aws:iam::123456789012:role/personalize"
RECIPE = "arn:aws:personalize:::recipe/aws-popularity-count"
FILTER = 'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("watch")'
GROUPS = st.sampled_from(["g0", "g0", "g1"])
TYPES = st.sampled_from(["INTERACTIONS", "INTERACTIONS", "ITEMS"])
FEW = st.sampled_from(["a", "b"])
EVENTS = st.lists(
    st.tuples(
        st.integers(0, 45).map(lambda n: f"film-{n}"),
        st.integers(1_700_000_000, 1_700_000_003),
        st.sampled_from(["watch", "click"]),
    ),
    min_size=1,
    max_size=4,
)
RECORDS = st.lists(
    st.tuples(st.integers(38, 42).map(lambda n: f"film-{n}"), st.sampled_from(["noir", "heist"])),
    min_size=1,
    max_size=3,
    unique_by=lambda record: record[0],
)


class Life(RuleBasedStateMachine):
    """The home is behind :attr:`agent`; what it must show is in :attr:`model`."""

    folder: Path
    counts: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.model = HomeModel()
        self.place = Path(tempfile.mkdtemp(dir=self.folder))
        self.agent = Agent(self.place / "home")
        self.names = 0
        for kind, tables in TABLES.items():
            for name, rows in tables.items():
                with (self.place / f"{kind}-{name}.csv").open("w", newline="") as file:
                    csv.writer(file).writerows([COLUMNS[kind], *rows])

    def teardown(self) -> None:
        self.look()
        self.agent.kill()
        shutil.rmtree(self.place)

    def call(self, method: str, expected: str | None, **request: Any) -> dict[str, Any]:
        """Ask, and compare the error with the expected one. Returns the answer; {} for errors."""
        self.counts["steps"] += 1
        answer = self.agent.call(method, **request)
        code = answer if isinstance(answer, str) else None
        assert code == expected, f"{method} {request}: {code}, not {expected}"
        self.counts["refused as predicted"] += code is not None
        return {} if isinstance(answer, str) else answer

    def new_name(self) -> str:
        self.names += 1
        return f"n{self.names}"

    # -- rules ---------------------------------------------------------------------------------

    @initialize()
    def begin_with_a_campaign(self) -> None:
        """What takes many steps to come by."""
        self.make_group("g0")
        for kind in COLUMNS:
            self.make_schema(kind)
            self.make_dataset("g0", kind)
        self.import_rows("g0", "INTERACTIONS", 0, "FULL", "new")
        self.make_solution("g0", "a")
        self.train("a")
        self.deploy("a", 0)

    @rule(name=GROUPS)
    def make_group(self, name: str) -> None:
        arn = arn_of("dataset-group", name)
        expected = self.model.free(arn)
        self.call("create_dataset_group", expected, name=name)
        if expected is None:
            self.model.add(Thing("dataset-group", arn))

    @rule(kind=TYPES)
    def make_schema(self, kind: str) -> None:
        arn, fields = arn_of("schema", kind), []
        for name in COLUMNS[kind]:
            kinds = "long" if name == "TIMESTAMP" else "string"
            fields.append({"name": name, "type": kinds})
            if name == "GENRE":
                fields[-1] |= {"type": ["null", "string"], "categorical": True}
        schema = {"type": "record", "name": kind.capitalize(), "version": "1.0", "fields": fields}
        schema["namespace"] = "com.amazonaws.personalize.schema"
        expected = self.model.free(arn)
        self.call("create_schema", expected, name=kind, schema=json.dumps(schema))
        if expected is None:
            self.model.add(Thing("schema", arn, status=None))

    @rule(group=GROUPS, kind=TYPES)
    def make_dataset(self, group: str, kind: str) -> None:
        arn, parent = dataset_of(group, kind), arn_of("dataset-group", group)
        schema = arn_of("schema", kind)
        expected = self.model.usable(parent) or self.model.usable(schema) or self.model.free(arn)
        self.call(
            "create_dataset",
            expected,
            name=kind,
            schemaArn=schema,
            datasetGroupArn=parent,
            datasetType=kind,
        )
        if expected is None:
            self.model.add(Thing("dataset", arn, parent, frozenset({parent, schema})))

    def import_request(self, arn: str, name: str, table: str, mode: str) -> dict[str, Any]:
        kind = arn.rpartition("/")[2]
        return {
            "jobName": name,
            "datasetArn": arn,
            "dataSource": {"dataLocation": f"{self.place}/{kind}-{table}.csv"},
            "importMode": mode,
            "roleArn": ROLE,
        }

    @rule(
        group=GROUPS,
        kind=TYPES,
        table=st.integers(0, 2),
        mode=st.sampled_from(["FULL", "FULL", "INCREMENTAL"]),
        name=st.sampled_from(["new"] * 8 + ["n1"]),
    )
    def import_rows(self, group: str, kind: str, table: int, mode: str, name: str) -> None:
        arn = dataset_of(group, kind)
        name = self.new_name() if name == "new" else name
        table = list(TABLES[kind])[table % len(TABLES[kind])]
        expected = self.model.usable(arn)
        if not expected and mode == "INCREMENTAL" and not self.model.rows[arn].has_full:
            expected = INVALID
        job = arn_of("dataset-import-job", name)
        expected = expected or self.model.free(job)
        request = self.import_request(arn, name, table, mode)
        self.call("create_dataset_import_job", expected, **request)
        if expected is None:
            status = self.model.rows[arn].import_(kind, TABLES[kind][table], mode)
            self.model.add(Thing("dataset-import-job", job, arn, status=status))

    @rule(group=GROUPS)
    def make_tracker(self, group: str) -> None:
        parent = arn_of("dataset-group", group)
        others = self.model.of("event-tracker", parent)
        expected = self.model.usable(parent) or (others and self.model.free(others[0].arn)) or None
        answer = self.call("create_event_tracker", expected, name="t", datasetGroupArn=parent)
        if expected is None:
            arn = answer["eventTrackerArn"]
            self.model.add(Thing("event-tracker", arn, parent, frozenset({parent})))
            self.model.tracking_ids[arn] = answer["trackingId"]

    @rule(
        group=GROUPS,
        session=FEW,
        user=st.sampled_from([None, "viewer-1", "viewer-2"]),
        events=EVENTS,
    )
    def put_events(self, group: str, session: str, user: str | None, events: list) -> None:
        request, expected = self.events_request(group, session, user, events)
        self.call("put_events", expected, **request)
        if expected is None:
            self.model.rows[dataset_of(group, "INTERACTIONS")].put_events(session, user, events)

    def events_request(
        self, group: str, session: str, user: str | None, events: list
    ) -> tuple[dict[str, Any], str | None]:
        dataset = dataset_of(group, "INTERACTIONS")
        trackers = self.model.of("event-tracker", arn_of("dataset-group", group))
        usable = [tracker for tracker in trackers if tracker.status == ACTIVE]
        expected = INVALID if not usable or self.model.usable(dataset) else None
        sent = [{"itemId": item, "sentAt": at, "eventType": kind} for item, at, kind in events]
        request = {
            "trackingId": self.model.tracking_ids[trackers[0].arn] if trackers else "nobody's",
            "sessionId": session,
            "eventList": sent,
        }
        return request | ({} if user is None else {"userId": user}), expected

    @rule(group=GROUPS, records=RECORDS)
    def put_items(self, group: str, records: list) -> None:
        arn = dataset_of(group, "ITEMS")
        expected = self.model.usable(arn)
        items = [{"itemId": i, "properties": json.dumps({"genre": g})} for i, g in records]
        self.call("put_items", expected, datasetArn=arn, items=items)
        if expected is None:
            self.model.rows[arn].delivered.append(("put", records))

    @rule(group=GROUPS, name=FEW)
    def make_solution(self, group: str, name: str) -> None:
        arn, parent = arn_of("solution", name), arn_of("dataset-group", group)
        expected = self.model.usable(parent) or self.model.free(arn)
        self.call(
            "create_solution",
            expected,
            name=name,
            datasetGroupArn=parent,
            recipeArn=RECIPE,
            performAutoTraining=False,
        )
        if expected is None:
            self.model.add(Thing("solution", arn, parent, frozenset({parent})))

    def dataset_of_solution(self, arn: str) -> str:
        return dataset_of(self.model.things[arn].parent.rpartition("/")[2], "INTERACTIONS")

    @rule(name=FEW)
    def train(self, name: str) -> None:
        solution = arn_of("solution", name)
        expected = self.model.usable(solution)
        if expected is None and self.model.usable(self.dataset_of_solution(solution)):
            expected = INVALID
        answer = self.call("create_solution_version", expected, solutionArn=solution)
        if expected is None:
            self.note_version(solution, answer["solutionVersionArn"])

    def note_version(self, solution: str, arn: str) -> None:
        found = self.model.train(self.dataset_of_solution(solution))
        status = FAILED if found is None else ACTIVE
        self.model.add(Thing("solution-version", arn, solution, status=status))
        self.model.lists[arn] = found

    @rule(name=FEW, which=st.integers(0, 5))
    def deploy(self, name: str, which: int) -> None:
        arn, versions = arn_of("campaign", name), self.model.of("solution-version")
        missing = f"{arn_of('solution', 'nobody')}/00000000"
        version = versions[which % len(versions)].arn if versions else missing
        expected = self.model.usable(version) or self.model.free(arn)
        self.call("create_campaign", expected, name=name, solutionVersionArn=version)
        if expected is None:
            solution = version.rpartition("/")[0]
            self.model.add(Thing("campaign", arn, uses=frozenset({solution})))
            self.model.lists[arn] = self.model.lists[version]

    @rule(name=FEW)
    def recommend(self, name: str) -> None:
        arn = arn_of("campaign", name)
        expected = NOT_FOUND if self.model.usable(arn) else None
        answer = self.call(
            "get_recommendations", expected, campaignArn=arn, userId="viewer-1", numResults=10
        )
        if expected is None:
            found = [item["itemId"] for item in answer["itemList"]]
            assert found == self.model.lists[arn]
            self.counts["lists"] += 1

    @rule(group=GROUPS, name=FEW)
    def make_filter(self, group: str, name: str) -> None:
        arn, parent = arn_of("filter", name), arn_of("dataset-group", group)
        expected = self.model.usable(parent)
        if expected is None and self.model.usable(dataset_of(group, "INTERACTIONS")):
            expected = INVALID
        expected = expected or self.model.free(arn)
        self.call(
            "create_filter", expected, name=name, datasetGroupArn=parent, filterExpression=FILTER
        )
        if expected is None:
            self.model.add(Thing("filter", arn, parent))

    @rule(group=GROUPS, kind=TYPES, mode=st.sampled_from(["BULK", "PUT", "ALL"]))
    def export(self, group: str, kind: str, mode: str) -> None:
        arn, name = dataset_of(group, kind), self.new_name()
        expected = self.model.usable(arn)
        found = self.exported(arn, mode, name, expected)
        if expected is None:
            self.model.add(Thing("dataset-export-job", arn_of("dataset-export-job", name), arn))
            assert found == self.model.rows[arn].exported(mode, newest_only=kind == "ITEMS")

    def exported(self, arn: str, mode: str, name: str, expected: str | None = None) -> set:
        self.call(
            "create_dataset_export_job",
            expected,
            jobName=name,
            datasetArn=arn,
            ingestionMode=mode,
            roleArn=ROLE,
            jobOutput={"s3DataDestination": {"path": f"{self.place}/out/"}},
        )
        if expected is not None:
            return set()
        with (self.place / "out" / f"{name}.csv").open(newline="") as file:
            header, *rows = csv.reader(file)
        assert header == COLUMNS[arn.rpartition("/")[2]]
        return {(a, b, int(c[0]), c[1]) if c else (a, b) for a, b, *c in rows}

    @rule(which=st.integers(0, 200), often=st.integers(0, 2))
    def delete(self, which: int, often: int) -> None:
        """Delete one of all, also what cannot go yet; a second time seldom."""
        kinds = ("schema", "dataset", "event-tracker", "solution", "campaign", "filter")
        found = [each for kind in (*kinds, "dataset-group") for each in self.model.of(kind)]
        if not found or (often and len(found) < 4):
            return
        thing = found[which % len(found)]
        expected = self.model.deletable(thing.arn)
        member, noun = names_of(thing.kind)
        self.call(f"delete_{noun}", expected, **{f"{member}Arn": thing.arn})
        if expected is None:
            self.model.delete(thing.arn)

    @rule()
    def let_time_pass(self) -> None:
        """All deletions end."""
        self.agent.end_deletions()
        self.model.end_deletions()

    @rule()
    def start_again(self) -> None:
        self.agent.leave()
        self.agent = Agent(self.place / "home")
        self.counts["restarts"] += 1

    @rule()
    def kill(self) -> None:
        self.agent.kill()
        self.agent = Agent(self.place / "home")
        self.counts["kills"] += 1

    @rule()
    def look(self) -> None:
        """Compare all that lists and descriptions show."""
        for kind, members in LISTS.items():
            member, noun = names_of(kind)
            answer = self.call(f"list_{noun}s", None, maxResults=100)
            found = {each[f"{member}Arn"]: each.get("status") for each in answer[members]}
            expected = {thing.arn: thing.status for thing in self.model.of(kind)}
            odd = {*found.items()} ^ {*expected.items()}
            assert not odd, f"either found or expected, not both: {odd}"
            for arn in list(expected)[-3:]:
                request = {f"{member}Arn": arn}
                described = self.call(f"describe_{noun}", None, **request)
                assert described[member].get("status") == expected[arn], described

    # -- calls that are killed ---------------------------------------------------------------------

    def kill_during(self, delay: int, method: str, **request: Any) -> None:
        self.agent.ask(method, **request)
        time.sleep(delay / 1000)
        self.agent.kill()
        self.agent = Agent(self.place / "home")
        self.counts["steps"] += 1
        self.counts["kills in the middle of a call"] += 1

    def settled(self, method: str, member: str, **request: str) -> str | None:
        """Return the status of what perhaps was made; whoever looks sees to its job."""
        self.agent.call(method, **request)
        answer = self.agent.call(method, **request)
        return None if answer == NOT_FOUND else answer[member]["status"]

    @precondition(lambda self: self.model.usable(dataset_of("g0", "INTERACTIONS")) is None)
    @rule(delay=st.integers(0, 60), table=st.sampled_from(["first", "second"]))
    def kill_an_import(self, delay: int, table: str) -> None:
        arn, name = dataset_of("g0", "INTERACTIONS"), self.new_name()
        job = arn_of("dataset-import-job", name)
        request = self.import_request(arn, name, table, "FULL")
        self.kill_during(delay, "create_dataset_import_job", **request)
        asked = {"datasetImportJobArn": job}
        status = self.settled("describe_dataset_import_job", "datasetImportJob", **asked)
        assert status in (None, ACTIVE)
        if status is not None:
            self.model.add(Thing("dataset-import-job", job, arn))
            self.model.rows[arn].import_("INTERACTIONS", EVENT_TABLES[table], "FULL")
        self.counts["killed and wholly there"] += status is not None

    @precondition(lambda self: any(s.status == ACTIVE for s in self.model.of("solution")))
    @rule(delay=st.integers(0, 150))
    def kill_a_training(self, delay: int) -> None:
        solution = next(s.arn for s in self.model.of("solution") if s.status == ACTIVE)
        if self.model.usable(self.dataset_of_solution(solution)):
            return
        self.kill_during(delay, "create_solution_version", solutionArn=solution)
        listed = self.call("list_solution_versions", None, solutionArn=solution, maxResults=100)
        for each in listed["solutionVersions"]:
            if (arn := each["solutionVersionArn"]) not in self.model.things:
                self.note_version(solution, arn)
                asked = {"solutionVersionArn": arn}
                status = self.settled("describe_solution_version", "solutionVersion", **asked)
                assert status == self.model.things[arn].status
                self.counts["killed and wholly there"] += 1

    @rule(delay=st.integers(0, 12), events=EVENTS)
    def kill_put_events(self, delay: int, events: list) -> None:
        session = self.new_name()
        request, expected = self.events_request("g0", session, "viewer-3", events)
        if expected is not None:
            return
        self.kill_during(delay, "put_events", **request)
        dataset, name = dataset_of("g0", "INTERACTIONS"), self.new_name()
        found, rows = self.exported(dataset, "PUT", name), self.model.rows[dataset]
        job = arn_of("dataset-export-job", name)
        self.model.add(Thing("dataset-export-job", job, dataset))
        if found != rows.exported("PUT", newest_only=False):
            rows.put_events(session, "viewer-3", events)
            self.counts["killed and wholly there"] += 1
        assert found == rows.exported("PUT", newest_only=False)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.faults.state_machine", description=__doc__)
    parser.add_argument("--steps", type=int, default=10_000, help="calls, at least")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    number = options.seed
    with working_folder() as folder:
        Life.folder = folder
        import_what_agents_import(folder / "first")
        while Life.counts["steps"] < options.steps:
            run_state_machine_as_test(
                seed(number)(Life),
                settings=settings(
                    max_examples=LIVES_OF_A_SEED,
                    stateful_step_count=STEPS_OF_A_LIFE,
                    deadline=None,
                    database=None,
                    phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck),
                    verbosity=Verbosity.normal,
                ),
            )
            number += 1
            print(f"{Life.counts['steps']} steps", flush=True)
    Life.counts["lives"] = LIVES_OF_A_SEED * (number - options.seed)
    counts = ", ".join(f"{count} {what}" for what, count in Life.counts.items())
    print(f"{counts}; no answer differed from the prediction")
    return 0


if __name__ == "__main__":
    sys.exit(main())
