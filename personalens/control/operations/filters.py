"""Filters: what a list may hold, said once and named in requests.

Amazon Personalize: CreateFilter, DescribeFilter, ListFilters, DeleteFilter. A filter never changes:
to rotate one, make another and delete the old one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from personalens.arns import build
from personalens.control.operations.kinds import KindOperations, check_quota
from personalens.control.operations.tags import put_tags
from personalens.filters.expressions import Filter, FilterError, parse_filter
from personalens.filters.field_rules import MAX_FIELDS_OF_A_GROUP, check_filter
from personalens.service_errors import (
    InvalidInputException,
    LimitExceededException,
)
from personalens.storage.dataset_rows import group_schemas
from personalens.storage.resource_states import ACTIVE, require_active
from personalens.storage.resource_store import Resource

KIND = "filter"
_FIELDS = "_fields"
"""Member of a filter: the fields that it names, so that nobody parses it again to count them."""


class FilterOperations(KindOperations):
    """Operations on filters."""

    def create_filter(
        self,
        *,
        name: str,
        datasetGroupArn: str,
        filterExpression: str,
        tags: Sequence[dict[str, str]] | None = None,
    ) -> dict[str, Any]:
        """Check an expression against the group's schemas and keep it; it is ACTIVE at once.

        Raises
        ------
        InvalidInputException
            If the expression cannot be read, with the column, or asks for what cannot be filtered
            by, with the field.
        LimitExceededException
            If the filters of the group would name more than twenty fields.
        """
        arn = build(KIND, name, region=self.context.region, account=self.context.account)
        try:
            asked = parse_filter(filterExpression)
        except FilterError as error:
            raise InvalidInputException(str(error)) from None
        body = {
            "datasetGroupArn": datasetGroupArn,
            "filterExpression": filterExpression,
            _FIELDS: _fields_of(asked),
        }
        for other in self.context.store.list(KIND, parent_arn=datasetGroupArn):
            _kept_fields(other)  # of a filter of an older home, read before anybody has to wait
        with self.context.store.transaction() as tx:
            require_active(tx.require(datasetGroupArn, "dataset-group"))
            try:
                check_filter(asked, group_schemas(tx, datasetGroupArn))
            except FilterError as error:
                raise InvalidInputException(str(error)) from None
            others = tx.list(KIND, parent_arn=datasetGroupArn)
            check_quota(tx, KIND, existing=len(others))
            _check_fields([body[_FIELDS], *map(_kept_fields, others)])
            tx.insert(Resource(arn, KIND, name, datasetGroupArn, ACTIVE, body=body))
            put_tags(tx, arn, tags)
        return {"filterArn": arn}


def _fields_of(asked: Filter) -> list[str]:
    return sorted({str(condition.field).upper() for condition in asked.conditions})


def _kept_fields(resource: Resource) -> list[str]:
    """Return the fields that a filter names; one made by an older version has no list of them."""
    kept = resource.body.get(_FIELDS)
    return _fields_of(parse_filter(resource.body["filterExpression"])) if kept is None else kept


def _check_fields(named: Iterable[list[str]]) -> None:
    fields = {field for fields in named for field in fields}
    if len(fields) > MAX_FIELDS_OF_A_GROUP:
        raise LimitExceededException(
            f"The filters of a dataset group may name {MAX_FIELDS_OF_A_GROUP} different fields "
            f"together; with this one they name {len(fields)}. Delete a filter."
        )
