"""Dataset groups: what everything else belongs to.

Amazon Personalize: CreateDatasetGroup, DescribeDatasetGroup, ListDatasetGroups, DeleteDatasetGroup.
The service makes and deletes them asynchronously; here there is nothing to wait for, so a group is
ACTIVE at the first Describe, and gone at the first Describe after its deletion.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from personalens.arns import build
from personalens.control.descriptions import describe_resource, summarize_page
from personalens.control.quotas import check_quota
from personalens.control.resource_states import ACTIVE, require_settled
from personalens.control.resource_store import Resource
from personalens.control.service_context import ServiceContext
from personalens.control.tags import put_tags
from personalens.service_errors import InvalidInputException, ResourceInUseException

KIND = "dataset-group"

DELETE_BLOCKERS = ("dataset", "solution", "recommender", "event-tracker")
"""Kinds that must be deleted before their group."""
DELETED_WITH_IT = ("filter", "metric-attribution")


class DatasetGroupOperations:
    """The dataset group operations of the control plane."""

    context: ServiceContext

    def create_dataset_group(
        self,
        *,
        name: str,
        roleArn: str | None = None,
        kmsKeyArn: str | None = None,
        domain: str | None = None,
        tags: Sequence[dict[str, str]] | None = None,
    ) -> dict[str, Any]:
        """Make an empty group; with ``domain`` its datasets follow that domain's rules.

        The role and the key are kept and shown; nothing is encrypted with them.
        """
        if (roleArn is None) != (kmsKeyArn is None):
            given, missing = ("roleArn", "kmsKeyArn") if roleArn else ("kmsKeyArn", "roleArn")
            raise InvalidInputException(
                f"{given} was given without {missing}. A key is used through a role: give both, or"
                " neither."
            )
        arn = build(KIND, name, region=self.context.region, account=self.context.account)
        members = {"roleArn": roleArn, "kmsKeyArn": kmsKeyArn, "domain": domain}
        body = {key: value for key, value in members.items() if value is not None}
        with self.context.store.transaction() as tx:
            check_quota(tx, KIND)
            tx.insert(Resource(arn, KIND, name, status=ACTIVE, body=body))
            put_tags(tx, arn, tags)
        answer = {"datasetGroupArn": arn}
        return answer if domain is None else {**answer, "domain": domain}

    def describe_dataset_group(self, *, datasetGroupArn: str) -> dict[str, Any]:
        """Return a group."""
        resource = self.context.describe(datasetGroupArn, KIND)
        return {"datasetGroup": describe_resource(resource, "datasetGroupArn")}

    def list_dataset_groups(
        self, *, nextToken: str | None = None, maxResults: int | None = None
    ) -> dict[str, Any]:
        """List the groups of the region, oldest first."""
        page = self.context.store.page(KIND, nextToken=nextToken, maxResults=maxResults)
        members = ["status", "failureReason", "domain"]
        return summarize_page(page, "datasetGroups", "datasetGroupArn", members)

    def delete_dataset_group(self, *, datasetGroupArn: str) -> dict[str, Any]:
        """Delete a group of which no :data:`DELETE_BLOCKERS` are left."""
        with self.context.store.transaction() as tx:
            require_settled(tx.require(datasetGroupArn, KIND))
            left = [
                resource.arn
                for kind in DELETE_BLOCKERS
                for resource in tx.list(kind)
                if resource.body.get("datasetGroupArn") == datasetGroupArn
            ]
            if left:
                raise ResourceInUseException(
                    f"Dataset group {datasetGroupArn} still has {', '.join(left)}. Delete these"
                    " first."
                )
            for kind in DELETED_WITH_IT:
                for each in tx.list(kind, parent_arn=datasetGroupArn):
                    tx.delete(each.arn)
            tx.delete(datasetGroupArn)
        return {}
