"""The kinds of resources: what all of them have in common.

Describe, List and Delete are the same for all kinds but for the members that a list shows, the
parent that narrows it, and what stands against a deletion. So they are one table and three
methods. Create and Update are written with each kind; what every Create does once its request is
checked is here, and so are tags, which every kind can have.

Amazon Personalize: the Describe, List and Delete operations. Names follow from the kind's word in
ARNs: of "dataset-group" the operations are DescribeDatasetGroup, ListDatasetGroups and
DeleteDatasetGroup, and the members "datasetGroup", "datasetGroups" and "datasetGroupArn".
TagResource, UntagResource and ListTagsForResource. The quotas of the developer guide, on request.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from personalens.arns import build
from personalens.service_errors import (
    InvalidInputException,
    LimitExceededException,
    ResourceInUseException,
    ResourceNotFoundException,
    TooManyTagKeysException,
    TooManyTagsException,
)
from personalens.storage.resource_store import (
    ACTIVE,
    CREATE_IN_PROGRESS,
    CREATE_PENDING,
    CREATE_STOPPING,
    PENDING,
    UNFINISHED,
    Resource,
    Transaction,
    is_in_transition,
    require_settled,
    unfinished_update,
)
from personalens.storage.service_context import ServiceContext

QUOTAS_VARIABLE = "PERSONALENS_QUOTAS"
MAX_TAGS = 50
"""Of one resource. The service model lets a request name 200; the guide's limit is what holds."""
_RESERVED_PREFIX = "aws:"


class Quota(NamedTuple):
    """How many resources of a kind there may be: ``most`` in all, or of those that have the same
    value in the member ``shared``; where there are ``statuses``, only those in one of them count.
    """

    most: int
    shared: str = ""
    statuses: tuple[str, ...] | None = None


_UNDER_WAY = (CREATE_PENDING, CREATE_IN_PROGRESS, CREATE_STOPPING)


@dataclass(frozen=True)
class Kind:
    """One row of the table."""

    word: str  # such as "dataset-group"
    listed: tuple[str, ...]  # what its lists show beside the ARN, the name and the times
    parent: str = ""  # the member that names the parent; "" where there is none
    name_key: str = "name"  # what the service calls its name; "" where lists show none
    quota: Quota | None = None  # how many there may be, if PERSONALENS_QUOTAS is on
    # What stands against its deletion: a kind, and the member in which that names this one.
    used_by: tuple[tuple[str, str], ...] = ()
    only_unfinished: bool = False  # whether only those that are not done yet stand against it
    deleted_with_it: tuple[str, ...] = ()  # kinds of children that go with it

    @property
    def noun(self) -> str:
        """The kind in a sentence, such as "dataset group"."""
        return self.word.replace("-", " ")

    @property
    def member(self) -> str:
        """The kind as the service spells it in members, such as "datasetGroup"."""
        first, *rest = self.word.split("-")
        return first + "".join(part.capitalize() for part in rest)

    @property
    def members(self) -> str:
        """The member of its lists; only that of filters has a capital letter."""
        return "Filters" if self.word == "filter" else f"{self.member}s"

    def describe(self, resource: Resource) -> dict[str, Any]:
        """Return all members of a resource that the service shows; absent ones are left out."""
        members = {
            f"{self.member}Arn": resource.arn,
            self.name_key or "name": resource.name or None,
            "status": resource.status,
            "failureReason": resource.failure_reason,
            "creationDateTime": resource.created_at,
            "lastUpdatedDateTime": resource.updated_at,
        }
        shown = {key: value for key, value in resource.body.items() if not key.startswith("_")}
        return {key: value for key, value in (members | shown).items() if value is not None}

    def summarize(self, resource: Resource) -> dict[str, Any]:
        """Return the members of a resource that lists show."""
        always = {f"{self.member}Arn", self.name_key, "creationDateTime", "lastUpdatedDateTime"}
        shown = {*always, *self.listed}
        return {key: value for key, value in self.describe(resource).items() if key in shown}


_STATE = ("status", "failureReason")
_OF_GROUP = "datasetGroupArn"
_OF_VERSION = {
    "parent": "solutionVersionArn",
    "name_key": "jobName",
    "quota": Quota(5, statuses=_UNDER_WAY),
}

KINDS = {
    kind.word: kind
    for kind in (
        Kind("schema", ("domain",), quota=Quota(500), used_by=(("dataset", "schemaArn"),)),
        Kind(
            "dataset-group",
            (*_STATE, "domain"),
            quota=Quota(5),
            used_by=(
                ("dataset", _OF_GROUP),
                ("solution", _OF_GROUP),
                ("recommender", _OF_GROUP),
                ("event-tracker", _OF_GROUP),
            ),
            deleted_with_it=("filter", "metric-attribution"),
        ),
        Kind(
            "dataset", ("status", "datasetType"), _OF_GROUP, deleted_with_it=("dataset-import-job",)
        ),
        Kind(
            "dataset-import-job",
            (*_STATE, "importMode"),
            "datasetArn",
            "jobName",
            Quota(5, statuses=_UNDER_WAY),
        ),
        Kind("dataset-export-job", _STATE, "datasetArn", "jobName"),
        Kind(
            "data-deletion-job",
            (*_STATE, _OF_GROUP),
            _OF_GROUP,
            "jobName",
            Quota(5, _OF_GROUP, (PENDING,)),
        ),
        Kind("event-tracker", ("status",), _OF_GROUP),
        Kind(
            "filter",
            (*_STATE, _OF_GROUP),
            _OF_GROUP,
            quota=Quota(30, _OF_GROUP),
            used_by=(("batch-inference-job", "filterArn"), ("batch-segment-job", "filterArn")),
            only_unfinished=True,
        ),
        Kind("metric-attribution", _STATE, _OF_GROUP),
        Kind(
            "solution",
            ("status", "recipeArn"),
            _OF_GROUP,
            quota=Quota(10, _OF_GROUP),
            deleted_with_it=("solution-version",),
        ),
        Kind(
            "solution-version",
            (*_STATE, "trainingMode", "trainingType"),
            "solutionArn",
            name_key="",
            quota=Quota(20, statuses=_UNDER_WAY),
        ),
        Kind("campaign", _STATE, quota=Quota(5, "_datasetGroupArn")),
        Kind(
            "recommender",
            ("status", _OF_GROUP, "recipeArn", "recommenderConfig"),
            _OF_GROUP,
            quota=Quota(5, _OF_GROUP),
        ),
        Kind(
            "batch-inference-job",
            (*_STATE, "solutionVersionArn", "batchInferenceJobMode"),
            **_OF_VERSION,
        ),
        Kind("batch-segment-job", (*_STATE, "solutionVersionArn"), **_OF_VERSION),
    )
}
"""Every kind that the account owns."""


class KindOperations:
    """What is the same for every kind: Describe, List, Delete and tags, as methods named as boto3
    names them, and the common part of Create.

    A class that answers one of them in its own way writes that method.
    """

    def __init__(self, context: ServiceContext):
        self.context = context

    def _create(
        self,
        tx: Transaction,
        word: str,
        name: str,
        body: Mapping[str, Any],
        *,
        arn: str | None = None,
        status: str | None = "",
        tags: Sequence[Mapping[str, str]] | None = None,
        job: str | None = None,
        lane: str | None = None,
    ) -> Resource:
        """Make a resource of a checked request: within the quota, with its tags, and with the job
        that works for it, if any. By default it is CREATE PENDING with a job and ACTIVE without.
        Members of ``body`` that are None are left out."""
        context, kind = self.context, KINDS[word]
        if status == "":
            status = ACTIVE if job is None else CREATE_PENDING
        arn = arn or build(word, name, region=context.region, account=context.account)
        body = {key: value for key, value in body.items() if value is not None}
        check_quota(tx, word, body)
        made = tx.insert(Resource(arn, word, name, body.get(kind.parent), status, body=body))
        put_tags(tx, arn, tags)
        if job is not None:
            context.jobs.enqueue(tx, job, arn, lane=lane)
        return made

    def _describe(self, word: str, arn: str) -> dict[str, Any]:
        """Return the members of a resource."""
        found = self.context.store.require(arn, word)
        if is_in_transition(found) or unfinished_update(found):
            self.context.jobs.wake()  # to wait for it is enough to have its job done
        return KINDS[word].describe(found)

    def _list(
        self,
        word: str,
        *,
        where: Callable[[Resource], bool] | None = None,
        nextToken: str | None = None,
        maxResults: int | None = None,
        **parent: str,
    ) -> dict[str, Any]:
        """Return a page of resources, oldest first; those of one parent if asked."""
        kind = KINDS[word]
        found, token = self.context.store.page(
            word,
            parent_arn=parent.get(kind.parent),
            where=where,
            nextToken=nextToken,
            maxResults=maxResults,
        )
        answer: dict[str, Any] = {kind.members: [kind.summarize(each) for each in found]}
        return answer if token is None else {**answer, "nextToken": token}

    def _delete(
        self, word: str, arn: str, prepare: Callable[[Transaction, Resource], None] | None = None
    ) -> dict[str, Any]:
        """Begin the deletion of a resource that nothing uses.

        ``prepare`` is called before, in the same transaction: it may refuse, and say what is to be
        done after the commit.
        """
        kind = KINDS[word]
        with self.context.store.transaction() as tx:
            found = require_settled(tx.require(arn, word))
            _refuse_used(tx, kind, found)
            if prepare is not None:
                prepare(tx, found)
            if found.status is None:  # a schema: the one kind that is gone at once
                tx.delete(arn)
            else:
                tx.begin_deletion(arn, with_kinds=kind.deleted_with_it)
        return {}

    def tag_resource(self, *, resourceArn: str, tags: Sequence[dict[str, str]]) -> dict[str, Any]:
        """Add tags; a key that the resource has already gets the new value."""
        with self.context.store.transaction() as tx:
            tx.require(resourceArn)
            put_tags(tx, resourceArn, tags)
        return {}

    def untag_resource(self, *, resourceArn: str, tagKeys: Sequence[str]) -> dict[str, Any]:
        """Remove tags; keys that are not there are no error."""
        if len(tagKeys) > MAX_TAGS:
            raise TooManyTagKeysException(
                f"{len(tagKeys)} tag keys in one request; at most {MAX_TAGS} are allowed."
            )
        with self.context.store.transaction() as tx:
            tx.require(resourceArn)
            tx.remove_tags(resourceArn, tagKeys)
        return {}

    def list_tags_for_resource(self, *, resourceArn: str) -> dict[str, Any]:
        """Return all tags by key in alphabetical order."""
        if self.context.store.get(resourceArn) is None:
            raise ResourceNotFoundException(f"Could not find resource with ARN {resourceArn}.")
        tags = self.context.store.tags(resourceArn)
        return {"tags": [{"tagKey": key, "tagValue": value} for key, value in tags.items()]}


def _operations(kind: Kind) -> dict[str, Callable[..., dict[str, Any]]]:
    """Return the methods that answer for a kind, by name."""
    arn, snake = f"{kind.member}Arn", kind.word.replace("-", "_")

    def describe(self: KindOperations, **request: str) -> dict[str, Any]:
        return {kind.member: self._describe(kind.word, request[arn])}

    def list_(self: KindOperations, **request: Any) -> dict[str, Any]:
        return self._list(kind.word, **request)

    def delete(self: KindOperations, **request: str) -> dict[str, Any]:
        return self._delete(kind.word, request[arn])

    narrowed = "; of one parent if asked" * bool(kind.parent)
    describe.__doc__ = f"Return a {kind.noun}."
    list_.__doc__ = f"List {kind.noun}s, oldest first{narrowed}."
    delete.__doc__ = f"Delete a {kind.noun} that nothing uses."
    found = {f"describe_{snake}": describe, f"list_{snake}s": list_}
    # The service deletes no job, and a version only with its solution.
    return found if snake.endswith(("_job", "_version")) else {**found, f"delete_{snake}": delete}


for _kind in KINDS.values():
    for _name, _method in _operations(_kind).items():
        setattr(KindOperations, _name, _method)


def _refuse_used(tx: Transaction, kind: Kind, found: Resource) -> None:
    statuses = UNFINISHED if kind.only_unfinished else None
    users = [
        each.arn
        for word, member in kind.used_by
        for each in tx.list(word, status_in=statuses, also_deleted=True)
        if each.body.get(member) == found.arn
    ]
    if users:
        remedy = (
            "Wait until they are done."
            if kind.only_unfinished
            else "Delete these first, and wait until they are gone."
        )
        raise ResourceInUseException(
            f"The {kind.noun} {found.arn} is used by {', '.join(users)}. {remedy}"
        )


def check_quota(tx: Transaction, word: str, body: Mapping[str, Any]) -> None:
    """Refuse one more resource, with this body, where its quota counts and is reached."""
    quota = KINDS[word].quota
    if quota is None or not _quotas_are_on():
        return
    others = tx.list(word, status_in=quota.statuses)
    shared = quota.shared
    if sum(not shared or each.body[shared] == body[shared] for each in others) < quota.most:
        return
    if quota.statuses == _UNDER_WAY:
        raise LimitExceededException(
            f"More than {quota.most} resources with PENDING or IN_PROGRESS status."
        )
    raise LimitExceededException(
        f"More than {quota.most} resources of the kind {KINDS[word].noun}. Delete one, or unset "
        f"{QUOTAS_VARIABLE}."
    )


def _quotas_are_on() -> bool:
    mode = os.environ.get(QUOTAS_VARIABLE) or "off"
    if mode not in ("on", "aws", "off"):  # "aws" is what the first release called it
        raise ValueError(f"{QUOTAS_VARIABLE} is {mode!r}; allowed: on, off")
    return mode != "off"


def put_tags(tx: Transaction, arn: str, tags: Sequence[Mapping[str, str]] | None) -> None:
    """Add the tags of a request to a resource, in the transaction that creates or changes it."""
    new: dict[str, str] = {}
    for tag in tags or ():
        key = tag["tagKey"]
        if key in new:
            raise InvalidInputException(f"The tag key {key!r} is given twice; give each key once.")
        if key.lower().startswith(_RESERVED_PREFIX):
            raise InvalidInputException(
                f"The tag key {key!r} starts with {_RESERVED_PREFIX!r}, which is reserved for AWS."
            )
        new[key] = tag["tagValue"]
    count = len(tx.tags(arn) | new)
    if count > MAX_TAGS:
        raise TooManyTagsException(
            f"{arn} would have {count} tags; at most {MAX_TAGS} are allowed. Remove some first."
        )
    tx.set_tags(arn, new)
