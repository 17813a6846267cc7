"""Participants of one server, each with an account of their own."""

from __future__ import annotations

import json

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from personalens.aws.signatures import SignatureVerifier, read_credentials
from personalens.home import Home
from personalens.jobs.opening import open_home
from tests.local_server import LocalServer

ACCOUNTS = {"ada": "111122223333", "ben": "444455556666", "guest": None}
ROLE = "arn:aws:iam::123456789012:role/x"
SCHEMA = {
    "type": "record",
    "name": "Interactions",
    "namespace": "com.amazonaws.personalize.schema",
    "fields": [
        {"name": "USER_ID", "type": "string"},
        {"name": "ITEM_ID", "type": "string"},
        {"name": "TIMESTAMP", "type": "long"},
        {"name": "EVENT_TYPE", "type": "string"},
    ],
    "version": "1.0",
}
KINDS = (
    "schema",
    "datasetGroup",
    "dataset",
    "eventTracker",
    "filter",
    "solution",
    "datasetImportJob",
    "solutionVersion",
    "campaign",
    "batchInferenceJob",
)
SERVICES = ("personalize", "personalize-events", "personalize-runtime")


class Participant:
    """The clients of one key, and what its holder has made."""

    def __init__(self, name: str, url: str):
        options = {
            "endpoint_url": url,
            "region_name": "us-east-1",
            "aws_access_key_id": f"AKID{name.upper()}",
            "aws_secret_access_key": f"{name}'s",
            "config": Config(retries={"max_attempts": 1}),
        }
        self.control, self.events, self.runtime = (boto3.client(s, **options) for s in SERVICES)
        self.made: dict[str, str] = {}

    def make(self) -> Participant:
        """Make one of each kind that needs no training, under the same names as everybody."""
        made, control = self.made, self.control
        made["schema"] = control.create_schema(name="s", schema=json.dumps(SCHEMA))["schemaArn"]
        made["datasetGroup"] = control.create_dataset_group(name="g")["datasetGroupArn"]
        group = {"datasetGroupArn": made["datasetGroup"]}
        made["dataset"] = control.create_dataset(
            name="d", schemaArn=made["schema"], datasetType="Interactions", **group
        )["datasetArn"]
        tracker = control.create_event_tracker(name="t", **group)
        made["eventTracker"], self.tracking_id = tracker["eventTrackerArn"], tracker["trackingId"]
        expression = 'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("watch")'
        made["filter"] = control.create_filter(name="f", filterExpression=expression, **group)[
            "filterArn"
        ]
        made["solution"] = control.create_solution(
            name="o",
            recipeArn="arn:aws:personalize:::recipe/aws-popularity-count",
            performAutoTraining=False,
            **group,
        )["solutionArn"]
        return self

    def train(self, folder) -> Participant:
        """Import, train and deploy, and export again."""
        rows = [f"u{n % 40},i{n % 25},{1_700_000_000 + n},click\n" for n in range(1200)]
        (folder / "events.csv").write_text("USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE\n" + "".join(rows))
        made, control = self.made, self.control
        made["datasetImportJob"] = control.create_dataset_import_job(
            jobName="j",
            datasetArn=made["dataset"],
            dataSource={"dataLocation": f"file://{folder}/events.csv"},
            roleArn=ROLE,
        )["datasetImportJobArn"]
        made["solutionVersion"] = control.create_solution_version(solutionArn=made["solution"])[
            "solutionVersionArn"
        ]
        made["campaign"] = control.create_campaign(
            name="c", solutionVersionArn=made["solutionVersion"], minProvisionedTPS=1
        )["campaignArn"]
        made["batchInferenceJob"] = self.infer("b", folder)["batchInferenceJobArn"]
        return self

    def infer(self, name, folder, **changes):
        (folder / "users.json").write_text('{"userId": "u1"}\n')
        asked = {
            "solutionVersionArn": self.made.get("solutionVersion"),
            "jobInput": {"s3DataSource": {"path": f"file://{folder}/users.json"}},
            "jobOutput": {"s3DataDestination": {"path": f"file://{folder}/{name}/"}},
        }
        return self.control.create_batch_inference_job(
            jobName=name, roleArn=ROLE, **(asked | changes)
        )

    def put_event(self, user: str, tracking_id: str | None = None) -> None:
        event = {"eventType": "click", "itemId": "i1", "sentAt": 1_800_000_000}
        self.events.put_events(
            trackingId=tracking_id or self.tracking_id,
            userId=user,
            sessionId="session",
            eventList=[event],
        )


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("PERSONALENS_JOBS", "inline")
    return Home(tmp_path / "home")


@pytest.fixture
def join(home, tmp_path, allow_loopback):
    """Return a function that gives a participant of one server by name."""
    file = tmp_path / "keys"
    file.write_text(
        "".join(
            f"[{name}]\naws_access_key_id = AKID{name.upper()}\naws_secret_access_key = {name}'s\n"
            + (f"aws_account_id = {account}\n" if account else "")
            for name, account in ACCOUNTS.items()
        )
    )
    with LocalServer(home, verifier=SignatureVerifier(read_credentials(file))) as server:
        yield lambda name: Participant(name, server.url)


def code_of(call, **request) -> str:
    with pytest.raises(ClientError) as caught:
        call(**request)
    return caught.value.response["Error"]["Code"]


def snake(member: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in member)


def listed(control) -> dict[str, list[str]]:
    """Return the ARNs that a participant's lists show, by kind as members spell it."""
    found = {}
    for kind in KINDS:
        answer = getattr(control, f"list_{snake(kind)}s")()
        [rows] = [value for member, value in answer.items() if member != "ResponseMetadata"]
        if rows:
            found[kind] = [row[f"{kind}Arn"] for row in rows]
    return found


def test_the_same_names_are_two_participants_own(join, tmp_path):
    ada, ben = join("ada").make().train(tmp_path), join("ben").make()
    for participant, account in ((ada, "111122223333"), (ben, "444455556666")):
        assert {arn.split(":")[4] for arn in participant.made.values()} == {account}
        assert listed(participant.control) == {
            kind: [arn] for kind, arn in participant.made.items()
        }


def test_nobody_describes_changes_or_deletes_what_is_anothers(join, tmp_path):
    ada, ben = join("ada").make().train(tmp_path), join("ben").make()
    before = listed(ada.control)
    for kind, arn in ada.made.items():
        for verb in ("describe", "delete"):
            method = getattr(ben.control, f"{verb}_{snake(kind)}", None)
            if method is not None:
                assert code_of(method, **{f"{kind}Arn": arn}) == "ResourceNotFoundException"
        for method, request in {
            "list_tags_for_resource": {},
            "tag_resource": {"tags": [{"tagKey": "mine", "tagValue": "now"}]},
            "untag_resource": {"tagKeys": ["mine"]},
        }.items():
            refused = code_of(getattr(ben.control, method), resourceArn=arn, **request)
            assert refused == "ResourceNotFoundException"
    made, control = ada.made, ben.control
    group, version = made["datasetGroup"], made["solutionVersion"]
    for call, request in (
        (control.update_solution, {"solutionArn": made["solution"], "performAutoTraining": True}),
        (control.update_campaign, {"campaignArn": made["campaign"], "minProvisionedTPS": 2}),
        (control.update_dataset, {"datasetArn": made["dataset"], "schemaArn": ben.made["schema"]}),
        (control.create_solution_version, {"solutionArn": made["solution"]}),
        (control.create_campaign, {"name": "x", "solutionVersionArn": version}),
        (control.create_event_tracker, {"name": "x", "datasetGroupArn": group}),
        (control.get_solution_metrics, {"solutionVersionArn": version}),
        (control.list_solution_versions, {"solutionArn": made["solution"]}),
        (ben.infer, {"name": "x", "folder": tmp_path, "solutionVersionArn": version}),
    ):
        assert code_of(call, **request) == "ResourceNotFoundException"
    assert listed(ada.control) == before
    assert ada.control.list_tags_for_resource(resourceArn=group)["tags"] == []


def test_events_and_recommendations_are_those_of_the_account(join, home, tmp_path):
    ada, ben = join("ada").make().train(tmp_path), join("ben").make()
    ada.put_event("hers")
    ben.put_event("his")
    refused = code_of(ben.put_event, user="his", tracking_id=ada.tracking_id)
    assert refused == "InvalidInputException"
    events = open_home(home).events
    for participant, user in ((ada, "hers"), (ben, "his")):
        batches = events.batches(participant.made["dataset"])
        assert [u for batch in batches for u in batch["USER_ID"].to_pylist()] == [user]
    asked = {"campaignArn": ada.made["campaign"], "userId": "u1"}
    assert len(ada.runtime.get_recommendations(**asked)["itemList"]) == 25
    assert code_of(ben.runtime.get_recommendations, **asked) == "ResourceNotFoundException"
    ben_filter = {"filterArn": ben.made["filter"]}
    assert code_of(ada.runtime.get_recommendations, **asked, **ben_filter)


def test_a_key_without_an_account_has_the_servers(join, home):
    ada, guest = join("ada").make(), join("guest").make()
    assert {arn.split(":")[4] for arn in guest.made.values()} == {"123456789012"}
    assert listed(guest.control) == {kind: [arn] for kind, arn in guest.made.items()}
    group = ada.made["datasetGroup"]
    assert code_of(guest.control.describe_dataset_group, datasetGroupArn=group) == (
        "ResourceNotFoundException"
    )
    assert open_home(home).store.require(guest.made["datasetGroup"]).name == "g"


@pytest.mark.parametrize("account", ["12345678901", "1234567890123", "12345678901a", ""])
def test_an_account_is_twelve_digits(tmp_path, account):
    file = tmp_path / "keys"
    file.write_text(
        f"[a]\naws_access_key_id = A\naws_secret_access_key = s\naws_account_id = {account}\n"
    )
    with pytest.raises(ValueError, match=r"\[a\].*exactly twelve digits"):
        read_credentials(file)
