"""``personalens.wait``: what it asks, when it stops, what it says."""

from __future__ import annotations

import io

import boto3
import pytest
from botocore.stub import Stubber

import personalens
from personalens import arns
from personalens.notebook import progress
from personalens.notebook.progress import StatusLine, WaitFailed, wait

VERSION = "arn:aws:personalize:us-east-1:123456789012:solution/films/0a1b2c3d"
CAMPAIGN = arns.build("campaign", "films")
GROUP = arns.build("dataset-group", "films")


@pytest.fixture
def aws(monkeypatch):
    """A genuine client whose answers are written in the test, and no PersonaLens in front."""
    personalens.deactivate()
    monkeypatch.delenv("AWS_ENDPOINT_URL_PERSONALIZE", raising=False)
    client = boto3.client(
        "personalize",
        region_name="us-east-1",
        aws_access_key_id="none",
        aws_secret_access_key="none",
    )
    with Stubber(client) as stub:
        yield client, stub
        stub.assert_no_pending_responses()


def say(stub, operation, member, *answers, arn):
    """Queue answers: a status, a description, or an error for None."""
    for answer in answers:
        if answer is None:
            stub.add_client_error(
                f"describe_{operation}", "ResourceNotFoundException", http_status_code=400
            )
        else:
            inner = {"status": answer} if isinstance(answer, str) else answer
            stub.add_response(
                f"describe_{operation}", {member: inner}, expected_params={f"{member}Arn": arn}
            )


def test_returns_the_last_description_and_leaves_one_sentence(aws, capsys):
    client, stub = aws
    answers = ("CREATE PENDING", "CREATE IN_PROGRESS", {"status": "ACTIVE", "trainingHours": 0.5})
    say(stub, "solution_version", "solutionVersion", *answers, arn=VERSION)
    assert wait(client, VERSION, poll=0)["trainingHours"] == 0.5
    assert capsys.readouterr().err == "Solution version films/0a1b2c3d: ACTIVE (0.0 s)\n"


def test_raises_with_the_service_s_own_reason(aws):
    client, stub = aws
    reason = "Dataset has fewer than 25 users with at least 2 interactions each."
    failed = {"status": "CREATE FAILED", "failureReason": reason}
    say(stub, "solution_version", "solutionVersion", "CREATE PENDING", failed, arn=VERSION)
    with pytest.raises(WaitFailed) as failure:
        wait(client, VERSION, poll=0)
    assert failure.value.failure_reason == reason
    assert failure.value.arn == VERSION
    assert str(failure.value) == f"Solution version films/0a1b2c3d: CREATE FAILED. {reason}"


def test_a_campaign_s_update_counts_although_its_status_stays_active(aws):
    client, stub = aws
    updating = {"status": "ACTIVE", "latestCampaignUpdate": {"status": "CREATE IN_PROGRESS"}}
    updated = {"status": "ACTIVE", "latestCampaignUpdate": {"status": "ACTIVE"}}
    say(stub, "campaign", "campaign", updating, updating, updated, arn=CAMPAIGN)
    wait(client, CAMPAIGN, poll=0)
    stub.assert_no_pending_responses()


def test_a_failed_update_raises_with_the_update_s_reason(aws):
    client, stub = aws
    update = {"status": "CREATE FAILED", "failureReason": "no such version"}
    say(
        stub,
        "campaign",
        "campaign",
        {"status": "ACTIVE", "latestCampaignUpdate": update},
        arn=CAMPAIGN,
    )
    with pytest.raises(WaitFailed, match="no such version"):
        wait(client, CAMPAIGN, poll=0)


def test_deleted_means_that_describe_finds_it_no_more(aws, capsys):
    client, stub = aws
    say(stub, "campaign", "campaign", "DELETE PENDING", "DELETE IN_PROGRESS", None, arn=CAMPAIGN)
    assert wait(client, CAMPAIGN, until="deleted", poll=0) is None
    assert capsys.readouterr().err == "Campaign films: deleted (0.0 s)\n"


@pytest.mark.parametrize("until", ["ready", "stopped"])
def test_what_is_being_deleted_is_waited_for_to_its_end(aws, capsys, until):
    client, stub = aws
    say(stub, "campaign", "campaign", "DELETE PENDING", "DELETE IN_PROGRESS", None, arn=CAMPAIGN)
    assert wait(client, CAMPAIGN, until=until, poll=0) is None
    assert capsys.readouterr().err == "Campaign films: deleted (0.0 s)\n"


@pytest.mark.parametrize("until", ["ready", "deleted"])
def test_a_failed_deletion_raises_with_its_reason(aws, until):
    client, stub = aws
    failed = {"status": "DELETE FAILED", "failureReason": "in use"}
    say(stub, "campaign", "campaign", "DELETE IN_PROGRESS", failed, arn=CAMPAIGN)
    with pytest.raises(WaitFailed, match=r"DELETE FAILED\. in use"):
        wait(client, CAMPAIGN, until=until, poll=0)


def test_what_was_made_again_under_the_same_name_is_waited_for(aws):
    client, stub = aws
    states = ("DELETE IN_PROGRESS", "CREATE PENDING", "ACTIVE")
    say(stub, "campaign", "campaign", *states, arn=CAMPAIGN)
    assert wait(client, CAMPAIGN, poll=0)["status"] == "ACTIVE"


def test_does_not_wait_for_ever_for_a_delete_that_nobody_asked_for(aws):
    client, stub = aws
    say(stub, "campaign", "campaign", *["ACTIVE"] * 6, arn=CAMPAIGN)
    with pytest.raises(WaitFailed, match="call the delete operation"):
        wait(client, CAMPAIGN, until="deleted", poll=0)


def test_what_does_not_exist_is_not_waited_for(aws):
    client, stub = aws
    say(stub, "campaign", "campaign", None, arn=CAMPAIGN)
    with pytest.raises(WaitFailed, match="Nothing has this ARN"):
        wait(client, CAMPAIGN, poll=0)


def test_a_stopped_training_is_a_failure_unless_the_stop_was_waited_for(aws):
    client, stub = aws
    states = ("CREATE STOPPING", "CREATE STOPPED")
    say(stub, "solution_version", "solutionVersion", *states, *states, arn=VERSION)
    with pytest.raises(WaitFailed, match="stopped before it finished"):
        wait(client, VERSION, poll=0)
    wait(client, VERSION, until="stopped", poll=0)
    stub.assert_no_pending_responses()


def test_giving_up_says_that_the_work_goes_on(aws):
    client, stub = aws
    say(stub, "dataset_group", "datasetGroup", "CREATE PENDING", arn=GROUP)
    with pytest.raises(TimeoutError, match=r"still CREATE PENDING after 0 s. The work goes on"):
        wait(client, GROUP, timeout=0)


@pytest.mark.parametrize("kind", sorted(arns.KINDS - {"schema"}))
def test_every_kind_of_arn_has_its_describe_operation(aws, capsys, kind):
    client, stub = aws
    if kind == "dataset":
        arn = arns.dataset_arn(arns.build("dataset-group", "films"), "ITEMS")
    elif kind == "solution-version":
        arn = VERSION
    elif kind == "event-tracker":
        arn = arns.event_tracker_arn("0a1b2c3d")
    else:
        arn = arns.build(kind, "films")
    first, *others = kind.split("-")
    member = first + "".join(map(str.capitalize, others))
    done = {} if kind == "algorithm" else {"status": "ACTIVE"}
    say(stub, kind.replace("-", "_"), member, done, arn=arn)
    wait(client, arn, poll=0)
    assert capsys.readouterr().err.endswith(": ACTIVE (0.0 s)\n")


def test_a_schema_is_there_at_once(aws, capsys):
    client, stub = aws
    arn = arns.build("schema", "films")
    say(stub, "schema", "schema", {"name": "films"}, arn=arn)
    wait(client, arn)
    assert capsys.readouterr().err.startswith("Schema films: ACTIVE")


def test_looks_rarely_at_aws_and_often_at_this_machine(aws, monkeypatch):
    client, stub = aws
    slept = []
    monkeypatch.setattr(progress.time, "sleep", slept.append)
    say(stub, "dataset_group", "datasetGroup", *["CREATE PENDING"] * 3, "ACTIVE", arn=GROUP)
    wait(client, GROUP, quiet=True)
    assert slept == [15.0, 22.5, 30.0]
    slept.clear()
    client.meta._endpoint_url = "http://127.0.0.1:8080"
    say(stub, "dataset_group", "datasetGroup", *["CREATE PENDING"] * 6, "ACTIVE", arn=GROUP)
    wait(client, GROUP, quiet=True)
    assert slept[0] == 0.1
    assert slept[-1] == 0.5


def test_refuses_other_clients_and_unknown_goals(aws):
    client, _ = aws
    with pytest.raises(TypeError, match=r'boto3.client\("personalize"\)'):
        wait(object(), GROUP)
    with pytest.raises(ValueError, match="'done'; it can be"):
        wait(client, GROUP, until="done")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr("personalens.notebook.progress._stream", lambda: stream)
    return stream


def test_the_live_line_shows_the_job_and_ends_as_one_sentence(terminal):
    with StatusLine("Solution version films/0a1b2c3d", shown=True) as line:
        line.update("CREATE IN_PROGRESS", {})
        event = {"stage": "training", "fraction": 0.25, "epoch": 2, "epochs": 8, "loss": 5.25}
        line.update("CREATE IN_PROGRESS", event)
        line.update("CREATE IN_PROGRESS", {"stage": "reading", "rows": 1000, "total_rows": 2000})
        line.finish("ACTIVE (1.0 s)")
    text = terminal.getvalue()
    assert "CREATE IN_PROGRESS [" in text
    assert "training  25%|" in text
    assert "epoch 2/8, loss 5.250" in text
    assert "reading [" in text
    assert "1,000/2,000 rows" in text
    *_, last = text.splitlines()[-1].split("\r")
    assert last == "Solution version films/0a1b2c3d: ACTIVE (1.0 s)"


def test_quiet_shows_nothing(terminal):
    with StatusLine("Campaign films", shown=False) as line:
        line.update("CREATE IN_PROGRESS", {"fraction": 0.5})
        line.finish("ACTIVE (1.0 s)")
    assert terminal.getvalue() == ""


def test_values_that_an_import_took_as_missing_are_told(terminal, monkeypatch):
    counted = {"missing_values": {"YEAR": 12, "GENRES": 1}}
    monkeypatch.setattr(progress, "_progress_source", lambda: lambda arn: counted)
    monkeypatch.setattr(progress, "_describe", lambda client, arn: {"status": "ACTIVE"})
    client = boto3.client("personalize", region_name="us-east-1")
    wait(client, arns.build("dataset-import-job", "films"), poll=0)
    line = terminal.getvalue().splitlines()[-1].split("\r")[-1]
    assert line.startswith("Dataset import job films: ACTIVE (")
    assert line.endswith(" s); values taken as missing: YEAR 12, GENRES 1")
