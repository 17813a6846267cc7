"""The self-checks of lab 03."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from personalens.notebook.checks import NotYet, check

from .answers import as_texts, described, require_active, schema_fields

if TYPE_CHECKING:
    from personalens.notebook.lab_session import LabSession


@check("3a", hint="write the table with to_csv(path, index=False).")
def _csv_written(lab: LabSession, path: Path) -> str:
    if not Path(path).is_file():
        raise NotYet("there is no such file.")
    with Path(path).open(encoding="utf-8") as file:
        header = file.readline().strip().split(",")
    fields = list(schema_fields(lab, lab.arns["interactions_schema"]))
    if set(header) != set(fields):
        raise NotYet(f"the header is {', '.join(header)}; the schema has {', '.join(fields)}.")
    return "the header has the schema's names."


def _job(lab: LabSession, arn: str, kind: str) -> dict[str, Any]:
    describe = lab.client.describe_dataset_import_job
    found = described(describe, "import job", datasetImportJobArn=arn)
    job = found["datasetImportJob"]
    if job["datasetArn"] != lab.arns[kind]:
        raise NotYet(f"this job is not one of the {kind} dataset.")
    return job


def _job_is_active(lab: LabSession, arn: str, mode: str, kind: str = "interactions") -> str:
    job = _job(lab, arn, kind)
    require_active(job, "the import job")
    if job.get("importMode", "FULL") != mode:
        raise NotYet(f"the job's mode is {job['importMode']}, not {mode}.")
    return f"the {mode} import is finished."


@check("3b", hint="personalens.wait raises with the reason if the job failed.")
def _full_import(lab: LabSession, arn: str) -> str:
    return _job_is_active(lab, arn, "FULL")


@check("3c", hint="this job is meant to fail: run the cells of section 3 again.")
def _broken_import(lab: LabSession, arn: str) -> str:
    job = _job(lab, arn, "interactions")
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
    return _job_is_active(lab, arn, "FULL", "items")


@check("3.1", hint="the failureReason lists the columns that are missing.")
def _missing_column(lab: LabSession, column: str) -> str:
    if str(column).strip() != "TIMESTAMP":
        raise NotYet(f"{column!r} is not what the service misses.")
    return "one letter too many in a header, and nothing is imported."


@check("3.2", hint="FULL replaces everything; INCREMENTAL adds, and replaces films of the same ID.")
def _modes(lab: LabSession, modes: list[str]) -> str:
    truth = ["INCREMENTAL", "FULL", "INCREMENTAL"]
    given = [mode.upper() for mode in as_texts(modes, "the answer")]
    if len(given) != len(truth):
        raise NotYet(f"there are {len(truth)} situations; these are {len(given)} answers.")
    wrong = [letter for letter, a, b in zip("abc", given, truth, strict=True) if a != b]
    if wrong:
        raise NotYet(f"think again about {', '.join(wrong)}.")
    return "new things are added, corrections replace."
