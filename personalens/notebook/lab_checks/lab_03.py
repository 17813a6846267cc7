"""The self-checks of lab 03."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from personalens.notebook.checks import NotYet, check
from personalens.notebook.lab_checks.answers import (
    described,
    require_active,
    schema_fields,
)

if TYPE_CHECKING:
    from personalens.notebook.lab_session import LabSession


@check("3a", hint="write the table with to_csv(path, index=False).")
def _csv_written(lab: LabSession, path: Path) -> str:
    if not Path(path).exists():
        raise NotYet("there is no such file.")
    with Path(path).open(encoding="utf-8") as file:
        header = file.readline().strip().split(",")
    fields = list(schema_fields(lab, lab.arns["interactions_schema"]))
    if set(header) != set(fields):
        raise NotYet(f"the header is {', '.join(header)}; the schema has {', '.join(fields)}.")
    return "the header has the schema's names."


def _job(lab: LabSession, arn: str) -> dict[str, Any]:
    describe = lab.client.describe_dataset_import_job
    found = described(describe, "import job", datasetImportJobArn=arn)
    return found["datasetImportJob"]


def _job_is_active(lab: LabSession, arn: str, mode: str) -> str:
    job = _job(lab, arn)
    require_active(job, "the import job")
    if job.get("importMode", "FULL") != mode:
        raise NotYet(f"the job's mode is {job['importMode']}, not {mode}.")
    return f"the {mode} import is finished."


@check("3b", hint="personalens.wait raises with the reason if the job failed.")
def _full_import(lab: LabSession, arn: str) -> str:
    return _job_is_active(lab, arn, "FULL")


@check("3c", hint="this job is meant to fail: run the cells of section 3 again.")
def _broken_import(lab: LabSession, arn: str) -> str:
    job = _job(lab, arn)
    if job["status"] != "CREATE FAILED":
        raise NotYet(f"the job is {job['status']}.")
    if "TIMESTAMP" not in job.get("failureReason", ""):
        raise NotYet("the reason does not name the column TIMESTAMP.")
    return "the job failed, and its reason names what is wrong."


@check("3d", hint="the repaired file needs a job with a new name.")
def _incremental_import(lab: LabSession, arn: str) -> str:
    return _job_is_active(lab, arn, "INCREMENTAL")


@check("3e", hint="personalens.wait raises with the reason if the job failed.")
def _items_import(lab: LabSession, arn: str) -> str:
    return _job_is_active(lab, arn, "FULL")


@check("3.1", hint="the failureReason lists the columns that are missing.")
def _missing_column(lab: LabSession, column: str) -> str:
    if str(column).strip() != "TIMESTAMP":
        raise NotYet(f"{column!r} is not what the service misses.")
    return "one letter too many in a header, and nothing is imported."


@check("3.2", hint="FULL replaces everything; INCREMENTAL adds, and replaces films of the same ID.")
def _modes(lab: LabSession, modes: list[str]) -> str:
    truth = ["INCREMENTAL", "FULL", "INCREMENTAL"]
    wrong = [letter for letter, a, b in zip("abc", modes, truth, strict=True) if a != b]
    if wrong:
        raise NotYet(f"think again about {', '.join(wrong)}.")
    return "new things are added, corrections replace."
