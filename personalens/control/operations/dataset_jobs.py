"""Jobs on datasets: CSV files into a dataset, its rows out again, and users out of a whole group.

Amazon Personalize: Create-, Describe- and List- of DatasetImportJob, DatasetExportJob and
DataDeletionJob. Jobs cannot be deleted; the records of imports go with their dataset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from personalens.control.operations.kinds import KindOperations
from personalens.control.work.metric_expressions import attribution_of
from personalens.jobs.output_folders import check_output
from personalens.service_errors import InvalidInputException, as_invalid_input
from personalens.storage.job_queue import DEFAULT_LANES
from personalens.storage.object_storage import (
    DataLocationError,
    check_location,
    check_reach,
    kept_folders,
)
from personalens.storage.resource_store import (
    ACTIVE,
    PENDING,
    UNFINISHED,
    Resource,
    Transaction,
    require_active,
)

IMPORT_JOB, IMPORT = "dataset-import-job", "dataset-import"
EXPORT_JOB, DELETION_JOB = "dataset-export-job", "data-deletion-job"
FULL, INCREMENTAL = "FULL", "INCREMENTAL"
NEVER_EXPORTED = ("ACTIONS", "ACTION_INTERACTIONS")


class ImportJobOperations(KindOperations):
    """Dataset import jobs."""

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
        if "dataLocation" not in dataSource:
            raise InvalidInputException("dataSource needs a dataLocation: the CSV files to import.")
        with as_invalid_input(DataLocationError):
            check_reach(dataSource["dataLocation"])
        body = {
            "datasetArn": datasetArn,
            "dataSource": {"dataLocation": dataSource["dataLocation"]},
            "importMode": importMode,
            "publishAttributionMetricsToS3": publishAttributionMetricsToS3,
            "roleArn": roleArn,
            **kept_folders(),
        }
        with self.context.store.transaction() as tx:
            dataset = require_active(tx.require(datasetArn, "dataset"))
            if publishAttributionMetricsToS3:
                _require_attribution(tx, dataset)
            if importMode == INCREMENTAL:
                _require_full_import(tx, datasetArn)
            made = self._create(
                tx, IMPORT_JOB, jobName, body, tags=tags, job=IMPORT, lane=datasetArn
            )
        return {"datasetImportJobArn": made.arn}


class ExportJobOperations(KindOperations):
    """Dataset export jobs: the rows of a dataset as a CSV file that can be imported again. How the
    service names its files is not documented; here it is one, ``<job name>.csv``."""

    def create_dataset_export_job(
        self,
        *,
        jobName: str,
        datasetArn: str,
        roleArn: str,
        jobOutput: Mapping[str, Any],
        ingestionMode: str = "PUT",
        tags: Sequence[dict[str, str]] | None = None,
    ) -> dict[str, Any]:
        """Ask for an export of what was imported (BULK), put one by one (PUT), or both (ALL).

        Datasets of actions are not exported; the service does not do it either.
        """
        with as_invalid_input(DataLocationError):
            check_output(jobOutput["s3DataDestination"]["path"], self.context.home)
        body = {
            "datasetArn": datasetArn,
            "ingestionMode": ingestionMode,
            "roleArn": roleArn,
            "jobOutput": jobOutput,
            **kept_folders(),
        }
        with self.context.store.transaction() as tx:
            dataset = require_active(tx.require(datasetArn, "dataset"))
            if dataset.body["datasetType"] in NEVER_EXPORTED:
                raise InvalidInputException(
                    f"{datasetArn} is a dataset of actions, and those cannot be exported."
                )
            made = self._create(tx, EXPORT_JOB, jobName, body, tags=tags, job=EXPORT_JOB)
        return {"datasetExportJobArn": made.arn}


class DeletionJobOperations(KindOperations):
    """Data deletion jobs, which "delete all references to specific users from an Amazon Personalize
    dataset group". The only jobs that end COMPLETED.

    What is gone when one has: the users' rows of the Interactions, Users and Action_Interactions
    datasets, imported and put; their histories and metadata in every trained model of the group, so
    that no campaign, recommender or batch job answers from them, and no segment names them. What
    the users have taught a model's shared weights stays until the next training. What earlier jobs
    have written elsewhere is not touched.
    """

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
        if "dataLocation" not in dataSource:
            raise InvalidInputException("dataSource needs a dataLocation: a CSV file of USER_IDs.")
        with as_invalid_input(DataLocationError):
            check_location(dataSource["dataLocation"])
        body = {
            "datasetGroupArn": datasetGroupArn,
            "dataSource": dataSource,
            "roleArn": roleArn,
            **kept_folders(),
        }
        with self.context.store.transaction() as tx:
            require_active(tx.require(datasetGroupArn, "dataset-group"))
            lane = DEFAULT_LANES["train"]  # beside a training the model would bring them back
            work = {"status": PENDING, "job": DELETION_JOB, "lane": lane}
            made = self._create(tx, DELETION_JOB, jobName, body, tags=tags, **work)
        return {"dataDeletionJobArn": made.arn}


def _require_attribution(tx: Transaction, dataset: Resource) -> None:
    if attribution_of(tx, dataset.body["datasetGroupArn"]) is None:
        raise InvalidInputException(
            "publishAttributionMetricsToS3 needs a metric attribution with an s3DataDestination in "
            "the dataset group: make one with CreateMetricAttribution, or leave it out."
        )


def _require_full_import(tx: Transaction, dataset_arn: str) -> None:
    jobs = tx.list(IMPORT_JOB, parent_arn=dataset_arn, status_in=(ACTIVE, *UNFINISHED))
    if not any(job.body["importMode"] == FULL for job in jobs):
        raise InvalidInputException(
            f"Dataset {dataset_arn} has no FULL import yet, and INCREMENTAL adds to one. Import"
            " with importMode='FULL' first."
        )
