"""Requests become typed parameters, results and errors become what botocore reads."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from botocore.model import ServiceModel

from personalens.aws.service_models import Operation, find_operation
from personalens.aws.wire_json import parse_params, render_error, render_result
from personalens.service_errors import (
    ResourceNotFoundException,
    SerializationException,
    ServiceError,
)

MEMBERS = {
    "Text": "string",
    "Whole": "integer",
    "Large": "long",
    "Real": "double",
    "Flag": "boolean",
    "Moment": "timestamp",
    "Bytes": "blob",
}
SHAPES = {name: {"type": kind} for name, kind in MEMBERS.items()} | {
    "Texts": {"type": "list", "member": {"shape": "Text"}},
    "Reals": {"type": "map", "key": {"shape": "Text"}, "value": {"shape": "Real"}},
    "Everything": {
        "type": "structure",
        "members": {name: {"shape": name} for name in (*MEMBERS, "Texts", "Reals")},
    },
}


@pytest.fixture(scope="module")
def operation():
    """An operation that takes and returns one member of every type."""
    model = ServiceModel(
        {
            "metadata": {"protocol": "json", "serviceId": "Test"},
            "operations": {
                "Echo": {
                    "name": "Echo",
                    "http": {"method": "POST", "requestUri": "/"},
                    "input": {"shape": "Everything"},
                    "output": {"shape": "Everything"},
                }
            },
            "shapes": SHAPES,
        }
    )
    return Operation("personalize", "Echo", "echo", model.operation_model("Echo"))


def parse(operation, **document):
    return parse_params(operation, json.dumps(document).encode())


def render(operation, **result):
    return json.loads(render_result(operation, result, "id").body)


def test_a_request_is_typed_by_its_shape(operation):
    assert parse(
        operation,
        Text="Amélie",
        Whole=3.0,
        Large=2**40,
        Real=1,
        Flag=False,
        Moment=1700000000.5,
        Bytes="AQI=",
        Texts=["a", None],
        Reals={"x": 2},
    ) == {
        "Text": "Amélie",
        "Whole": 3,
        "Large": 2**40,
        "Real": 1.0,
        "Flag": False,
        "Moment": datetime(2023, 11, 14, 22, 13, 20, 500000, tzinfo=UTC),
        "Bytes": b"\x01\x02",
        "Texts": ["a", None],
        "Reals": {"x": 2.0},
    }


def test_types_are_those_that_the_shape_says(operation):
    params = parse(operation, Whole=3.0, Real=1)
    assert (type(params["Whole"]), type(params["Real"])) == (int, float)


def test_unknown_members_and_nulls_are_left_out(operation):
    assert parse(operation, Text=None, Surprise=[1], Whole=1) == {"Whole": 1}


@pytest.mark.parametrize("body", [b"", b"  \n"])
def test_no_body_is_no_parameters(operation, body):
    assert parse_params(operation, body) == {}


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-02-03T04:05:06Z", datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC)),
        ("2024-02-03T04:05:06", datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC)),
        ("2024-02-03T04:05:06+02:00", datetime(2024, 2, 3, 2, 5, 6, tzinfo=UTC)),
        (-1, datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_a_timestamp_is_epoch_seconds_or_iso(operation, text, moment):
    assert parse(operation, Moment=text)["Moment"] == moment


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nonsense",
        b'{"Text": "\xff"}',
        b'{"Real": NaN}',
        b'{"Real": -Infinity}',
        b"[" * 100_000,
        b'{"Whole": ' + b"9" * 5000 + b"}",
    ],
)
def test_a_body_that_is_not_json_is_refused(operation, body):
    with pytest.raises(SerializationException, match="not valid JSON"):
        parse_params(operation, body)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("[]", r"\[\] can not be converted to a structure \(at the request\)"),
        ('"text"', "a structure"),
        ('{"Text": 5}', r"5 can not be converted to a String \(at Text\)"),
        ('{"Text": "\\ud800"}', "surrogate"),
        ('{"Whole": "5"}', '"5" can not be converted to an Integer'),
        ('{"Whole": 5.5}', "an Integer"),
        ('{"Whole": true}', "true can not be converted to an Integer"),
        ('{"Whole": 2147483648}', "an Integer of this size"),
        ('{"Real": "1"}', "a Double"),
        ('{"Real": 1e999}', "not valid JSON"),
        ('{"Real": 1' + "0" * 400 + "}", "not valid JSON"),
        ('{"Flag": "true"}', "a Boolean"),
        ('{"Flag": 1}', "a Boolean"),
        ('{"Moment": "yesterday"}', "a Timestamp"),
        ('{"Moment": 1e300}', "a Timestamp"),
        ('{"Moment": true}', "a Timestamp"),
        ('{"Bytes": "*"}', "a Blob"),
        ('{"Texts": "a"}', "a list"),
        ('{"Texts": ["a", 1]}', "at a member of Texts"),
        ('{"Reals": [1]}', "a map"),
        ('{"Reals": {"x": "1"}}', r"at Reals\.x"),
    ],
)
def test_a_member_of_the_wrong_type_is_refused_by_name(operation, body, expected):
    with pytest.raises(SerializationException, match=expected):
        parse_params(operation, body.encode())


def test_a_result_is_what_the_shape_says(operation):
    moment = datetime(2024, 2, 3, 4, 5, 6, 789999, tzinfo=timezone(timedelta(hours=9)))
    assert render(
        operation,
        Text="Amélie",
        Whole=np.int64(3),
        Real=np.float64(0.25),
        Flag=np.bool_(True),
        Moment=moment,
        Bytes=b"\x01\x02",
        Texts=("a", "b"),
        Reals={"x": np.float64(1.0)},
    ) == {
        "Text": "Amélie",
        "Whole": 3,
        "Real": 0.25,
        "Flag": True,
        "Moment": moment.timestamp() // 1 + 0.79,
        "Bytes": "AQI=",
        "Texts": ["a", "b"],
        "Reals": {"x": 1.0},
    }


def test_a_moment_without_a_zone_is_utc(operation):
    assert render(operation, Moment=datetime(1970, 1, 1, 0, 1))["Moment"] == 60.0


def test_none_and_unknown_members_are_absent_not_null(operation):
    assert render(operation, Text=None, _private=1, surprise=2, Whole=0) == {"Whole": 0}


@pytest.mark.parametrize("wrong", [{"Text": 5}, {"Real": float("nan")}, {"Texts": [None]}])
def test_a_result_that_json_or_the_shape_forbids_is_our_defect(operation, wrong):
    with pytest.raises((TypeError, ValueError)):
        render_result(operation, wrong, "id")


def test_an_operation_without_output_answers_with_an_empty_body():
    response = render_result(find_operation("personalize", "DeleteSchema"), {"ignored": 1}, "id")
    assert (response.status, response.body, response.headers["Content-Length"]) == (200, b"", "0")


@pytest.mark.parametrize(
    ("error", "status"), [(ResourceNotFoundException("gone"), 400), (ServiceError("broken"), 500)]
)
def test_control_errors_carry_their_type_in_the_body(error, status):
    response = render_error(error, "id-7", is_control=True)
    assert json.loads(response.body) == {"__type": error.code, "message": str(error)}
    assert response.status == status
    assert response.headers["x-amzn-RequestId"] == "id-7"
    assert response.headers["Content-Type"] == "application/x-amz-json-1.1"


def test_runtime_errors_carry_their_type_in_a_header():
    response = render_error(ResourceNotFoundException("gone"), "id", is_control=False)
    assert json.loads(response.body) == {"message": "gone"}
    assert response.status == 404
    assert response.headers["x-amzn-ErrorType"] == "ResourceNotFoundException"
    assert response.headers["Content-Type"] == "application/json"
