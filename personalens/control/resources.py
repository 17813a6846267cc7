"""A resource: what the account owns, as one row of the catalogue."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

COLUMNS = "arn, kind, name, parent_arn, status, created_at, updated_at, failure_reason, body"
"""The columns of the table ``resources``, in the order of :class:`Resource`'s attributes."""

DELETE_PENDING, DELETE_IN_PROGRESS = "DELETE PENDING", "DELETE IN_PROGRESS"
DELETION_SECONDS = 1.0
"""How long a deleted resource can still be described. Clean-up code for AWS leaves its loop only
when Describe has answered after the delete, and then no more."""


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

    @property
    def is_being_deleted(self) -> bool:
        """Whether it can be described for a moment still, and nothing else."""
        return self.status in (DELETE_PENDING, DELETE_IN_PROGRESS)


def scope_of(arn: str) -> str:
    """Return "region:account" of an ARN ("" where it is not one).

    >>> scope_of("arn:aws:personalize:us-east-1:123456789012:schema/films")
    'us-east-1:123456789012'
    """
    return ":".join(arn.split(":")[3:5])


def from_row(row: Iterable[Any]) -> Resource | None:
    """Return the resource of a row with :data:`COLUMNS`; None if its deletion is over by now.

    The row of a deleted resource says since when it is being deleted. What follows from that is
    the same for all who look, so no process has to be there to end a deletion.
    """
    *members, body = row
    found = Resource(*members, body=json.loads(body))
    if found.status != DELETE_PENDING:
        return found
    age = time.time() - found.updated_at
    if not 0 <= age < DELETION_SECONDS:  # below 0: the clock was set back
        return None
    # Of a dataset group the service documents DELETE PENDING alone.
    if age < DELETION_SECONDS / 2 or found.kind == "dataset-group":
        return found
    return replace(found, status=DELETE_IN_PROGRESS)
