"""Tables in: schemas, CSV import, interactions, MovieLens and the simulated sample.

The names below are loaded when they are first used, so importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "CsvImportError": "personalens.datasets.csv_import",
    "CsvSource": "personalens.datasets.csv_import",
    "DatasetFiles": "personalens.datasets.dataset_files",
    "DatasetSchema": "personalens.datasets.avro_schemas",
    "DataUnavailable": "personalens.datasets.registry",
    "FilmTables": "personalens.datasets.film_tables",
    "IdMap": "personalens.datasets.id_maps",
    "Interactions": "personalens.datasets.interactions",
    "MovieLens": "personalens.datasets.movielens",
    "SchemaError": "personalens.datasets.avro_schemas",
    "find_data": "personalens.datasets.registry",
    "generate": "personalens.film_world.simulator",
    "import_csv": "personalens.datasets.csv_import",
    "load": "personalens.datasets.loading",
    "parse_schema": "personalens.datasets.avro_schemas",
}

__all__ = sorted([*_HOMES, "movielens"])


def __getattr__(name: str) -> Any:
    if name == "movielens":
        return importlib.import_module(f"{__name__}.movielens")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
