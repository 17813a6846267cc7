"""The data sets of the labs by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from personalens.datasets.registry import SAMPLE

if TYPE_CHECKING:
    from personalens.datasets.film_tables import FilmTables


def load(
    name: str = "ml-latest-small", *, folder: Path | str | None = None, download: bool = True
) -> FilmTables:
    """Return a data set's three tables: a MovieLens release, or ``"sample"``.

    Parameters
    ----------
    name
        One of ``NAMES``.
    folder
        Where to look first: the release's folder, its zip, or a folder that holds either.
    download
        Whether a MovieLens release that is not on this machine is fetched. Default: True.

    Raises
    ------
    DataUnavailable
        If it is not here and cannot be fetched.
    """
    if name == SAMPLE:
        from personalens.film_world.simulator import load_sample

        return load_sample(folder)
    from personalens.datasets.movielens import movielens

    return movielens(name, folder=folder, download=download)
