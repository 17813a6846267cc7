"""A dataset of a group, made and filled in one go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd


def schema_of(kind: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the Avro schema of a dataset type, such as "Action_Interactions"."""
    return {
        "type": "record",
        "name": kind.replace("_", ""),
        "namespace": "com.amazonaws.personalize.schema",
        "fields": fields,
        "version": "1.0",
    }


def import_table(
    service: Any,
    group_arn: str,
    folder: Path,
    kind: str,
    fields: list[dict[str, Any]],
    frame: pd.DataFrame,
) -> str:
    """Make a dataset of these fields in a group, import a table, and return the dataset's ARN."""
    name = kind.replace("_", "")
    schema = json.dumps(schema_of(kind, fields))
    arn = service.create_schema(name=name, schema=schema)["schemaArn"]
    dataset = service.create_dataset(
        name=name, schemaArn=arn, datasetGroupArn=group_arn, datasetType=kind
    )["datasetArn"]
    import_rows(service, dataset, folder / f"{name}.csv", frame)
    return dataset


def import_rows(service: Any, dataset_arn: str, path: Path, frame: pd.DataFrame) -> None:
    """Write a table to a CSV file and import that into a dataset."""
    frame.to_csv(path, index=False)
    service.create_dataset_import_job(
        jobName=path.stem,
        datasetArn=dataset_arn,
        dataSource={"dataLocation": str(path)},
        roleArn="arn:aws:iam::123456789012:role/personalize",
    )
