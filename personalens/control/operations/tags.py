"""Tags of resources.

Amazon Personalize: TagResource, UntagResource, ListTagsForResource, and ``tags`` of the Creates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from personalens.service_errors import (
    InvalidInputException,
    ResourceNotFoundException,
    TooManyTagKeysException,
    TooManyTagsException,
)
from personalens.storage.resource_store import Transaction
from personalens.storage.service_context import ServiceContext

MAX_TAGS = 50
"""Of one resource. The service model lets a request name 200; the guide's limit is what holds."""

_RESERVED_PREFIX = "aws:"


class TagOperations:
    """The three tag operations, on every kind that the account owns."""

    context: ServiceContext

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


def put_tags(tx: Transaction, arn: str, tags: Sequence[dict[str, str]] | None) -> None:
    """Add the tags of a request to a resource, in the transaction that creates or changes it.

    Raises
    ------
    InvalidInputException
        If a key comes twice or starts with ``aws:``, which AWS keeps for itself.
    TooManyTagsException
        If the resource would have more than 50.
    """
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
