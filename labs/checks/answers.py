"""What several checks ask of an answer or of the service."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from botocore.exceptions import ClientError

from personalens.notebook.checks import NotYet, kind_of

if TYPE_CHECKING:
    from personalens.notebook.lab_session import LabSession


def expect_near(answer: Any, truth: float, *, what: str, tolerance: float = 5e-4) -> None:
    """Raise NotYet unless ``answer`` is a number within ``tolerance`` of the truth.

    However small the truth is, nothing is not near to it.
    """
    value = as_number(answer, what)
    allowed = tolerance * max(1.0, abs(truth))
    if truth:
        allowed = min(allowed, abs(truth) / 2)
    if not abs(value - truth) <= allowed:
        raise NotYet(f"{what} is {value:.4g}; that is not it.")


def as_number(answer: Any, what: str) -> float:
    """Return a number of any type, be it in an array of one; NotYet for everything else.

    True and False are no numbers here.
    """
    value = answer
    if hasattr(answer, "item"):
        with contextlib.suppress(ValueError, RuntimeError):  # it holds several
            value = answer.item()
    if isinstance(value, bool) or not isinstance(value, (Real, Decimal)):
        raise NotYet(f"{what} should be a number; this is {kind_of(answer)}.")
    return float(value)


def as_list(answer: Any, what: str) -> list[Any]:
    """Return the values of a list or whatever else has an order: a tuple, an array, a column."""
    is_ordered = hasattr(answer, "__len__") and hasattr(answer, "__getitem__")
    if not is_ordered or isinstance(answer, (str, bytes, Mapping, pd.DataFrame)):
        raise NotYet(f"{what} should be a list; this is {kind_of(answer)}.")
    return list(answer)


def as_texts(answer: Any, what: str) -> list[str]:
    """Return a list of texts. An identifier may be a whole number, too: 258 is "258"."""
    values = as_list(answer, what)
    for value in values:
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (str, int, np.integer)):
            raise NotYet(f"{what} should hold text; there is {kind_of(value)} in it.")
    return [str(value).strip() for value in values]


def as_films(lab: LabSession, answer: Any, what: str) -> list[str]:
    """Return the ITEM_IDs of a list of different films that there are."""
    films = as_texts(answer, what)
    if not films:
        raise NotYet(f"{what} is empty.")
    if unknown := set(films) - set(lab.data.items["ITEM_ID"]):
        raise NotYet(f"{what} holds {sorted(unknown)[0]}, which is no film's ITEM_ID.")
    if len(set(films)) < len(films):
        raise NotYet(f"{what} holds a film twice.")
    return films


def all_different(arns: Sequence[Any], what: str, *, at_least: int) -> Sequence[Any]:
    """Return ``arns``; NotYet if one is there twice, or one is missing."""
    if len({str(arn) for arn in arns}) < max(at_least, len(arns)):
        raise NotYet(f"give {at_least} different {what}.")
    return arns


def described(describe: Callable[..., dict[str, Any]], what: str, **request: Any) -> dict[str, Any]:
    """Return a Describe response; NotYet if the service does not know the resource."""
    for arn in request.values():
        if not isinstance(arn, str):
            raise NotYet(f"the ARN of the {what} should be text; this is {kind_of(arn)}.")
        if not arn.startswith("arn:"):
            raise NotYet(f"{arn!r} is not the ARN of a {what}: it should begin with arn:aws.")
    try:
        return describe(**request)
    except ClientError as error:
        message = error.response["Error"]["Message"]
        raise NotYet(f"the service does not know this {what}: {message}") from None


def schema_fields(lab: LabSession, schema_arn: str) -> dict[str, Any]:
    schema = described(lab.client.describe_schema, "schema", schemaArn=schema_arn)["schema"]
    return {field["name"]: field for field in json.loads(schema["schema"])["fields"]}


def require_active(resource: dict[str, Any], what: str) -> None:
    if resource["status"] != "ACTIVE":
        raise NotYet(f"{what} is {resource['status']}, not ACTIVE.")
