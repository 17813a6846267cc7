"""From a stored resource to the members that Describe and List answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from personalens.control.resource_store import Resource


def describe_resource(
    resource: Resource, arn_key: str, *, name_key: str = "name"
) -> dict[str, Any]:
    """Return all members of a resource that the service shows; absent ones are left out.

    Parameters
    ----------
    arn_key, name_key
        What this kind calls its ARN and its name, such as "datasetImportJobArn" and "jobName".

    Examples
    --------
    >>> group = Resource("arn:x", "dataset-group", "films", status="ACTIVE",
    ...                  created_at=1.0, updated_at=2.0, body={"domain": "ECOMMERCE", "_x": 1})
    >>> describe_resource(group, "datasetGroupArn")  # doctest: +NORMALIZE_WHITESPACE
    {'datasetGroupArn': 'arn:x', 'name': 'films', 'status': 'ACTIVE', 'creationDateTime': 1.0,
     'lastUpdatedDateTime': 2.0, 'domain': 'ECOMMERCE'}
    """
    members = {
        arn_key: resource.arn,
        name_key: resource.name,
        "status": resource.status,
        "failureReason": resource.failure_reason,
        "creationDateTime": resource.created_at,
        "lastUpdatedDateTime": resource.updated_at,
    }
    members |= {name: value for name, value in resource.body.items() if not name.startswith("_")}
    return {name: value for name, value in members.items() if value is not None}


def summarize_page(
    page: tuple[list[Resource], str | None],
    list_key: str,
    arn_key: str,
    members: Iterable[str] = (),
    *,
    name_key: str = "name",
) -> dict[str, Any]:
    """Return the answer of a List operation.

    Parameters
    ----------
    page
        What :meth:`ResourceStore.page` gave.
    list_key
        The answer's list, such as "datasetGroups".
    members
        The further members that this kind's summary has.
    """
    resources, token = page
    shown = {arn_key, name_key, "creationDateTime", "lastUpdatedDateTime", *members}
    answer: dict[str, Any] = {
        list_key: [
            {
                name: value
                for name, value in describe_resource(resource, arn_key, name_key=name_key).items()
                if name in shown
            }
            for resource in resources
        ]
    }
    if token is not None:
        answer["nextToken"] = token
    return answer
