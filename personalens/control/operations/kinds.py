"""The kinds of resources: how each is described, listed and deleted.

Describe, List and Delete are the same for all kinds but for the members that a list shows, the
parent that narrows it, and what stands against a deletion. So they are one table and three
methods; what only one kind has stands with that kind.

Amazon Personalize: the Describe, List and Delete operations. Names follow from the kind's word in
ARNs: of "dataset-group" the operations are DescribeDatasetGroup, ListDatasetGroups and
DeleteDatasetGroup, and the members "datasetGroup", "datasetGroups" and "datasetGroupArn".
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from personalens.service_errors import LimitExceededException, ResourceInUseException
from personalens.storage.resource_states import (
    UNFINISHED,
    is_in_transition,
    require_settled,
    unfinished_update,
)
from personalens.storage.resource_store import Resource, Transaction
from personalens.storage.service_context import ServiceContext


@dataclass(frozen=True)
class Kind:
    """One row of the table.

    Attributes
    ----------
    word
        The kind, such as "dataset-group".
    listed
        Members that its lists show beside the ARN, the name and the times.
    parent
        The member of a List request that names the parent; "" where lists are not narrowed.
    name_key
        What the service calls its name; "" where it has none that lists show.
    used_by
        What stands against its deletion: a kind, and the member in which that names this one.
    only_unfinished
        Whether only those that are not yet done stand against it.
    deleted_with_it
        Kinds of children that go with it.
    """

    word: str
    listed: tuple[str, ...]
    parent: str = ""
    name_key: str = "name"
    used_by: tuple[tuple[str, str], ...] = ()
    only_unfinished: bool = False
    deleted_with_it: tuple[str, ...] = ()

    @property
    def member(self) -> str:
        """The kind as the service spells it in members, such as "datasetGroup"."""
        first, *rest = self.word.split("-")
        return first + "".join(part.capitalize() for part in rest)

    @property
    def members(self) -> str:
        """The member of its lists; that of filters alone has a capital letter."""
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
_OF_VERSION = {"parent": "solutionVersionArn", "name_key": "jobName"}

KINDS = {
    kind.word: kind
    for kind in (
        Kind("schema", ("domain",), used_by=(("dataset", "schemaArn"),)),
        Kind(
            "dataset-group",
            (*_STATE, "domain"),
            used_by=(
                ("dataset", _OF_GROUP),
                ("solution", _OF_GROUP),
                ("recommender", _OF_GROUP),
                ("event-tracker", _OF_GROUP),
            ),
            deleted_with_it=("filter", "metric-attribution"),
        ),
        Kind(
            "dataset",
            ("status", "datasetType"),
            _OF_GROUP,
            deleted_with_it=("dataset-import-job",),
        ),
        Kind("dataset-import-job", (*_STATE, "importMode"), "datasetArn", "jobName"),
        Kind("dataset-export-job", _STATE, "datasetArn", "jobName"),
        Kind("data-deletion-job", (*_STATE, _OF_GROUP), _OF_GROUP, "jobName"),
        Kind("event-tracker", ("status",), _OF_GROUP),
        Kind(
            "filter",
            (*_STATE, _OF_GROUP),
            _OF_GROUP,
            used_by=(("batch-inference-job", "filterArn"), ("batch-segment-job", "filterArn")),
            only_unfinished=True,
        ),
        Kind("metric-attribution", _STATE, _OF_GROUP),
        Kind(
            "solution",
            ("status", "recipeArn"),
            _OF_GROUP,
            deleted_with_it=("solution-version",),
        ),
        Kind(
            "solution-version",
            (*_STATE, "trainingMode", "trainingType"),
            "solutionArn",
            name_key="",
        ),
        Kind("campaign", _STATE),
        Kind("recommender", ("status", _OF_GROUP, "recipeArn", "recommenderConfig"), _OF_GROUP),
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
    """Describe, List and Delete of every kind, as methods named as boto3 names them.

    A class that answers one of them in its own way writes that method.
    """

    context: ServiceContext

    def _describe(self, word: str, arn: str) -> dict[str, Any]:
        """Return the members of a resource."""
        found = self.context.store.require(arn, word)
        if is_in_transition(found) or unfinished_update(found):
            self.context.jobs.wake()  # who waits for it sees to it that its job is worked on
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
        self,
        word: str,
        arn: str,
        prepare: Callable[[Transaction, Resource], None] | None = None,
    ) -> dict[str, Any]:
        """Begin the deletion of a resource.

        Parameters
        ----------
        prepare
            Called in the transaction before: it may refuse, and say what is done after the commit.

        Raises
        ------
        ResourceInUseException
            If it is in transition, or something uses it.
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
            f"The {kind.word.replace('-', ' ')} {found.arn} is used by {', '.join(users)}. {remedy}"
        )


def _operations(kind: Kind) -> dict[str, Callable[..., dict[str, Any]]]:
    """Return the methods that answer for a kind, by name."""
    arn, noun, snake = f"{kind.member}Arn", kind.word.replace("-", " "), kind.word.replace("-", "_")

    def describe(self: KindOperations, **request: str) -> dict[str, Any]:
        return {kind.member: self._describe(kind.word, request[arn])}

    def list_(self: KindOperations, **request: Any) -> dict[str, Any]:
        return self._list(kind.word, **request)

    def delete(self: KindOperations, **request: str) -> dict[str, Any]:
        return self._delete(kind.word, request[arn])

    describe.__doc__ = f"Return a {noun}."
    list_.__doc__ = f"List {noun}s, oldest first{'; of one parent if asked' * bool(kind.parent)}."
    delete.__doc__ = f"Delete a {noun} that nothing uses."
    found = {f"describe_{snake}": describe, f"list_{snake}s": list_}
    # The service deletes no job, and a version only with its solution.
    return found if snake.endswith(("_job", "_version")) else {**found, f"delete_{snake}": delete}


for _kind in KINDS.values():
    for _name, _method in _operations(_kind).items():
        setattr(KindOperations, _name, _method)


# The service's quotas, kept only on request.

QUOTAS_VARIABLE = "PERSONALENS_QUOTAS"

EXISTING = {
    "schema": 500,
    "dataset-group": 5,
    "solution": 10,
    "campaign": 5,
    "recommender": 5,
    "filter": 30,
    "data-deletion-job": 5,
}
"""How many there may be, per region or per parent; of data deletion jobs, that are pending."""

IN_PROGRESS = {
    "dataset-import-job": 5,
    "batch-inference-job": 5,
    "batch-segment-job": 5,
    "solution-version": 20,
}
"""How many may be pending or in progress at once."""


def check_quota(tx: Transaction, kind: str, *, existing: int | None = None) -> None:
    """Refuse one more resource of a kind where the quotas are on and this one is reached.

    Parameters
    ----------
    tx
        The transaction that is about to create it.
    existing
        How many of its kind count already. Default: all in the region.

    Raises
    ------
    LimitExceededException
        If the quota is reached.
    """
    if not _quotas_are_on():
        return
    if kind in EXISTING:
        count = len(tx.list(kind)) if existing is None else existing
        if count >= EXISTING[kind]:
            raise LimitExceededException(
                f"More than {EXISTING[kind]} resources of the kind {kind.replace('-', ' ')}."
                f" Delete one, or unset {QUOTAS_VARIABLE}."
            )
    if kind in IN_PROGRESS and sum(map(is_in_transition, tx.list(kind))) >= IN_PROGRESS[kind]:
        raise LimitExceededException(
            f"More than {IN_PROGRESS[kind]} resources with PENDING or IN_PROGRESS status."
        )


def _quotas_are_on() -> bool:
    mode = os.environ.get(QUOTAS_VARIABLE) or "off"
    if mode not in ("on", "aws", "off"):  # "aws" is what the first release called it
        raise ValueError(f"{QUOTAS_VARIABLE} is {mode!r}; allowed: on, off")
    return mode != "off"
