"""Filters: what a list may hold, said once and named in requests.

Amazon Personalize: CreateFilter, DescribeFilter, ListFilters, DeleteFilter. A filter never changes:
to rotate one, make another and delete the old one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from personalens.control.operations.kinds import KindOperations
from personalens.service_errors import LimitExceededException, as_invalid_input
from personalens.storage.datasets import group_schemas
from personalens.storage.resource_store import Resource, require_active

FILTER = "filter"
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
        """Check an expression against the group's schemas and keep it; it is ACTIVE at once. The
        filters of a group may name twenty different fields together."""
        # here, as below: lark loads with them, which a process that makes no filter can spare
        from personalens.filters.expressions import FilterError, parse_filter
        from personalens.filters.field_rules import check_filter

        with as_invalid_input(FilterError):
            asked = parse_filter(filterExpression)
        body = {
            "datasetGroupArn": datasetGroupArn,
            "filterExpression": filterExpression,
            _FIELDS: _named_fields(filterExpression),
        }
        for other in self.context.store.list(FILTER, parent_arn=datasetGroupArn):
            _kept_fields(other)  # of a filter of an older home, read before anybody has to wait
        with self.context.store.transaction() as tx:
            require_active(tx.require(datasetGroupArn, "dataset-group"))
            with as_invalid_input(FilterError):
                check_filter(asked, group_schemas(tx, datasetGroupArn))
            others = tx.list(FILTER, parent_arn=datasetGroupArn)
            _check_fields([body[_FIELDS], *map(_kept_fields, others)])
            made = self._create(tx, FILTER, name, body, tags=tags)
        return {"filterArn": made.arn}


def _named_fields(expression: str) -> list[str]:
    from personalens.filters.expressions import parse_filter

    return sorted({str(each.field).upper() for each in parse_filter(expression).conditions})


def _kept_fields(resource: Resource) -> list[str]:
    """Return the fields that a filter names; one made by an older version has no list of them."""
    kept = resource.body.get(_FIELDS)
    return _named_fields(resource.body["filterExpression"]) if kept is None else kept


def _check_fields(named: Iterable[list[str]]) -> None:
    from personalens.filters.field_rules import MAX_FIELDS_OF_A_GROUP

    fields = {field for fields in named for field in fields}
    if len(fields) > MAX_FIELDS_OF_A_GROUP:
        raise LimitExceededException(
            f"The filters of a dataset group may name {MAX_FIELDS_OF_A_GROUP} different fields "
            f"together; with this one they name {len(fields)}. Delete a filter."
        )
