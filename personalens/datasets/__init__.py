"""Tables in: schemas, CSV import, interactions, MovieLens and the simulated sample.

The names below are loaded when they are first used, so importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "CsvImportError": "csv_import",
    "CsvSource": "csv_import",
    "DatasetFiles": "dataset_files",
    "DatasetSchema": "avro_schemas",
    "DataUnavailable": "registry",
    "FilmTables": "film_tables",
    "IdMap": "id_maps",
    "Interactions": "interactions",
    "MovieLens": "movielens",
    "SchemaError": "avro_schemas",
    "find_data": "registry",
    "generate": "simulator",
    "import_csv": "csv_import",
    "load": "registry",
    "parse_schema": "avro_schemas",
}

__all__ = sorted([*_HOMES, "movielens"])


def __getattr__(name: str) -> Any:
    if name == "movielens":
        return importlib.import_module(f"{__name__}.movielens")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
