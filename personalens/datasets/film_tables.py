"""Three tables in Personalize's columns (interactions, items, users), their schemas and CSVs."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv

from personalens import durable_files
from personalens.datasets.schema_rules import INTERACTIONS, ITEMS, NAMESPACE, USERS, VERSION

_STRING: dict = {"type": "string"}
_CATEGORY: dict = {"type": "string", "categorical": True}
_OPTIONAL_CATEGORY: dict = {"type": ["null", "string"], "categorical": True}

# How each column is declared. TITLE is a plain string: stored, filterable and shown, not trained.
AVRO_FIELDS: dict[str, dict[str, dict]] = {
    INTERACTIONS: {
        "USER_ID": _STRING,
        "ITEM_ID": _STRING,
        "TIMESTAMP": {"type": "long"},
        "EVENT_TYPE": _STRING,
        "EVENT_VALUE": {"type": ["null", "float"]},
        "DEVICE": _CATEGORY,
        "TIME_OF_DAY": _CATEGORY,
        "IMPRESSION": {"type": ["null", "string"]},
    },
    ITEMS: {
        "ITEM_ID": _STRING,
        "TITLE": _STRING,
        "GENRES": _OPTIONAL_CATEGORY,
        "YEAR": {"type": ["null", "int"]},
        "CREATION_TIMESTAMP": {"type": ["null", "long"]},
    },
    USERS: {
        "USER_ID": _STRING,
        "AGE": {"type": ["null", "int"]},
        "AGE_GROUP": _CATEGORY,
        "GENDER": _OPTIONAL_CATEGORY,
        "OCCUPATION": _OPTIONAL_CATEGORY,
        "COUNTRY": _CATEGORY,
        "PLAN": _CATEGORY,
    },
}
CSV_NAMES = {INTERACTIONS: "interactions.csv", ITEMS: "items.csv", USERS: "users.csv"}


@dataclass(frozen=True, eq=False)
class FilmTables:
    """A data set as three tables whose columns are named as the service names them.

    Attributes
    ----------
    name
        ``"ml-latest-small"``, ``"sample"``, ...
    interactions
        USER_ID, ITEM_ID, TIMESTAMP (epoch seconds), EVENT_TYPE, EVENT_VALUE, and context columns
        where there are any.
    items
        ITEM_ID, TITLE, GENRES (joined with ``|``; missing where none), YEAR and CREATION_TIMESTAMP
        (missing where unknown).
    users
        USER_ID and what is known of a viewer; None where the data set says nothing of them.
    notice
        One line to show beside results: source and licence, or that the viewers are simulated.
    """

    name: str
    interactions: pd.DataFrame
    items: pd.DataFrame
    users: pd.DataFrame | None
    notice: str

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables that exist, by dataset type."""
        tables = {INTERACTIONS: self.interactions, ITEMS: self.items, USERS: self.users}
        return {kind: table for kind, table in tables.items() if table is not None}

    def schemas(self) -> dict[str, str]:
        """Return the Avro schema (JSON text) of each table, by dataset type, for CreateSchema."""
        return {kind: avro_schema(kind, list(table)) for kind, table in self.tables.items()}

    def write_csvs(self, folder: Path | str) -> dict[str, Path]:
        """Write interactions.csv, items.csv and users.csv as CreateDatasetImportJob reads them.

        Returns
        -------
        dict
            The path of each file, by dataset type.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        paths = {kind: folder / CSV_NAMES[kind] for kind in self.tables}
        for kind, table in self.tables.items():
            write_csv(table, paths[kind])
        return paths


def avro_schema(dataset_type: str, columns: list[str]) -> str:
    """Return the Avro schema of a table with these columns.

    >>> avro_schema("Users", ["USER_ID", "PLAN"])[:50]
    '{"type": "record", "name": "Users", "namespace": "'
    """
    known = AVRO_FIELDS[dataset_type]
    record = {
        "type": "record",
        "name": dataset_type,
        "namespace": NAMESPACE,
        "fields": [{"name": name, **known[name]} for name in columns],
        "version": VERSION,
    }
    return json.dumps(record)


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write one table: UTF-8, a header, quotes only where needed, backslash escapes in quotes."""
    text = [name for name in table if _needs_quotes(table[name])]
    with durable_files.replacing(path) as temporary:
        if text:
            table.to_csv(
                temporary,
                index=False,
                quoting=csv.QUOTE_MINIMAL,
                doublequote=False,
                escapechar="\\",
                lineterminator="\n",
                encoding="utf-8",
            )
        else:  # ten times faster, and the large table never needs quotes
            arrow = pa.Table.from_pandas(table, preserve_index=False)
            options = pyarrow.csv.WriteOptions(quoting_style="none", quoting_header="none")
            pyarrow.csv.write_csv(arrow, temporary, options)


def _needs_quotes(column: pd.Series) -> bool:
    if not isinstance(column.dtype, pd.StringDtype | pd.CategoricalDtype):
        return column.dtype == object
    distinct = column.cat.categories if hasattr(column, "cat") else column
    return bool(pd.Series(distinct).str.contains(r'[",\\\r\n]', na=False).any())
