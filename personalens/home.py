"""The home directory: where PersonaLens keeps its state, shared by many processes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from personalens import durable_files

HOME_VARIABLE = "PERSONALENS_HOME"
_ROOT_MARKERS = (".git", "pyproject.toml")

# A learner may name a folder as home that holds other things, even folders called datasets or
# models. What PersonaLens made there is known by its name, and nothing else is ever removed.
_DATABASE = re.compile(r"(catalogue|events|recommendations)\.(sqlite(-wal|-shm|-journal)?|turn)")
_DATASET = re.compile(r"[\w-]+-[a-z_]+-[0-9a-f]{8}|\.deleted-[0-9a-f]+")
_MODEL = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8})?|\.+[0-9a-f]{8}[-.].*")
_LOG = re.compile(r"worker\.log(\.1)?")
_LABS = re.compile(r"sample|ml-[\w-]+")
_BACKUP = re.compile(r"\.backup-[0-9a-f]{8}")


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

    def dataset_folders(self) -> Iterator[Path]:
        """Yield the folders in ``datasets`` that PersonaLens has made."""
        return _named(self.datasets, _DATASET)

    def model_folders(self) -> Iterator[Path]:
        """Yield the folders of single models that PersonaLens has made, checkpoints among them."""
        for solution in _named(self.models, re.compile(".+")):
            yield from _named(solution, _MODEL)

    def contents(self) -> Iterator[Path]:
        """Yield all that PersonaLens has made here but the folders that hold it; last the
        catalogue, which tells that this is a home, and then its log, without which it does not."""
        yield from self.dataset_folders()
        yield from self.model_folders()
        for folder, pattern in ((self.logs, _LOG), (self.labs, _LABS), (self.path, _BACKUP)):
            yield from _named(folder, pattern)
        databases = list(_named(self.path, _DATABASE))  # catalogue.sqlite, its -shm, its -wal
        yield from sorted(databases, key=lambda path: path.name.startswith(self.catalogue.name))

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


def _named(folder: Path, pattern: re.Pattern[str]) -> Iterator[Path]:
    """Yield what is in a folder under such a name; no links, which lead to what is not ours."""
    if folder.is_symlink() or not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if pattern.fullmatch(path.name) and not path.is_symlink():
            yield path


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
