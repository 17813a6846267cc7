"""Dataset groups: what everything else belongs to.

Amazon Personalize: CreateDatasetGroup, DescribeDatasetGroup, ListDatasetGroups, DeleteDatasetGroup.
The service makes them asynchronously; here there is nothing to wait for, so a group is ACTIVE at
the first Describe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from personalens.arns import build
from personalens.control.operations.kinds import KindOperations, check_quota
from personalens.control.operations.tags import put_tags
from personalens.service_errors import InvalidInputException
from personalens.storage.resource_states import ACTIVE
from personalens.storage.resource_store import Resource

KIND = "dataset-group"


class DatasetGroupOperations(KindOperations):
    """The dataset group operations of the control plane."""

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
