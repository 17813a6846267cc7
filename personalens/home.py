"""The home directory: where PersonaLens keeps its state, shared by many processes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from personalens import durable_files

HOME_VARIABLE = "PERSONALENS_HOME"
_ROOT_MARKERS = (".git", "pyproject.toml")


@dataclass(frozen=True)
class Home:
    """Paths inside one home. Creating the object touches nothing on disk; :meth:`create` does.

    Parameters
    ----------
    path
        The folder. Everything PersonaLens remembers lies below it: delete it to start afresh.
    """

    path: Path

    @property
    def catalogue(self) -> Path:
        """SQLite file (WAL) with resources and jobs."""
        return self.path / "catalogue.sqlite"

    @property
    def events(self) -> Path:
        """SQLite file (WAL) with the event log."""
        return self.path / "events.sqlite"

    @property
    def datasets(self) -> Path:
        """Imported data as Parquet, one folder per dataset."""
        return self.path / "datasets"

    @property
    def models(self) -> Path:
        """Artifacts of solution versions, one folder each."""
        return self.path / "models"

    @property
    def labs(self) -> Path:
        """What the labs write: the one folder here in which jobs may put files, too."""
        return self.path / "labs"

    @property
    def logs(self) -> Path:
        """Worker logs."""
        return self.path / "logs"

    def create(self) -> Home:
        """Make the folders that are missing and return self.

        Raises
        ------
        OSError
            If the folder cannot be written, with the path and the variable to set instead.
        """
        try:
            for folder in (self.path, self.datasets, self.models, self.logs):
                durable_files.make_folders(folder)
        except OSError as error:
            raise OSError(
                f"PersonaLens cannot write its home {self.path}: {error.strerror or error}. "
                f"Make it writable or set {HOME_VARIABLE} to a folder that is."
            ) from error
        return self


def default_home(start: Path | None = None) -> Home:
    """Return ``PERSONALENS_HOME``, else ``.personalens`` in the working tree's root.

    The root is the nearest folder at or above ``start`` (default: the current folder) that holds
    ``.git`` or ``pyproject.toml``; without one, ``start`` itself. So notebooks in ``labs/`` and a
    terminal in the root share one home.
    """
    if configured := os.environ.get(HOME_VARIABLE):
        return Home(Path(configured).expanduser().resolve())
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if any((folder / marker).exists() for marker in _ROOT_MARKERS):
            return Home(folder / ".personalens")
    return Home(start / ".personalens")
