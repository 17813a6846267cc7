"""Filters: what a list may hold, said once and named in requests.

Amazon Personalize: CreateFilter, DescribeFilter, ListFilters, DeleteFilter. A filter never changes:
to rotate one, make another and delete the old one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from personalens.arns import build
from personalens.control.datasets import dataset_schema
from personalens.control.descriptions import describe_resource, summarize_page
from personalens.control.quotas import check_quota
from personalens.control.resource_states import ACTIVE, UNFINISHED, require_active
from personalens.control.resource_store import Resource, ResourceReader
from personalens.control.service_context import ServiceContext
from personalens.control.tags import put_tags
from personalens.datasets.avro_schemas import DatasetSchema
from personalens.filters.expressions import FilterError, parse_filter
from personalens.filters.field_rules import MAX_FIELDS_OF_A_GROUP, check_filter
from personalens.service_errors import (
    InvalidInputException,
    LimitExceededException,
    ResourceInUseException,
)

KIND = "filter"
_USERS = ("batch-inference-job", "batch-segment-job")


class FilterOperations:
    """Operations on filters."""

    context: ServiceContext

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

    def describe_filter(self, *, filterArn: str) -> dict[str, Any]:
        """Return a filter with its expression."""
        return {"filter": describe_resource(self.context.describe(filterArn, KIND), "filterArn")}

    def list_filters(
        self,
        *,
        datasetGroupArn: str | None = None,
        nextToken: str | None = None,
        maxResults: int | None = None,
    ) -> dict[str, Any]:
        """List filters, oldest first; of one dataset group if asked. The key has a capital F."""
        found = self.context.store.page(
            KIND, parent_arn=datasetGroupArn, nextToken=nextToken, maxResults=maxResults
        )
        members = ["datasetGroupArn", "failureReason", "status"]
        return summarize_page(found, "Filters", "filterArn", members)

    def delete_filter(self, *, filterArn: str) -> dict[str, Any]:
        """Delete a filter that no unfinished batch job uses."""
        with self.context.store.transaction() as tx:
            tx.require(filterArn, KIND)
            for kind in _USERS:
                for job in tx.list(kind, status_in=UNFINISHED):
                    if job.body.get("filterArn") == filterArn:
                        raise ResourceInUseException(
                            f"The filter {filterArn} is used by {job.arn}, which is {job.status}. "
                            "Wait for its end."
                        )
            tx.delete(filterArn)
        return {}


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
