"""Tables in: schemas, CSV import, interactions, MovieLens and the simulated sample.

The names below are loaded when they are first used, so importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from personalens.datasets.film_tables import FilmTables

_HOMES = {
    "CsvImportError": "personalens.datasets.csv_import",
    "CsvSource": "personalens.datasets.csv_import",
    "DatasetFiles": "personalens.datasets.dataset_files",
    "DatasetSchema": "personalens.datasets.avro_schemas",
    "DataUnavailable": "personalens.datasets.releases",
    "FilmTables": "personalens.datasets.film_tables",
    "IdMap": "personalens.datasets.id_maps",
    "Interactions": "personalens.datasets.interactions",
    "MovieLens": "personalens.datasets.film_tables",
    "SchemaError": "personalens.datasets.avro_schemas",
    "find_data": "personalens.datasets.releases",
    "generate": "personalens.film_world.simulator",
    "import_csv": "personalens.datasets.csv_import",
    "movielens": "personalens.datasets.film_tables",
    "parse_schema": "personalens.datasets.avro_schemas",
}

__all__ = sorted([*_HOMES, "load"])


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def load(
    name: str = "ml-latest-small", *, folder: Path | str | None = None, download: bool = True
) -> FilmTables:
    """Return a data set's three tables: a MovieLens release, or ``"sample"``.

    Parameters
    ----------
    name
        One of :data:`personalens.datasets.releases.NAMES`.
    folder
        Where to look first: the release's folder, its zip, or a folder that holds either.
    download
        Whether a MovieLens release that is not on this machine is fetched. Default: True.

    Raises
    ------
    DataUnavailable
        If it is not here and cannot be fetched.
    """
    if name == "sample":
        from personalens.film_world.simulator import load_sample

        return load_sample(folder)
    from personalens.datasets.film_tables import movielens

    return movielens(name, folder=folder, download=download)
