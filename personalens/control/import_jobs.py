"""Dataset import jobs: CSV files into a dataset.

Amazon Personalize: CreateDatasetImportJob, DescribeDatasetImportJob, ListDatasetImportJobs. Import
jobs cannot be deleted; their records go with their dataset.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personalens import durable_files
from personalens.arns import build
from personalens.control.datasets import dataset_folder
from personalens.control.job_handlers import JobFailed, JobHandler
from personalens.control.job_queue import Job
from personalens.control.kinds import KindOperations
from personalens.control.metric_attributions import attribution_of
from personalens.control.object_storage import (
    KEPT_FOLDERS,
    DataLocationError,
    check_reach,
    find_sources,
    kept_folders,
)
from personalens.control.quotas import check_quota
from personalens.control.resource_states import (
    ACTIVE,
    CREATE_IN_PROGRESS,
    CREATE_PENDING,
    UNFINISHED,
    require_active,
)
from personalens.control.resource_store import Resource, Transaction
from personalens.control.tags import put_tags
from personalens.datasets.avro_schemas import parse_schema
from personalens.datasets.csv_import import CsvImportError, import_csv
from personalens.datasets.dataset_files import DatasetFiles, NoBulkData
from personalens.service_errors import InvalidInputException
from personalens.training.progress import Progress, ProgressEvent

if TYPE_CHECKING:
    from personalens.control.service_context import ServiceContext

KIND = "dataset-import-job"
JOB = "dataset-import"
FULL, INCREMENTAL = "FULL", "INCREMENTAL"
_STAGING_PREFIX = ".staging-"


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


def import_rows(context: ServiceContext, job: Job, report: Progress) -> None:
    """The job: read, check and write everything beside the dataset, then put it in place at once.

    Whatever goes wrong before that leaves the dataset as it was. Putting in place and ACTIVE cannot
    be one step, for one is a rename and the other a transaction; after a crash between the two the
    import is done again, and takes the place of its own rows: a part is known by the job's name.
    """
    with context.jobs.holding(job) as tx:
        import_job = tx.update(job.arn, status=CREATE_IN_PROGRESS)
        dataset = tx.require(import_job.body["datasetArn"])
        schema = tx.require(dataset.body["schemaArn"])
    parsed = parse_schema(schema.body["schema"], domain=schema.body.get("domain"))
    folder = dataset_folder(context, dataset)
    staged = _make_staging(folder, job) / "rows.parquet"
    try:
        sources = find_sources(
            import_job.body["dataSource"]["dataLocation"],
            region=context.region,
            folders=import_job.body.get(KEPT_FOLDERS),
        )
        imported = import_csv(sources, parsed, staged, progress=report)
        reported_until, attribution = time.time(), None
        if import_job.body["publishAttributionMetricsToS3"]:
            from personalens.control.attribution_reports import write_reports  # it reads datasets

            stamp = int(1000 * import_job.created_at)
            attribution = write_reports(
                context, job, dataset, staged, stamp=stamp, now=reported_until
            )
        report(ProgressEvent("putting the rows in place", 1.0, rows=imported.rows))
        done = ProgressEvent(
            "imported",
            1.0,
            rows=imported.rows,
            total_rows=imported.rows,
            missing_values=dict(imported.missing) or None,
        )
        with context.jobs.finishing(job, progress=done.to_dict()) as tx:
            _put_in_place(DatasetFiles(folder), staged, import_job)
            with suppress(OSError):  # the rows are in place: what is left is no reason to fail
                staged.parent.rmdir()  # whoever sees ACTIVE finds nothing of the work left
            if attribution is not None and tx.get(attribution.arn) is not None:
                tx.update(attribution.arn, _reportedUntil=reported_until)
            tx.update(job.arn, status=ACTIVE)
    except (DataLocationError, CsvImportError, NoBulkData) as error:
        raise JobFailed(str(error)) from error
    finally:
        shutil.rmtree(staged.parent, ignore_errors=True)


def _put_in_place(files: DatasetFiles, staged: Path, import_job: Resource) -> None:
    if import_job.body["importMode"] == INCREMENTAL:
        files.append(staged, name=import_job.name)
    else:
        files.replace(staged, name=import_job.name)


def _make_staging(folder: Path, job: Job) -> Path:
    """Return an empty folder for this attempt, and remove those of attempts that died. Imports of
    one dataset run one after another, so nobody else's can be there. The attempt's token in the
    name keeps a frozen worker that wakes up from writing into its successor's file."""
    for left in folder.glob(f"{_STAGING_PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)
    staging = folder / f"{_STAGING_PREFIX}{job.token}"
    durable_files.make_folders(folder)
    staging.mkdir()
    return staging


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


IMPORT_HANDLER = JobHandler(import_rows)
