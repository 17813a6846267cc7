"""Dataset export jobs: the rows of a dataset as a CSV file that can be imported again.

Amazon Personalize: CreateDatasetExportJob, DescribeDatasetExportJob, ListDatasetExportJobs. How the
service names its files is not documented; here it is one, ``<job name>.csv``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from personalens.arns import build
from personalens.control.operations.kinds import KindOperations, check_quota
from personalens.control.operations.tags import put_tags
from personalens.control.work.export_rows import _NEVER_EXPORTED, PUT
from personalens.jobs.output_folders import check_output
from personalens.service_errors import InvalidInputException
from personalens.storage.object_storage import DataLocationError, kept_folders
from personalens.storage.resource_states import (
    CREATE_PENDING,
    require_active,
)
from personalens.storage.resource_store import Resource

KIND = "dataset-export-job"


class ExportJobOperations(KindOperations):
    """The export job operations of the control plane."""

    def create_dataset_export_job(
        self,
        *,
        jobName: str,
        datasetArn: str,
        roleArn: str,
        jobOutput: Mapping[str, Any],
        ingestionMode: str = PUT,
        tags: Sequence[dict[str, str]] | None = None,
    ) -> dict[str, Any]:
        """Ask for an export of what was imported (BULK), put one by one (PUT), or both (ALL).

        Raises
        ------
        InvalidInputException
            For a dataset of actions, which the service does not export either, or an output folder
            that no job can write to.
        """
        context = self.context
        arn = build(KIND, jobName, region=context.region, account=context.account)
        try:
            check_output(jobOutput["s3DataDestination"]["path"], context.home)
        except DataLocationError as error:
            raise InvalidInputException(str(error)) from None
        body = {
            "datasetArn": datasetArn,
            "ingestionMode": ingestionMode,
            "roleArn": roleArn,
            "jobOutput": jobOutput,
            **kept_folders(),
        }
        with context.store.transaction() as tx:
            dataset = require_active(tx.require(datasetArn, "dataset"))
            if dataset.body["datasetType"] in _NEVER_EXPORTED:
                raise InvalidInputException(
                    f"{datasetArn} is a dataset of actions, and those cannot be exported."
                )
            check_quota(tx, KIND)
            tx.insert(Resource(arn, KIND, jobName, datasetArn, CREATE_PENDING, body=body))
            put_tags(tx, arn, tags)
            context.jobs.enqueue(tx, KIND, arn)
        return {"datasetExportJobArn": arn}
