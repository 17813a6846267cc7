"""The resource store: what the account owns, in the catalogue.

A resource is a row: its ARN, its kind, its parent, its status, and a body of the members that
boto3 shows. A state change is one transaction, so two processes that create the same resource at
once get one winner and one ResourceAlreadyExistsException.

Amazon Personalize: ``status`` of the Describe operations. Its words mix space and underscore.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from personalens.home import Home
from personalens.service_errors import (
    InvalidInputException,
    InvalidNextTokenException,
    ResourceAlreadyExistsException,
    ResourceInUseException,
    ResourceNotFoundException,
)
from personalens.storage.catalogue import Catalogue

SOLUTION, SOLUTION_VERSION = "solution", "solution-version"

ACTIVE, INACTIVE = "ACTIVE", "INACTIVE"
CREATE_PENDING, CREATE_IN_PROGRESS = "CREATE PENDING", "CREATE IN_PROGRESS"
CREATE_FAILED = "CREATE FAILED"
CREATE_STOPPING, CREATE_STOPPED = "CREATE STOPPING", "CREATE STOPPED"
DELETE_PENDING, DELETE_IN_PROGRESS = "DELETE PENDING", "DELETE IN_PROGRESS"
PENDING, IN_PROGRESS, COMPLETED, FAILED = "PENDING", "IN_PROGRESS", "COMPLETED", "FAILED"
"""The states of data deletion jobs, which have words of their own."""

UNFINISHED = (CREATE_PENDING, CREATE_IN_PROGRESS)
_IN_TRANSITION = ("PENDING", "IN_PROGRESS", "STOPPING")

DELETION_SECONDS = 1.0
"""How long a deleted resource can still be described. Clean-up code for AWS leaves its loop only
when Describe has answered after the delete, and then no more."""
MAX_RESULTS = 100

COLUMNS = "arn, kind, name, parent_arn, status, created_at, updated_at, failure_reason, body"
"""The columns of the table ``resources``, in the order of :class:`Resource`'s attributes."""


@dataclass(frozen=True)
class Resource:
    """One resource as it was when it was read."""

    arn: str
    kind: str  # the ARN's first word, such as "dataset-group"
    name: str
    parent_arn: str | None = None  # what it belongs to: a dataset's group; None for the top
    status: str | None = None  # the service's word; None for a schema, which has none
    created_at: float = field(default_factory=time.time)  # seconds since the epoch
    updated_at: float = 0.0
    failure_reason: str | None = None
    # Members by boto3's names; keys that start with "_" are ours and never shown.
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

    The row of a deleted resource says since when it is being deleted. Every reader draws the same
    conclusion from that, so no process has to be there to end a deletion.
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


def solution_of(solution_version_arn: str) -> str:
    """Return the ARN of the solution that a version belongs to.

    >>> solution_of("arn:aws:personalize:us-east-1:123456789012:solution/films/0a1b2c3d")
    'arn:aws:personalize:us-east-1:123456789012:solution/films'
    """
    return solution_version_arn.rpartition("/")[0]


def is_in_transition(resource: Resource) -> bool:
    """Whether it is being made, changed, stopped or deleted.

    >>> is_in_transition(Resource("arn:x", "dataset", "x", status="CREATE IN_PROGRESS"))
    True
    """
    return (resource.status or "").endswith(_IN_TRANSITION)


def new_update(status: str, **members: Any) -> dict[str, Any]:
    """Return the member that describes an update, such as "latestCampaignUpdate", without what is
    None."""
    now = time.time()
    update = {**members, "status": status, "creationDateTime": now, "lastUpdatedDateTime": now}
    return {name: value for name, value in update.items() if value is not None}


def moved_update(
    update: Mapping[str, Any], status: str, reason: str | None = None
) -> dict[str, Any]:
    """Return an update that has got as far as this status."""
    moved = {**update, "status": status, "lastUpdatedDateTime": time.time()}
    return moved if reason is None else {**moved, "failureReason": reason}


def unfinished_update(resource: Resource) -> str | None:
    """Return the member, such as "latestCampaignUpdate", of an update that has not ended; None if
    there is none."""
    updates = (name for name in resource.body if re.fullmatch("latest[A-Z][a-z]+Update", name))
    return next((name for name in updates if resource.body[name]["status"] in UNFINISHED), None)


def require_settled(resource: Resource) -> Resource:
    """Return a resource that may be deleted or changed now."""
    if is_in_transition(resource):
        raise ResourceInUseException(
            f"{resource.arn} is {resource.status}. Wait until that is over, then try again."
        )
    if member := unfinished_update(resource):
        raise ResourceInUseException(
            f"An update of {resource.arn} is under way. Wait until {member}.status is ACTIVE or "
            "CREATE FAILED, then try again."
        )
    return resource


def require_active(resource: Resource) -> Resource:
    """Return a resource that others may be built on."""
    if require_settled(resource).status != ACTIVE:
        reason = f" ({resource.failure_reason})" if resource.failure_reason else ""
        raise InvalidInputException(
            f"{resource.arn} is {resource.status}{reason}, and only what is {ACTIVE} can be used."
        )
    return resource


class ResourceReader:
    """Reads of resources; the store and a transaction share them.

    ``scope`` is "region:account": resources of another region or account are not seen.
    """

    def __init__(self, scope: str | None):
        self._scope = scope

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        raise NotImplementedError
        yield

    def get(self, arn: str) -> Resource | None:
        """Return the resource, or None."""
        if self._scope is not None and scope_of(arn) != self._scope:
            return None
        with self._reading() as connection:
            row = connection.execute(
                f"SELECT {COLUMNS} FROM resources WHERE arn = ?", (arn,)
            ).fetchone()
        return from_row(row) if row else None

    def require(self, arn: str, kind: str | None = None) -> Resource:
        """Return the resource."""
        resource = self.get(arn)
        if resource is not None and kind in (None, resource.kind):
            return resource
        wanted = (kind or "resource").replace("-", " ")
        if resource is not None:
            hint = f" That ARN names a {resource.kind.replace('-', ' ')}."
        elif self._scope is not None and scope_of(arn) != self._scope:
            hint = f" This client sees the region and account {self._scope}."
        else:
            hint = ""
        raise ResourceNotFoundException(f"Could not find {wanted} with ARN {arn}.{hint}")

    def list(
        self,
        kind: str,
        *,
        parent_arn: str | None = None,
        status_in: Iterable[str] | None = None,
        also_deleted: bool = False,
    ) -> list[Resource]:
        """Return all resources of a kind, oldest first; those that are being deleted if asked."""
        condition, values = self._condition(kind, parent_arn)
        if status_in is not None:
            statuses = list(status_in)
            condition += f" AND status IN ({', '.join('?' * len(statuses))})"
            values += statuses
        with self._reading() as connection:
            rows = connection.execute(
                f"SELECT {COLUMNS} FROM resources WHERE {condition} ORDER BY sequence", values
            ).fetchall()
        found = [resource for resource in map(from_row, rows) if resource is not None]
        return found if also_deleted else [each for each in found if not each.is_being_deleted]

    def tags(self, arn: str) -> dict[str, str]:
        """Return a resource's tags, by key in alphabetical order."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT tag_key, tag_value FROM tags WHERE arn = ? ORDER BY tag_key", (arn,)
            ).fetchall()
        return dict(rows)

    def _condition(self, kind: str, parent_arn: str | None) -> tuple[str, list[Any]]:
        condition, values = "kind = ?", [kind]
        if self._scope is not None:
            condition, values = condition + " AND scope = ?", [*values, self._scope]
        if parent_arn is not None:
            condition, values = condition + " AND parent_arn = ?", [*values, parent_arn]
        return condition, values


class Transaction(ResourceReader):
    """One state change: everything inside commits together or not at all.

    ``connection`` is for tables beside the resources (jobs, the event log).
    """

    def __init__(self, connection: sqlite3.Connection, scope: str | None):
        super().__init__(scope)
        self.connection = connection
        self.after_commit: list[Callable[[], None]] = []

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        yield self.connection

    def insert(self, resource: Resource) -> Resource:
        """Add a resource and return it."""
        values = (
            resource.arn,
            resource.kind,
            resource.name,
            resource.parent_arn,
            resource.status,
            resource.created_at,
            resource.updated_at,
            resource.failure_reason,
            json.dumps(resource.body, allow_nan=False),
        )
        try:
            self.connection.execute(
                f"INSERT INTO resources ({COLUMNS}, scope) VALUES (?,?,?,?,?,?,?,?,?,?)",
                (*values, scope_of(resource.arn)),
            )
        except sqlite3.IntegrityError as error:
            raise ResourceAlreadyExistsException(
                f"Another resource with Arn {resource.arn} already exists."
            ) from error
        return resource

    def update(
        self,
        arn: str,
        *,
        status: str | None = None,
        failure_reason: str | None = None,
        **body_members: Any,
    ) -> Resource:
        """Change a resource and return it as it is now; ``updated_at`` moves."""
        before = self.require(arn)
        body = {**before.body, **body_members}
        body = {name: value for name, value in body.items() if value is not None}
        reason = before.failure_reason if failure_reason is None else failure_reason or None
        self.connection.execute(
            "UPDATE resources SET status = ?, failure_reason = ?, body = ?, updated_at = ?"
            " WHERE arn = ?",
            (status or before.status, reason, json.dumps(body, allow_nan=False), time.time(), arn),
        )
        return self.require(arn)

    def begin_deletion(self, arn: str, *, with_kinds: Iterable[str] = ()) -> None:
        """Say that a resource, and what belongs to it of these kinds, is being deleted.

        Its jobs end now. It is gone :data:`DELETION_SECONDS` later; until then its name is taken.
        """
        children = [child.arn for kind in with_kinds for child in self.list(kind, parent_arn=arn)]
        for each in (arn, *children):
            self.connection.execute(
                "UPDATE resources SET status = ?, updated_at = ? WHERE arn = ?",
                (DELETE_PENDING, time.time(), each),
            )
            self.connection.execute("DELETE FROM jobs WHERE arn = ?", (each,))

    def remove_deleted(self) -> None:
        """Remove the rows of resources whose deletion is over."""
        now = time.time()
        self.connection.execute(
            f"DELETE FROM resources WHERE status = '{DELETE_PENDING}'"
            " AND NOT (updated_at BETWEEN ? AND ?)",
            (now - DELETION_SECONDS, now),
        )

    def delete(self, arn: str) -> None:
        """Remove a resource at once, with its tags and its jobs."""
        self.require(arn)
        self.connection.execute("DELETE FROM resources WHERE arn = ?", (arn,))

    def set_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        """Add tags; a key that is there gets the new value."""
        self.connection.executemany(
            "INSERT INTO tags (arn, tag_key, tag_value) VALUES (?, ?, ?)"
            " ON CONFLICT (arn, tag_key) DO UPDATE SET tag_value = excluded.tag_value",
            [(arn, key, value) for key, value in tags.items()],
        )

    def remove_tags(self, arn: str, keys: Iterable[str]) -> None:
        """Remove tags by key; a key that is not there is no error."""
        self.connection.executemany(
            "DELETE FROM tags WHERE arn = ? AND tag_key = ?", [(arn, key) for key in keys]
        )


class ResourceStore(ResourceReader):
    """The resources of one home, safe across threads and processes.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> store = ResourceStore(Home(Path(tempfile.mkdtemp())))
    >>> arn = "arn:aws:personalize:us-east-1:123456789012:schema/films"
    >>> with store.transaction() as tx:
    ...     _ = tx.insert(Resource(arn, "schema", "films", body={"schema": "{}"}))
    >>> store.require(arn).name
    'films'
    """

    def __init__(
        self,
        home: Home,
        *,
        region: str | None = None,
        account: str | None = None,
        catalogue: Catalogue | None = None,
    ):
        super().__init__(None if region is None or account is None else f"{region}:{account}")
        self.catalogue = Catalogue(home) if catalogue is None else catalogue

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self.catalogue.reading() as connection:
            yield connection

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A write transaction; what was put into ``after_commit`` is called once it holds."""
        with self.catalogue.transaction() as connection:
            transaction = Transaction(connection, self._scope)
            transaction.remove_deleted()
            yield transaction
        for callback in transaction.after_commit:
            callback()

    def page(
        self,
        kind: str,
        *,
        parent_arn: str | None = None,
        where: Callable[[Resource], bool] | None = None,
        maxResults: int | None = None,
        nextToken: str | None = None,
    ) -> tuple[list[Resource], str | None]:
        """Return one page of a listing, oldest first, and the token of the next page or None.

        A token says after which row to go on, so resources made or deleted meanwhile neither
        repeat nor hide others.
        """
        size = MAX_RESULTS if maxResults is None else maxResults
        if not 1 <= size <= MAX_RESULTS:
            raise InvalidInputException(f"maxResults must be 1 to {MAX_RESULTS}, not {size}.")
        listing = f"{self._scope}/{kind}/{parent_arn}"
        after = 0 if nextToken is None else read_token(nextToken, listing)
        condition, values = self._condition(kind, parent_arn)
        found: list[tuple[int, Resource]] = []
        with self._reading() as connection:
            rows = connection.execute(
                f"SELECT sequence, {COLUMNS} FROM resources WHERE {condition} AND sequence > ?"
                " ORDER BY sequence",
                [*values, after],
            )
            for sequence, *row in rows:
                resource = from_row(row)
                if resource is not None and (where is None or where(resource)):
                    found.append((sequence, resource))
                if len(found) > size:
                    break
            rows.close()
        token = make_token(found[size - 1][0], listing) if len(found) > size else None
        return [resource for _, resource in found[:size]], token


def make_token(after: int, listing: str) -> str:
    """Return the token that goes on after a row (its sequence number) of a listing. ``listing``
    names what is listed, filters included: a token is good for one listing only."""
    text = f"{after}/{_digest(after, listing)}"
    return base64.urlsafe_b64encode(text.encode()).decode()


def read_token(token: str, listing: str) -> int:
    """Return the row after which a token goes on."""
    try:
        after, digest = base64.b64decode(token, altchars=b"-_", validate=True).decode().split("/")
        if digest == _digest(int(after), listing):
            return int(after)
    except (ValueError, binascii.Error):
        pass
    raise InvalidNextTokenException(
        f"The token {token!r} is not valid for this listing: give the nextToken of the previous"
        " answer with the same other parameters, or leave it out to start at the beginning."
    )


def _digest(after: int, listing: str) -> str:
    return hashlib.blake2b(f"{after}/{listing}".encode(), digest_size=8).hexdigest()
