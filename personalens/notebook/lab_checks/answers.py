"""What several checks ask of an answer or of the service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from personalens.notebook.checks import NotYet

if TYPE_CHECKING:
    from personalens.notebook.lab_session import LabSession


def expect_near(answer: Any, truth: float, *, what: str, tolerance: float = 5e-4) -> None:
    """Raise NotYet unless ``answer`` is a number within ``tolerance`` of the truth."""
    try:
        value = float(answer)
    except (TypeError, ValueError):
        raise NotYet(f"{what} should be a number; this is a {type(answer).__name__}.") from None
    if not abs(value - truth) <= tolerance * max(1.0, abs(truth)):
        raise NotYet(f"{what} is {value:.4g}; that is not it.")


def described(describe: Any, what: str, **request: Any) -> dict[str, Any]:
    """Return a Describe response; NotYet if the service does not know the resource."""
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
