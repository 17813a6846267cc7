"""Imports and exports: CSV files become the rows of a dataset, and its rows become CSV files."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from personalens import durable_files
from personalens.datasets.csv_import import CsvImportError, import_csv
from personalens.datasets.dataset_files import DatasetFiles, NoBulkData
from personalens.datasets.schema_rules import INTERACTIONS
from personalens.jobs.job_runner import JobFailed, JobHandler
from personalens.jobs.output_folders import OutputFolder, claim_outputs
from personalens.progress import Progress, ProgressEvent
from personalens.storage.dataset_rows import DatasetRows
from personalens.storage.datasets import dataset_folder, parsed_schema
from personalens.storage.job_queue import Job
from personalens.storage.object_storage import KEPT_FOLDERS, DataLocationError, find_sources
from personalens.storage.resource_store import ACTIVE, CREATE_IN_PROGRESS, Resource
from personalens.storage.service_context import ServiceContext

BULK, PUT, ALL = "BULK", "PUT", "ALL"
ROWS_AT_ONCE = 50_000
_STAGING_PREFIX = ".staging-"


def import_rows(context: ServiceContext, job: Job, report: Progress) -> None:
    """The import job: read, check and write everything beside the dataset, then put it in place at
    once.

    Whatever goes wrong before that leaves the dataset as it was. Putting in place and ACTIVE cannot
    be one step, for one is a rename and the other a transaction; after a crash between the two the
    import is done again, and takes the place of its own rows: a part is known by the job's name.
    """
    with context.jobs.holding(job) as tx:
        import_job = tx.update(job.arn, status=CREATE_IN_PROGRESS)
        dataset = tx.require(import_job.body["datasetArn"])
        schema = tx.require(dataset.body["schemaArn"])
    folder = dataset_folder(context, dataset)
    staged = _make_staging(folder, job) / "rows.parquet"
    try:
        sources = find_sources(
            import_job.body["dataSource"]["dataLocation"],
            region=context.region,
            folders=import_job.body.get(KEPT_FOLDERS),
        )
        imported = import_csv(sources, parsed_schema(schema), staged, progress=report)
        reported = _report_attribution(context, job, import_job, dataset, staged)
        report(ProgressEvent("putting the rows in place", 1.0, rows=imported.rows))
        rows, missing = imported.rows, dict(imported.missing) or None
        done = ProgressEvent("imported", 1.0, rows=rows, total_rows=rows, missing_values=missing)
        with context.jobs.finishing(job, progress=done.to_dict()) as tx:
            _put_in_place(DatasetFiles(folder), staged, import_job)
            with suppress(OSError):  # the rows are in place: what is left is no reason to fail
                staged.parent.rmdir()  # once it is ACTIVE nothing of the work is left
            for arn in filter(tx.get, reported):
                tx.update(arn, _reportedUntil=reported[arn])
            tx.update(job.arn, status=ACTIVE)
    except (DataLocationError, CsvImportError, NoBulkData) as error:
        raise JobFailed(str(error)) from error
    finally:
        shutil.rmtree(staged.parent, ignore_errors=True)


def _report_attribution(
    context: ServiceContext, job: Job, import_job: Resource, dataset: Resource, staged: Path
) -> dict[str, float]:
    """Write the reports that the import was asked for; return up to when which metric attribution
    has reported."""
    if not import_job.body["publishAttributionMetricsToS3"]:
        return {}
    from personalens.control.work.attribution_reports import write_reports

    now, stamp = time.time(), int(1000 * import_job.created_at)
    attribution = write_reports(context, job, dataset, staged, stamp=stamp, now=now)
    return {} if attribution is None else {attribution.arn: now}


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


def export_rows(context: ServiceContext, job: Job, report: Progress) -> None:
    """The export job. Done again after a crash, it writes the same file once more."""
    with context.jobs.holding(job) as tx:
        asked = tx.update(job.arn, status=CREATE_IN_PROGRESS)
        dataset = tx.require(asked.body["datasetArn"])
    report(ProgressEvent("reading the rows", 0.0))
    rows = DatasetRows(context, dataset)
    names = rows.schema.names
    table = exported_rows(rows, asked.body["ingestionMode"])
    folder = asked.body["jobOutput"]["s3DataDestination"]["path"]
    try:
        folders = asked.body.get(KEPT_FOLDERS)
        output = OutputFolder(folder, region=context.region, home=context.home, folders=folders)
        claim_outputs(context, job, output, [f"{asked.name}.csv"])
        with output.writing(f"{asked.name}.csv") as file:
            file.write(",".join(names).encode() + b"\n")
            for start in range(0, table.num_rows, ROWS_AT_ONCE):
                file.write(csv_lines(table.slice(start, ROWS_AT_ONCE), names))
                done = min(1.0, (start + ROWS_AT_ONCE) / table.num_rows)
                report(ProgressEvent("writing", done, rows=table.num_rows))
    except DataLocationError as error:
        raise JobFailed(str(error)) from error
    with context.jobs.finishing(job) as tx:
        tx.update(job.arn, status=ACTIVE)


def exported_rows(rows: DatasetRows, mode: str) -> pa.Table:
    """Return what an export of a mode holds.

    Records that are equal in everything are there once; of the items and users of ALL only the
    newest with their id.
    """
    if mode == ALL and rows.schema.dataset_type != INTERACTIONS:
        return rows.read()
    return rows.files.read_delivered(put=None if mode == BULK else rows.put, imported=mode != PUT)


def csv_lines(table: pa.Table, names: Sequence[str]) -> bytes:
    """Return the rows as CSV with these columns, as an import reads it back to the byte: what is
    missing is empty; text in quotes has its line breaks as they are, and a backslash before quotes
    and backslashes.

    Examples
    --------
    >>> table = pa.table({"ITEM_ID": ["a", 'say "b", c'], "YEAR": [1999, None]})
    >>> print(csv_lines(table, ["ITEM_ID", "YEAR"]).decode(), end="")
    a,1999
    "say \\"b\\", c",
    """
    empty = pa.nulls(table.num_rows, pa.string())
    cells = [
        _cells(table[name].combine_chunks()) if name in table.column_names else empty
        for name in names
    ]
    lines = pc.binary_join_element_wise(*(cell.fill_null("") for cell in cells), ",")
    return "".join(f"{line}\n" for line in lines.to_pylist()).encode()


def _cells(values: pa.Array) -> pa.Array:
    if not pa.types.is_string(values.type):
        return pc.cast(values, pa.string())
    escaped = pc.replace_substring_regex(values, r'(["\\])', r"\\\1")
    quoted = pc.binary_join_element_wise('"', escaped, '"', "")
    return pc.if_else(pc.match_substring_regex(values, r'[",\r\n\\]'), quoted, values)


IMPORT_HANDLER = JobHandler(import_rows)
EXPORT_HANDLER = JobHandler(export_rows)
