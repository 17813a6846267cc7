"""A resource: what the account owns, as one row of the catalogue."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

COLUMNS = "arn, kind, name, parent_arn, status, created_at, updated_at, failure_reason, body"
"""The columns of the table ``resources``, in the order of :class:`Resource`'s attributes."""


@dataclass(frozen=True)
class Resource:
    """One resource as it was when it was read.

    Attributes
    ----------
    arn, kind, name
        ``kind`` is the ARN's first word, such as "dataset-group".
    parent_arn
        What it belongs to: a dataset's group, an import job's dataset; None for the top.
    status
        The service's word, such as "CREATE IN_PROGRESS"; None for a schema, which has none.
    created_at, updated_at
        Seconds since the epoch; default: now, and the same.
    failure_reason
        Why it failed, for the learner.
    body
        Members by boto3's names (camelCase); keys that start with "_" are ours and never shown.
    """

    arn: str
    kind: str
    name: str
    parent_arn: str | None = None
    status: str | None = None
    created_at: float = field(default_factory=time.time)
    updated_at: float = 0.0
    failure_reason: str | None = None
    body: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.updated_at:
            object.__setattr__(self, "updated_at", self.created_at)


def scope_of(arn: str) -> str:
    """Return "region:account" of an ARN ("" where it is not one).

    >>> scope_of("arn:aws:personalize:us-east-1:123456789012:schema/films")
    'us-east-1:123456789012'
    """
    return ":".join(arn.split(":")[3:5])


def from_row(row: Iterable[Any]) -> Resource:
    """Return the resource of a row with :data:`COLUMNS`."""
    *members, body = row
    return Resource(*members, body=json.loads(body))
