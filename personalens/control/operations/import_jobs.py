"""Dataset import jobs: CSV files into a dataset.

Amazon Personalize: CreateDatasetImportJob, DescribeDatasetImportJob, ListDatasetImportJobs. Import
jobs cannot be deleted; their records go with their dataset.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from personalens.arns import build
from personalens.control.operations.kinds import KindOperations, check_quota
from personalens.control.operations.tags import put_tags
from personalens.control.work.metric_expressions import attribution_of
from personalens.service_errors import InvalidInputException
from personalens.storage.object_storage import (
    DataLocationError,
    check_reach,
    kept_folders,
)
from personalens.storage.resource_states import (
    ACTIVE,
    CREATE_PENDING,
    UNFINISHED,
    require_active,
)
from personalens.storage.resource_store import Resource, Transaction

KIND = "dataset-import-job"
JOB = "dataset-import"
FULL, INCREMENTAL = "FULL", "INCREMENTAL"


class ImportJobOperations(KindOperations):
    """The import job operations of the control plane."""

    def create_dataset_import_job(
        self,
        *,
        jobName: str,
        datasetArn: str,
        dataSource: dict[str, str],
        roleArn: str | None = None,
        tags: Sequence[dict[str, str]] | None = None,
        importMode: str = FULL,
        publishAttributionMetricsToS3: bool = False,
    ) -> dict[str, Any]:
        """Ask for an import. FULL replaces the rows of earlier imports, INCREMENTAL adds to them.

        The role is kept and shown; S3 is read with the credentials of the environment.
        """
        context = self.context
        arn = build(KIND, jobName, region=context.region, account=context.account)
        if "dataLocation" not in dataSource:
            raise InvalidInputException("dataSource needs a dataLocation: the CSV files to import.")
        body = {
            "datasetArn": datasetArn,
            "dataSource": {"dataLocation": dataSource["dataLocation"]},
            "importMode": importMode,
            "publishAttributionMetricsToS3": publishAttributionMetricsToS3,
        }
        if roleArn is not None:
            body["roleArn"] = roleArn
        try:
            check_reach(dataSource["dataLocation"])
        except DataLocationError as error:
            raise InvalidInputException(str(error)) from None
        body |= kept_folders()
        with context.store.transaction() as tx:
            dataset = require_active(tx.require(datasetArn, "dataset"))
            if publishAttributionMetricsToS3:
                _require_attribution(tx, dataset)
            if importMode == INCREMENTAL:
                _require_full_import(tx, datasetArn)
            check_quota(tx, KIND)
            tx.insert(Resource(arn, KIND, jobName, datasetArn, CREATE_PENDING, body=body))
            put_tags(tx, arn, tags)
            context.jobs.enqueue(tx, JOB, arn, lane=datasetArn)
        return {"datasetImportJobArn": arn}


def _require_attribution(tx: Transaction, dataset: Resource) -> None:
    if attribution_of(tx, dataset.body["datasetGroupArn"]) is None:
        raise InvalidInputException(
            "publishAttributionMetricsToS3 needs a metric attribution with an s3DataDestination in "
            "the dataset group: make one with CreateMetricAttribution, or leave it out."
        )


def _require_full_import(tx: Transaction, dataset_arn: str) -> None:
    jobs = tx.list(KIND, parent_arn=dataset_arn, status_in=(ACTIVE, *UNFINISHED))
    if not any(job.body["importMode"] == FULL for job in jobs):
        raise InvalidInputException(
            f"Dataset {dataset_arn} has no FULL import yet, and INCREMENTAL adds to one. Import"
            " with importMode='FULL' first."
        )
