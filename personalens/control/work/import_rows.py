"""An import: CSV files become the rows of a dataset."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from personalens import durable_files
from personalens.datasets.avro_schemas import parse_schema
from personalens.datasets.csv_import import CsvImportError, import_csv
from personalens.datasets.dataset_files import DatasetFiles, NoBulkData
from personalens.jobs.job_runner import JobFailed, JobHandler
from personalens.progress import Progress, ProgressEvent
from personalens.storage.dataset_rows import dataset_folder
from personalens.storage.job_queue import Job
from personalens.storage.object_storage import (
    KEPT_FOLDERS,
    DataLocationError,
    find_sources,
)
from personalens.storage.resource_states import (
    ACTIVE,
    CREATE_IN_PROGRESS,
)
from personalens.storage.resource_store import Resource

if TYPE_CHECKING:
    from personalens.storage.service_context import ServiceContext


_STAGING_PREFIX = ".staging-"


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
            from personalens.control.work.attribution_reports import write_reports

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
    if import_job.body["importMode"] == "INCREMENTAL":
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


IMPORT_HANDLER = JobHandler(import_rows)
