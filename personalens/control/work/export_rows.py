"""An export: the rows of a dataset become CSV files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from personalens.datasets.schema_rules import INTERACTIONS
from personalens.jobs.job_runner import JobFailed, JobHandler
from personalens.jobs.output_folders import OutputFolder, claim_outputs
from personalens.progress import Progress, ProgressEvent
from personalens.storage.dataset_rows import DatasetRows
from personalens.storage.job_queue import Job
from personalens.storage.object_storage import KEPT_FOLDERS, DataLocationError
from personalens.storage.resource_states import (
    ACTIVE,
    CREATE_IN_PROGRESS,
)

if TYPE_CHECKING:
    from personalens.storage.service_context import ServiceContext


BULK, PUT, ALL = "BULK", "PUT", "ALL"


ROWS_AT_ONCE = 50_000


_NEVER_EXPORTED = ("ACTIONS", "ACTION_INTERACTIONS")


def export_rows(context: ServiceContext, job: Job, report: Progress) -> None:
    """The job. Done again after a crash, it writes the same file once more."""
    with context.jobs.holding(job) as tx:
        asked = tx.update(job.arn, status=CREATE_IN_PROGRESS)
        dataset = tx.require(asked.body["datasetArn"])
    report(ProgressEvent("reading the rows", 0.0))
    rows = DatasetRows(context, dataset)
    names = rows.schema.names
    table = exported_rows(rows, asked.body["ingestionMode"])
    folder = asked.body["jobOutput"]["s3DataDestination"]["path"]
    try:
        output = OutputFolder(
            folder,
            region=context.region,
            home=context.home,
            folders=asked.body.get(KEPT_FOLDERS),
        )
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


EXPORT_HANDLER = JobHandler(export_rows)
