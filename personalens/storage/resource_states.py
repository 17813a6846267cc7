"""The states that resources pass through, and who may use them in which.

Amazon Personalize: ``status`` of the Describe operations. Its words mix space and underscore.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from personalens.arns import event_tracker_arn
from personalens.service_errors import (
    InvalidInputException,
    ResourceInUseException,
)
from personalens.storage.resource_store import Resource
from personalens.storage.service_context import ServiceContext

ACTIVE, INACTIVE = "ACTIVE", "INACTIVE"
CREATE_PENDING = "CREATE PENDING"
CREATE_IN_PROGRESS = "CREATE IN_PROGRESS"
CREATE_FAILED = "CREATE FAILED"

UNFINISHED = (CREATE_PENDING, CREATE_IN_PROGRESS)
_IN_TRANSITION = ("PENDING", "IN_PROGRESS", "STOPPING")


def is_in_transition(resource: Resource) -> bool:
    """Whether it is being made, changed, stopped or deleted.

    >>> is_in_transition(Resource("arn:x", "dataset", "x", status="CREATE IN_PROGRESS"))
    True
    """
    return (resource.status or "").endswith(_IN_TRANSITION)


def new_update(status: str, **members: Any) -> dict[str, Any]:
    """Return the member that tells of an update, such as "latestCampaignUpdate"; None is left
    out."""
    now = time.time()
    told = {**members, "status": status, "creationDateTime": now, "lastUpdatedDateTime": now}
    return {name: value for name, value in told.items() if value is not None}


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
    """Return a resource that may be deleted or changed now.

    Raises
    ------
    ResourceInUseException
        If it is in transition or being updated.
    """
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
    """Return a resource that others may be built on.

    Raises
    ------
    ResourceInUseException
        If it is in transition.
    InvalidInputException
        If it has failed or was stopped.
    """
    if require_settled(resource).status != ACTIVE:
        reason = f" ({resource.failure_reason})" if resource.failure_reason else ""
        raise InvalidInputException(
            f"{resource.arn} is {resource.status}{reason}, and only what is {ACTIVE} can be used."
        )
    return resource


SOLUTION, SOLUTION_VERSION = "solution", "solution-version"


CREATE_STOPPING, CREATE_STOPPED = "CREATE STOPPING", "CREATE STOPPED"


def solution_of(solution_version_arn: str) -> str:
    """Return the ARN of the solution that a version belongs to.

    >>> solution_of("arn:aws:personalize:us-east-1:123456789012:solution/films/0a1b2c3d")
    'arn:aws:personalize:us-east-1:123456789012:solution/films'
    """
    return solution_version_arn.rpartition("/")[0]


def find_tracker(context: ServiceContext, tracking_id: str) -> Resource | None:
    """Return the tracker of a tracking id; None if there is none, or it is being deleted."""
    found = context.store.get(tracker_arn(context, tracking_id))
    if found is None or found.is_being_deleted or found.body["trackingId"] != tracking_id:
        return None
    return found


def tracker_arn(context: ServiceContext, tracking_id: str) -> str:
    # The ARN's eight digits are the tracking id's first, so that PutEvents finds it by its key.
    return event_tracker_arn(tracking_id[:8], region=context.region, account=context.account)
