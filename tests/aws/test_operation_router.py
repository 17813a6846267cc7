"""The router finds providers by botocore's names and lets only service errors out."""

from __future__ import annotations

import errno

import pytest

from personalens import arns
from personalens.aws import operation_router
from personalens.aws.operation_router import (
    OperationRouter,
    WireRequest,
    answer,
    load_provider_class,
)
from personalens.aws.service_models import SERVICES, find_by_request, operations
from personalens.service_errors import (
    InvalidInputException,
    OperationNotImplemented,
    ServiceError,
    UnknownOperationException,
)
from personalens.storage.catalogue import StorageError
from tests.aws.coverage import operation_coverage


def test_an_operation_is_the_method_that_boto3_names(router):
    made = router.call("personalize", "CreateSchema", {"name": "films", "schema": "{}"})
    assert made == {"schemaArn": arns.build("schema", "films")}


def test_a_method_that_returns_nothing_answers_with_nothing(router):
    arn = router.call("personalize", "CreateSchema", {"name": "a", "schema": "{}"})["schemaArn"]
    assert router.call("personalize", "DeleteSchema", {"schemaArn": arn}) == {}


def test_members_that_the_model_does_not_know_are_left_out(router):
    params = {"name": "films", "schema": "{}", "colour": "red"}
    assert "schemaArn" in router.call("personalize", "CreateSchema", params)


def test_parameters_are_checked_before_the_provider_sees_them(router):
    with pytest.raises(InvalidInputException, match="length less than or equal to 63"):
        router.call("personalize", "CreateSchema", {"name": "x" * 64, "schema": "{}"})


def test_a_failing_disk_is_no_defect(router, monkeypatch, caplog):
    def fail(*_, **__):
        raise OSError(errno.EIO, "Input/output error", "/home/datasets")

    provider = type(router._provider("personalize", "us-east-1"))
    monkeypatch.setattr(provider, "describe_recipe", fail)
    with pytest.raises(StorageError, match=r"cannot read or write /home/datasets \(Input/output"):
        router.call("personalize", "DescribeRecipe", {"recipeArn": arns.recipe_arn("aws-hrnn")})
    assert "DescribeRecipe failed" in caplog.text


def test_a_defect_becomes_one_plain_sentence(router, caplog):
    with pytest.raises(
        ServiceError, match=r"DescribeRecipe failed inside PersonaLens \(Zero"
    ) as out:
        router.call(
            "personalize",
            "DescribeRecipe",
            {"recipeArn": arns.recipe_arn("aws-hrnn")},
            request_id="request-9",
        )
    assert (out.value.code, out.value.http_status) == ("InternalServerError", 500)
    assert "request-9" in str(out.value)
    assert "request-9" in caplog.text


def test_one_provider_serves_a_region_and_another_the_next(router):
    first = router._provider("personalize", "us-east-1")
    assert router._provider("personalize", "us-east-1") is first
    assert router._provider("personalize", "eu-west-1") is not first


def test_services_of_one_region_share_their_context(make_router):
    opened = []
    router = OperationRouter(
        make_router().home,
        providers={service: lambda context: context for service in SERVICES},
        open_context=lambda home, region: opened.append(region) or object(),
    )
    contexts = {id(router._provider(service, "us-east-1")) for service in SERVICES}
    assert len(contexts) == 1
    assert opened == ["us-east-1"]


@pytest.mark.parametrize("service", SERVICES)
def test_every_operation_of_the_model_is_answered_or_named_as_missing(service, tmp_path):
    provider_class = load_provider_class(service)
    router = OperationRouter(
        operation_router.Home(tmp_path),
        providers={service: lambda context: provider_class and _Uncalled(provider_class)},
        open_context=lambda home, region: None,
    )
    implemented = operation_coverage()[service]
    assert set(implemented) == set(operations(service))
    for operation in operations(service).values():
        if implemented[operation.name]:
            assert callable(router._provider_method(operation, "us-east-1"))
        else:
            with pytest.raises(
                OperationNotImplemented, match=rf"^{operation.name} of {service} is"
            ):
                router._provider_method(operation, "us-east-1")


class _Uncalled:
    """Has the methods of a provider class, without making one."""

    def __init__(self, provider_class):
        self._provider_class = provider_class

    def __getattr__(self, name):
        return getattr(self._provider_class, name)


def test_a_provider_module_that_is_broken_is_not_taken_for_missing(monkeypatch, tmp_path):
    (tmp_path / "broken_provider.py").write_text("import no_such_module_anywhere")
    monkeypatch.syspath_prepend(tmp_path)
    broken = {"personalize": ("broken_provider", "Provider")}
    monkeypatch.setattr(operation_router, "PROVIDER_CLASSES", broken)
    with pytest.raises(ModuleNotFoundError, match="no_such_module_anywhere"):
        load_provider_class("personalize")


def test_requests_find_their_operation_by_target_or_path():
    assert find_by_request("POST", "/", "AmazonPersonalize.CreateSchema").name == "CreateSchema"
    assert find_by_request("POST", "/recommendations", None).name == "GetRecommendations"
    assert find_by_request("POST", "/action-interactions/", None).name == "PutActionInteractions"


@pytest.mark.parametrize(
    ("method", "path", "target"),
    [
        ("GET", "/recommendations", None),
        ("POST", "/", None),
        ("POST", "/", "AmazonPersonalize.MakeFilm"),
        ("POST", "/", "DynamoDB_20120810.PutItem"),
        ("GET", "/", "AmazonPersonalize.CreateSchema"),
        ("POST", "/recommendations/more", None),
    ],
)
def test_a_request_for_no_operation_says_so(router, method, path, target):
    with pytest.raises(UnknownOperationException):
        find_by_request(method, path, target)
    headers = {"x-amz-target": target} if target else {}
    response = answer(router, WireRequest(method, path, headers, b"{}"))
    assert response.status == (400 if target else 404)
    assert b"UnknownOperationException" in response.body + str(response.headers).encode()
