"""The two JSON protocols of the Personalize services, read and written from botocore's shapes.

The control service speaks *json-1.1*: one path, the operation in ``X-Amz-Target``, every modelled
error as status 400 with its type in the body. Runtime and events speak *rest-json*: a path per
operation, the error's own status, its type in ``x-amzn-ErrorType``. Both put the members of a
request or a result into one JSON object; neither service binds members to headers or to the URL.
"""

from __future__ import annotations

import base64
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from functools import cache, lru_cache
from typing import Any, NoReturn

import orjson
from botocore.model import Shape

from personalens.aws.service_models import Operation
from personalens.service_errors import SerializationException, ServiceError

JSON_1_1 = "application/x-amz-json-1.1"
REST_JSON = "application/json"
_INTEGER_BITS = {"integer": 31, "long": 63}


@dataclass
class WireResponse:
    """An HTTP response, ready to be sent or handed to botocore."""

    status: int
    headers: dict[str, str]
    body: bytes


def parse_params(operation: Operation, body: bytes) -> dict[str, Any]:
    """Return the parameters that ``body`` holds, typed by the operation's input shape.

    Unknown members and nulls are left out, timestamps become aware datetimes. NaN and infinities
    are not JSON. What is not of the right types is a SerializationException.
    """
    shape = operation.model.input_shape
    if shape is None or not body.strip():
        return {}
    try:
        document = orjson.loads(body)
    except ValueError as error:
        raise SerializationException(f"The request body is not valid JSON: {error}") from error
    return _parse(shape, document, "the request")


def _parse(shape: Shape, value: Any, place: str) -> Any:
    """Return ``value`` as the type that ``shape`` asks for; ``None`` where it is null."""
    if value is None:
        return None
    types, name, parse = _PARSERS[shape.type_name]
    # To Python True is an int.
    if not isinstance(value, types) or isinstance(value, bool) is not (types is bool):
        _refuse(value, place, name)
    return value if parse is None else parse(shape, value, place)


def _parse_structure(shape: Shape, value: dict[str, Any], place: str) -> dict[str, Any]:
    parsed = {}
    for name, member in shape.members.items():
        raw = value.get(member.serialization.get("name", name))
        if raw is not None:
            parsed[name] = _parse(member, raw, name)
    return parsed


def _parse_list(shape: Shape, value: list[Any], place: str) -> list[Any]:
    return [_parse(shape.member, member, f"a member of {place}") for member in value]


def _parse_map(shape: Shape, value: dict[str, Any], place: str) -> dict[str, Any]:
    return {
        _parse(shape.key, key, f"a key of {place}"): _parse(shape.value, member, f"{place}.{key}")
        for key, member in value.items()
    }


def _parse_integer(shape: Shape, value: float, place: str) -> int:
    if isinstance(value, float) and not value.is_integer():
        _refuse(value, place, "an Integer")
    if not -(2 ** _INTEGER_BITS[shape.type_name]) <= value < 2 ** _INTEGER_BITS[shape.type_name]:
        _refuse(value, place, "an Integer of this size")
    return int(value)


def _parse_float(shape: Shape, value: float, place: str) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        _refuse(value, place, "a finite Double")
    return number


def _parse_timestamp(shape: Shape, value: str | float, place: str) -> datetime:
    """Read epoch seconds, the protocols' form, or ISO 8601, which botocore's models also know."""
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        _refuse(value, place, "a Timestamp")


def _parse_blob(shape: Shape, value: str, place: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        _refuse(value, place, "a Blob (base64)")


_PARSERS: dict[str, tuple[Any, str, Callable[[Shape, Any, str], Any] | None]] = {
    "structure": (dict, "a structure", _parse_structure),
    "list": (list, "a list", _parse_list),
    "map": (dict, "a map", _parse_map),
    "string": (str, "a String", None),
    "boolean": (bool, "a Boolean", None),
    "integer": ((int, float), "an Integer", _parse_integer),
    "long": ((int, float), "an Integer", _parse_integer),
    "float": ((int, float), "a Double", _parse_float),
    "double": ((int, float), "a Double", _parse_float),
    "timestamp": ((str, int, float), "a Timestamp", _parse_timestamp),
    "blob": (str, "a String", _parse_blob),
}
"""For each type of shape the types of JSON that it takes, its name, and what makes it of them."""


def _refuse(value: Any, place: str, expected: str) -> NoReturn:
    try:
        shown = orjson.dumps(value).decode()[:100]
    except orjson.JSONEncodeError:  # it writes fewer levels than it reads
        shown = "A value of many levels"
    raise SerializationException(f"{shown} can not be converted to {expected} (at {place}).")


def render_result(operation: Operation, result: Mapping[str, Any], request_id: str) -> WireResponse:
    """Return the successful response that carries ``result``.

    Members that the output shape does not know are left out, and so are those that are ``None``:
    the services leave a key out rather than set it to null. Timestamps become epoch seconds with
    milliseconds. An operation without an output shape answers with an empty body.
    """
    body = b""
    if operation.model.output_shape:
        body = orjson.dumps(_renderer(operation)(result))
    return WireResponse(200, _headers(request_id, body, operation.is_control), body)


@cache
def _renderer(operation: Operation) -> Callable[[Any], dict[str, Any]]:
    return _compile_renderer(operation.model.output_shape)


def render_error(error: ServiceError, request_id: str, *, is_control: bool) -> WireResponse:
    """Return the response from which botocore makes its typed exception.

    ``is_control`` says which of the two protocols the client speaks. In json-1.1 every error of
    the caller has status 400, also one of a resource that is not there.
    """
    # A file's name that is not UTF-8 reaches a message as half characters.
    message = error.message.encode("utf-8", "backslashreplace").decode()
    if is_control:
        body = orjson.dumps({"__type": error.code, "message": message})
        status = error.http_status if error.http_status >= 500 else 400
        return WireResponse(status, _headers(request_id, body, is_control), body)
    body = orjson.dumps({"message": message})
    headers = _headers(request_id, body, is_control) | {"x-amzn-ErrorType": error.code}
    return WireResponse(error.http_status, headers, body)


def _headers(request_id: str, body: bytes, is_control: bool) -> dict[str, str]:
    return {
        "x-amzn-RequestId": request_id,
        "Content-Type": JSON_1_1 if is_control else REST_JSON,
        "Content-Length": str(len(body)),
        "Date": _http_date(int(time.time())),
    }


@lru_cache(maxsize=1)
def _http_date(second: int) -> str:
    return formatdate(second, usegmt=True)


def _compile_renderer(shape: Shape) -> Callable[[Any], Any]:
    """Return the function that turns a value into what ``json`` writes for ``shape``."""
    match shape.type_name:
        case "structure":
            return _structure_renderer(shape)
        case "list":
            render_member = _compile_renderer(shape.member)
            return lambda value: [render_member(member) for member in value]
        case "map":
            render_value = _compile_renderer(shape.value)
            return lambda value: {str(key): render_value(value[key]) for key in value}
        case "blob":
            return lambda value: base64.b64encode(value).decode()
        case "string":
            return _string_renderer(shape)
    return _SCALAR_RENDERERS[shape.type_name]


def _structure_renderer(shape: Shape) -> Callable[[Any], dict[str, Any]]:
    members = {
        name: (member.serialization.get("name", name), _compile_renderer(member))
        for name, member in shape.members.items()
    }
    kinds = {
        name: _PLAIN[member.type_name]
        for name, member in shape.members.items()
        if member.type_name in _PLAIN and member.serialization.get("name", name) == name
    }

    def render(value: Mapping[str, Any]) -> dict[str, Any]:
        for name, member in value.items():
            kind = type(member)
            if kind is not kinds.get(name) or (kind is float and member - member != 0.0):
                break  # the last: neither infinite nor NaN
        else:
            return value  # as the members of most lists: nothing has to be turned into anything
        rendered = {}
        for name, member in value.items():
            if member is not None and name in members:
                wire_name, render_member = members[name]
                rendered[wire_name] = render_member(member)
        return rendered

    return render


def _string_renderer(shape: Shape) -> Callable[[Any], str]:
    def render(value: Any) -> str:
        if not isinstance(value, str):
            raise TypeError(f"The result's {shape.name} should be a string, not {value!r}.")
        return value

    return render


def _epoch_seconds(moment: datetime | float) -> float:
    """Return seconds since 1970 with milliseconds; a datetime without a zone counts as UTC."""
    if isinstance(moment, datetime):
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return round(float(moment), 3)


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError(f"The result holds {number}, which is not a JSON number.")
    return float(number)


_PLAIN = {"string": str, "float": float, "double": float, "integer": int, "boolean": bool}
"""Types whose values are written as they are."""
_SCALAR_RENDERERS: dict[str, Callable[[Any], Any]] = {
    "timestamp": _epoch_seconds,
    "integer": int,
    "long": int,
    "float": _finite,
    "double": _finite,
    "boolean": bool,
}
