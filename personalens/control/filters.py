"""Filters: what a list may hold, said once and named in requests.

Amazon Personalize: CreateFilter, DescribeFilter, ListFilters, DeleteFilter. A filter never changes:
to rotate one, make another and delete the old one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from personalens.arns import build
from personalens.control.datasets import dataset_schema
from personalens.control.kinds import KindOperations
from personalens.control.quotas import check_quota
from personalens.control.resource_states import ACTIVE, require_active
from personalens.control.resource_store import Resource, ResourceReader
from personalens.control.tags import put_tags
from personalens.datasets.avro_schemas import DatasetSchema
from personalens.filters.expressions import FilterError, parse_filter
from personalens.filters.field_rules import MAX_FIELDS_OF_A_GROUP, check_filter
from personalens.service_errors import (
    InvalidInputException,
    LimitExceededException,
)

KIND = "filter"


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
        with self.context.store.transaction() as tx:
            require_active(tx.require(datasetGroupArn, "dataset-group"))
            try:
                asked = parse_filter(filterExpression)
                check_filter(asked, group_schemas(tx, datasetGroupArn))
            except FilterError as error:
                raise InvalidInputException(str(error)) from None
            others = tx.list(KIND, parent_arn=datasetGroupArn)
            check_quota(tx, KIND, existing=len(others))
            _check_fields([filterExpression, *(f.body["filterExpression"] for f in others)])
            body = {"datasetGroupArn": datasetGroupArn, "filterExpression": filterExpression}
            tx.insert(Resource(arn, KIND, name, datasetGroupArn, ACTIVE, body=body))
            put_tags(tx, arn, tags)
        return {"filterArn": arn}


def group_schemas(reader: ResourceReader, dataset_group_arn: str) -> dict[str, DatasetSchema]:
    """Return the schemas of a group's datasets, by "Interactions", "Items" and so on."""
    found = {}
    for dataset in reader.list("dataset", parent_arn=dataset_group_arn):
        parsed = dataset_schema(reader, dataset)
        found[parsed.dataset_type] = parsed
    return found


def _check_fields(expressions: list[str]) -> None:
    fields = {
        (condition.field.dataset, condition.field.field.upper())
        for expression in expressions
        for condition in parse_filter(expression).conditions
    }
    if len(fields) > MAX_FIELDS_OF_A_GROUP:
        raise LimitExceededException(
            f"The filters of a dataset group may name {MAX_FIELDS_OF_A_GROUP} different fields "
            f"together; with this one they name {len(fields)}. Delete a filter."
        )
