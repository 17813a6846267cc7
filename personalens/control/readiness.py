"""May a resource be used or deleted in the state that it is in?

Amazon Personalize: ``status`` of the Describe operations. Its words mix space and underscore.
"""

from __future__ import annotations

from personalens.control.resource_store import Resource, ResourceReader
from personalens.service_errors import InvalidInputException, ResourceInUseException

ACTIVE = "ACTIVE"
CREATE_PENDING, CREATE_IN_PROGRESS = "CREATE PENDING", "CREATE IN_PROGRESS"
CREATE_STOPPING, CREATE_STOPPED = "CREATE STOPPING", "CREATE STOPPED"
CREATE_FAILED = "CREATE FAILED"

_IN_TRANSITION = ("PENDING", "IN_PROGRESS", "STOPPING")


def is_in_transition(status: str | None) -> bool:
    """Say whether a status is one that changes by itself.

    >>> [is_in_transition(status) for status in ("CREATE IN_PROGRESS", "ACTIVE", None)]
    [True, False, False]
    """
    return (status or "").endswith(_IN_TRANSITION)


def require_active(reader: ResourceReader, arn: str, kind: str) -> Resource:
    """Return a resource that something is to be built on.

    Raises
    ------
    ResourceNotFoundException
        If there is none of this kind.
    ResourceInUseException
        If it is still on its way to ACTIVE, or being deleted.
    InvalidInputException
        If it will never be ACTIVE.
    """
    resource = reader.require(arn, kind)
    if resource.status == ACTIVE:
        return resource
    refuse_in_transition(resource, f"Wait until it is {ACTIVE}.")
    reason = f" Reason: {resource.failure_reason}" if resource.failure_reason else ""
    raise InvalidInputException(
        f"The {kind.replace('-', ' ')} {arn} is {resource.status}, and only an {ACTIVE} one can be "
        f"used. Create another.{reason}"
    )


def refuse_in_transition(resource: Resource, advice: str = "Wait until it is done.") -> None:
    """Refuse to touch a resource whose state is changing.

    Raises
    ------
    ResourceInUseException
        If it is in transition, with the status it has now.
    """
    if is_in_transition(resource.status):
        raise ResourceInUseException(
            f"The {resource.kind.replace('-', ' ')} {resource.arn} is {resource.status}. {advice}"
        )
