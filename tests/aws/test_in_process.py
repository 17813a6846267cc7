"""boto3's own clients of Personalize are answered here, and no other service's."""

from __future__ import annotations

import asyncio
import datetime
import os
import threading

import boto3
import botocore.session
import moto
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, NoCredentialsError, NoRegionError
from botocore.stub import Stubber

from personalens import arns


def answers(client):
    """Whether PersonaLens answers this client."""
    return client.list_schemas()["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_a_script_needs_neither_credentials_nor_a_region(active, refused_network):
    personalize = boto3.client("personalize")
    arn = personalize.create_schema(name="films", schema="{}")["schemaArn"]
    assert arn == "arn:aws:personalize:us-east-1:123456789012:schema/films"
    schema = personalize.describe_schema(schemaArn=arn)["schema"]
    assert schema["name"] == "films"
    assert refused_network == []


def test_timestamps_come_back_as_aware_datetimes_with_milliseconds(active):
    personalize = boto3.client("personalize")
    arn = personalize.create_schema(name="films", schema="{}")["schemaArn"]
    schema = personalize.describe_schema(schemaArn=arn)["schema"]
    utc = datetime.UTC
    assert schema["creationDateTime"] == datetime.datetime(2024, 5, 6, 7, 8, 9, 123000, tzinfo=utc)
    assert schema["lastUpdatedDateTime"].timestamp() == 1700000000.25


def test_absent_and_private_members_never_reach_the_client(active):
    personalize = boto3.client("personalize")
    arn = personalize.create_schema(name="films", schema="{}")["schemaArn"]
    assert set(personalize.describe_schema(schemaArn=arn)["schema"]) == {
        "name",
        "schemaArn",
        "schema",
        "creationDateTime",
        "lastUpdatedDateTime",
    }


def test_errors_are_boto3s_own_typed_exceptions(active):
    personalize = boto3.client("personalize")
    missing = arns.build("schema", "missing")
    with pytest.raises(personalize.exceptions.ResourceNotFoundException) as caught:
        personalize.describe_schema(schemaArn=missing)
    assert caught.value.response["Error"]["Message"] == f"Schema {missing} does not exist."
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert caught.value.response["ResponseMetadata"]["RequestId"]
    personalize.create_schema(name="films", schema="{}")
    with pytest.raises(personalize.exceptions.ResourceAlreadyExistsException):
        personalize.create_schema(name="films", schema="{}")


def test_the_runtime_has_typed_exceptions_with_the_status_of_their_own(active):
    runtime = boto3.client("personalize-runtime")
    with pytest.raises(runtime.exceptions.ResourceNotFoundException) as missing:
        runtime.get_recommendations(userId="404")
    assert missing.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    with pytest.raises(runtime.exceptions.InvalidInputException) as invalid:
        runtime.get_recommendations()
    assert invalid.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    items = runtime.get_recommendations(userId="7", numResults=2)["itemList"]
    assert items == [{"itemId": "7", "score": 1.0}, {"itemId": "7", "score": 0.5}]


def test_events_are_put_with_their_time(active):
    sent_at = datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    event = {"eventType": "click", "sentAt": sent_at, "itemId": "1", "properties": '{"a": 1}'}
    events = boto3.client("personalize-events")
    events.put_events(trackingId="t", sessionId="s", eventList=[event])
    received = active.router._provider("personalize-events", "us-east-1").received
    assert received == [{"trackingId": "t", "sessionId": "s", "eventList": [event]}]


def test_the_parts_of_an_answer_that_botocore_adds_are_there(active):
    answer = boto3.client("personalize").list_schemas()["ResponseMetadata"]
    assert answer["RetryAttempts"] == 0
    assert answer["HTTPHeaders"]["x-amzn-requestid"] == answer["RequestId"]


def test_timestamps_are_parsed_as_the_session_says(active):
    session = botocore.session.get_session()
    parsers = session.get_component("response_parser_factory")
    parsers.set_parser_defaults(timestamp_parser=lambda value: f"at {value}")
    personalize = session.create_client("personalize")
    arn = personalize.create_schema(name="films", schema="{}")["schemaArn"]
    schema = personalize.describe_schema(schemaArn=arn)["schema"]
    assert schema["lastUpdatedDateTime"] == "at 1700000000.25"


def test_handlers_of_the_script_are_heard_before(active):
    runtime, seen = boto3.client("personalize-runtime"), []

    def note(params, **_):
        seen.append(params["url_path"])

    runtime.meta.events.register("before-call", note)
    runtime.meta.events.register("before-call.personalize-runtime.GetRecommendations", note)
    assert len(runtime.get_recommendations(userId="7", numResults=2)["itemList"]) == 2
    assert seen == ["/recommendations", "/recommendations"]


def test_a_stubbed_answer_comes_before_ours(active):
    personalize = boto3.client("personalize")
    with Stubber(personalize) as stubber:
        stubber.add_response("list_schemas", {"schemas": [{"name": "stubbed"}]})
        assert personalize.list_schemas()["schemas"] == [{"name": "stubbed"}]
    assert personalize.list_schemas()["schemas"] == []


def test_a_hook_after_the_call_sees_the_response_and_what_was_parsed(active):
    personalize, seen = boto3.client("personalize"), []

    def note(http_response, parsed, model, **_):
        seen.append((http_response.status_code, parsed["schemas"], model.name))

    personalize.meta.events.register("after-call.personalize", note)
    personalize.list_schemas()
    assert seen == [(200, [], "ListSchemas")]


def test_paginators_walk_all_pages(active):
    personalize = boto3.client("personalize")
    for number in range(7):
        personalize.create_schema(name=f"films-{number}", schema="{}")
    pages = personalize.get_paginator("list_schemas").paginate(PaginationConfig={"PageSize": 3})
    names = [[schema["name"] for schema in page["schemas"]] for page in pages]
    assert names == [
        ["films-0", "films-1", "films-2"],
        ["films-3", "films-4", "films-5"],
        ["films-6"],
    ]


def test_the_clients_region_is_in_the_arns(active):
    european = boto3.client("personalize", region_name="eu-west-1")
    arn = european.create_schema(name="films", schema="{}")["schemaArn"]
    assert arns.parse(arn).region == "eu-west-1"
    assert boto3.client("personalize").list_schemas()["schemas"] == []


def test_an_operation_that_is_missing_is_named_and_not_retried(active):
    personalize = boto3.client("personalize")
    with pytest.raises(ClientError, match="CreateFilter of personalize is not") as caught:
        personalize.create_filter(
            name="seen", datasetGroupArn=arns.build("dataset-group", "films"), filterExpression="x"
        )
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert "tests.aws.coverage" in str(caught.value)


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
def test_a_defect_of_ours_is_one_plain_500_at_once(active, caplog, mode, refused_network):
    calls = []
    original = active.router.call

    def count_calls(*args, **kwargs):
        calls.append(args)
        return original(*args, **kwargs)

    active.router.call = count_calls
    client = boto3.client("personalize", config=Config(retries={"mode": mode}))
    with pytest.raises(ClientError, match="ZeroDivisionError: a defect of ours") as caught:
        client.describe_recipe(recipeArn=arns.recipe_arn("aws-hrnn"))
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert "Traceback" not in str(caught.value)
    assert len(calls) == 1
    assert "a defect of ours" in caplog.text
    assert refused_network == []


def test_a_gateway_that_breaks_still_answers(active, monkeypatch, refused_network):
    def break_down(*args):
        raise MemoryError("no room")

    monkeypatch.setattr("personalens.aws.in_process.answer", break_down)
    with pytest.raises(ClientError, match="no room") as caught:
        boto3.client("personalize-runtime").get_recommendations(userId="1")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert refused_network == []


def test_another_services_request_does_reach_for_the_network(active, refused_network):
    s3 = boto3.client(
        "s3",
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}),
    )
    with pytest.raises(Exception, match=r"s3.*amazonaws"):
        s3.list_buckets()
    assert len(refused_network) == 1


def test_sessions_of_every_kind_are_answered(active):
    before = boto3.Session(region_name="us-west-2")
    assert answers(before.client("personalize"))
    assert answers(boto3.session.Session().client("personalize"))
    assert answers(botocore.session.get_session().create_client("personalize"))


def test_threads_are_answered_whatever_thread_made_the_client(active):
    shared = boto3.client("personalize")
    seen = []

    def work():
        own = boto3.session.Session().client("personalize")
        seen.append((answers(shared), answers(own)))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [(True, True)] * 6


def test_asyncio_threads_are_answered(active):
    client = boto3.client("personalize")

    async def ask():
        return await asyncio.gather(*(asyncio.to_thread(client.list_schemas) for _ in range(4)))

    assert [answer["schemas"] for answer in asyncio.run(ask())] == [[]] * 4


def test_a_provider_is_made_once_however_many_threads_ask_first(active):
    client = boto3.client("personalize")
    barrier, errors = threading.Barrier(8), []

    def work(number):
        barrier.wait()
        try:
            client.create_schema(name=f"films-{number}", schema="{}")
        except ClientError as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(client.list_schemas()["schemas"]) == 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_forked_child_makes_providers_of_its_own(active):
    client = boto3.client("personalize")
    client.create_schema(name="parent", schema="{}")
    reading, writing = os.pipe()
    active.router._lock.acquire()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, str(len(client.list_schemas()["schemas"])).encode())
        finally:
            os._exit(0)
    active.router._lock.release()
    os.waitpid(child, 0)
    assert os.read(reading, 10) == b"0"
    os.close(reading)
    os.close(writing)
    assert len(client.list_schemas()["schemas"]) == 1


def test_an_endpoint_of_the_clients_own_is_answered_too(active, refused_network):
    client = boto3.client("personalize-runtime", endpoint_url="https://example.com/some/stage")
    assert len(client.get_recommendations(userId="1")["itemList"]) == 25
    assert refused_network == []


def test_moto_mocks_other_services_beside_us(active):
    with moto.mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="films")
        assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["films"]
        personalize = boto3.client("personalize")
        assert answers(personalize)
        with pytest.raises(ClientError, match="not implemented in PersonaLens"):
            personalize.list_campaigns()


def test_a_configured_region_is_kept(active, monkeypatch):
    config = Config(region_name="eu-south-1")
    assert boto3.client("personalize", config=config).meta.region_name == "eu-south-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-northeast-2")
    assert boto3.Session().client("personalize").meta.region_name == "ap-northeast-2"


def test_other_services_are_left_alone(active, monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(NoRegionError):
        boto3.client("sqs")
    with pytest.raises(NoCredentialsError):
        boto3.client("s3", region_name="us-east-1").list_buckets()


STALE_MODEL = """
    import json, os, pathlib, sys
    import boto3
    from botocore.loaders import Loader

    def add_model(service, **changes):
        folder = pathlib.Path(os.environ["AWS_DATA_PATH"], service, "2099-01-01")
        folder.mkdir(parents=True, exist_ok=True)
        model = Loader().load_service_model("personalize", "service-2")
        model["operations"] = {"ListSchemas": model["operations"]["ListSchemas"]}
        model["metadata"] |= {"targetPrefix": "AWSConciergeControlService"}
        (folder / "service-2.json").write_text(json.dumps(model | changes))

    os.environ["AWS_DATA_PATH"] = str(pathlib.Path.cwd() / "models")
    add_model("personalize")
    add_model("concierge")
    old = boto3.client("personalize", region_name="us-east-1", aws_access_key_id="a",
                       aws_secret_access_key="b")
    assert not hasattr(old, "create_schema"), "the preview's model is what this client has"
    import personalens
    from personalens.aws.service_models import operations
"""


def test_a_stale_model_of_the_user_changes_nothing(run_python):
    """What `aws configure add-model` of a workshop left behind, for every service or one."""
    script = """
    assert len(operations("personalize")) > 70
    with personalens.activate("home", quiet=True):
        client = boto3.client("personalize")
        print(client.list_schemas()["schemas"])
        print(len(list(client.get_paginator("list_recipes").paginate())))
        print(old.list_schemas()["schemas"])
        boto3.client("concierge", region_name="us-east-1")  # the user's own models are still theirs
    off = boto3.client("personalize", region_name="us-east-1", aws_access_key_id="a",
                       aws_secret_access_key="b")
    print(hasattr(off, "create_schema"))
    """
    assert run_python(STALE_MODEL + script).splitlines() == ["[]", "2", "[]", "False"]
