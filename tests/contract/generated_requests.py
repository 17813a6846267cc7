"""Requests made up from the service models: mostly plausible, each part sometimes wrong."""

from __future__ import annotations

import json
from typing import Any

from botocore.model import Shape
from hypothesis import strategies as st

from personalens.aws.service_models import CONTROL, SERVICES, Operation, operations
from tests.contract.account import Account, schema_text, valid_requests
from tests.contract.violations import NONSENSE, SAMPLES

_ALL = [o for service in SERVICES for o in operations(service).values()]
OPERATIONS = [o for o in _ALL for _ in range(1 if o.name.startswith("Delete") else 5)]
"""Those that take something away come seldom, so that something is left."""
_NUMBERS = st.sampled_from([0, 1, 2, 10, 0.5, -1, 25, 500, 501, 1e308, 2**31, 2**70, float("nan")])
_ODDITIES = st.sampled_from(["", " ", NONSENSE, "x" * 300, "\ud800", "../../etc/passwd", "$LATEST"])
_OF_ANOTHER_TYPE = st.sampled_from([None, True, 7, 1.5, "seven", [], {}, [None], {"a": None}])
_RARELY = 60
"""One part in so many is of another type than the model says."""


class RequestMaker:
    """Makes requests that name what an account owns.

    Parameters
    ----------
    account
        Whose ARNs and files are named; a valid request is where half of the made-up ones begin.
    """

    def __init__(self, account: Account):
        self._valid = valid_requests(account)
        owned = [arn for arn in account.arns.values() if arn.startswith("arn:")]
        foreign = [
            owned[0].replace("us-east-1", "eu-west-1"),
            owned[0].replace("123456789012", "210987654321"),
            owned[0] + "/../" + "x" * 20,
        ]
        texts = [*account.arns.values(), *foreign, *SAMPLES, schema_text("Users"), "film-1"]
        texts += ["viewer-1", '{"genres": "noir"}', f"{account.folder}/users.jsonl"]
        texts += [f"{account.folder}/made/", f"{account.folder}/../made/"]
        self._texts = st.sampled_from(texts)
        self._arns = st.sampled_from([*owned, *foreign])

    def requests(self) -> st.SearchStrategy[tuple[Operation, bytes]]:
        """Make (operation, body)."""
        return st.sampled_from(OPERATIONS).flatmap(self._request_of)

    def _request_of(self, operation: Operation) -> st.SearchStrategy[tuple[Operation, bytes]]:
        shape, valid = operation.model.input_shape, self._valid[operation.name]
        made = self._structure(shape)
        changes = [self._value(m).map(lambda v, n=n: {n: v}) for n, m in shape.members.items()]
        changed = st.one_of(st.just({}), *changes).map(lambda change: valid | change)
        members = st.one_of(changed, changed, changed, made)
        bodies = members.map(_to_json)
        noise = st.tuples(bodies, st.binary(max_size=4), st.integers(0, 50)).map(_spoil)
        spoilt = st.one_of(noise, _OF_ANOTHER_TYPE.map(_to_json))
        either = st.integers(1, 10).flatmap(lambda die: spoilt if die == 1 else bodies)
        return st.tuples(st.just(operation), either)

    def _structure(self, shape: Shape) -> st.SearchStrategy[dict[str, Any]]:
        members = {name: self._value(member) for name, member in shape.members.items()}
        required = {name: members.pop(name) for name in shape.required_members}
        return st.fixed_dictionaries(required, optional=members)

    def _value(self, shape: Shape) -> st.SearchStrategy[Any]:
        wrong = st.integers(1, _RARELY).flatmap(
            lambda die: _OF_ANOTHER_TYPE if die == 1 else self._right_value(shape)
        )
        return st.deferred(lambda: wrong)

    def _right_value(self, shape: Shape) -> st.SearchStrategy[Any]:
        match shape.type_name:
            case "structure":
                return self._structure(shape)
            case "list":
                most = min(12, shape.metadata.get("max", 3) + 1)
                return st.lists(self._value(shape.member), max_size=most)
            case "map":
                keys = self._right_value(shape.key).filter(lambda key: isinstance(key, str))
                return st.dictionaries(keys, self._value(shape.value), max_size=3)
            case "boolean":
                return st.booleans()
            case "string":
                if shape.name == "Name":
                    return st.text("abc", min_size=1, max_size=3)
                if shape.enum:
                    return st.one_of(st.sampled_from(shape.enum), _ODDITIES)
                likely = self._arns if "arn" in shape.name.lower() else self._texts
                return st.one_of(likely, likely, likely, st.text(max_size=8), _ODDITIES)
            case _:
                return _NUMBERS


def headers(operation: Operation) -> dict[str, str]:
    """Return what makes a body a request for an operation."""
    if operation.service == CONTROL:
        target = f"{operation.model.service_model.metadata['targetPrefix']}.{operation.name}"
        return {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target}
    return {"Content-Type": "application/json"}


def _to_json(members: Any) -> bytes:
    return json.dumps(members).encode()  # NaN and halves of surrogate pairs are written as they are


def _spoil(parts: tuple[bytes, bytes, int]) -> bytes:
    body, noise, place = parts
    return body[:place] + noise + body[place:]
