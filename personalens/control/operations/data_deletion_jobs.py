"""Data deletion jobs: users leave a dataset group, its datasets and its models.

Amazon Personalize: CreateDataDeletionJob, DescribeDataDeletionJob, ListDataDeletionJobs: "deletes
all references to specific users from an Amazon Personalize dataset group". The only job that ends
COMPLETED.

What is gone when it has: the users' rows of the Interactions, Users and Action_Interactions
datasets, imported and put; their histories and metadata in every trained model of the group, so
that no campaign, recommender or batch job answers from them, and no segment names them. What the
users have taught a model's shared weights stays until the next training. What earlier jobs have
written elsewhere is not touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from personalens.arns import build
from personalens.control.operations.kinds import KindOperations, check_quota
from personalens.control.operations.tags import put_tags
from personalens.control.work.delete_users import PENDING
from personalens.service_errors import InvalidInputException
from personalens.storage.job_queue import DEFAULT_LANES
from personalens.storage.object_storage import (
    DataLocationError,
    check_location,
    kept_folders,
)
from personalens.storage.resource_states import require_active
from personalens.storage.resource_store import Resource

KIND = "data-deletion-job"


class DeletionJobOperations(KindOperations):
    """The data deletion job operations of the control plane."""

    def create_data_deletion_job(
        self,
        *,
        jobName: str,
        datasetGroupArn: str,
        dataSource: Mapping[str, str],
        roleArn: str,
        tags: Sequence[dict[str, str]] | None = None,
    ) -> dict[str, Any]:
        """Ask for the deletion of the users that CSV files name, one in each row of their only
        column, USER_ID."""
        context = self.context
        arn = build(KIND, jobName, region=context.region, account=context.account)
        if "dataLocation" not in dataSource:
            raise InvalidInputException("dataSource needs a dataLocation: a CSV file of USER_IDs.")
        try:
            check_location(dataSource["dataLocation"])
        except DataLocationError as error:
            raise InvalidInputException(str(error)) from None
        body = {
            "datasetGroupArn": datasetGroupArn,
            "dataSource": dataSource,
            "roleArn": roleArn,
            **kept_folders(),
        }
        with context.store.transaction() as tx:
            require_active(tx.require(datasetGroupArn, "dataset-group"))
            waiting = tx.list(KIND, parent_arn=datasetGroupArn, status_in=[PENDING])
            check_quota(tx, KIND, existing=len(waiting))
            tx.insert(Resource(arn, KIND, jobName, datasetGroupArn, PENDING, body=body))
            put_tags(tx, arn, tags)
            # Never beside a training: that would bring the users back with its model.
            context.jobs.enqueue(tx, KIND, arn, lane=DEFAULT_LANES["train"])
        return {"dataDeletionJobArn": arn}
