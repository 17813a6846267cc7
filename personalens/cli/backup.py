"""A running home in one file, and back.

While the files are taken, nobody can write to the catalogue, so no dataset and no model comes or
goes; the files are only linked in that time, not copied. Then everybody goes on, and the links are
packed. Events can be put all the while: those acknowledged before it began are all in it.
"""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import secrets
import shutil
import sqlite3
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

from personalens import durable_files
from personalens.datasets.dataset_files import MANIFEST_FILE, DatasetFiles
from personalens.durable_files import CHECKSUMS_FILE, DamagedFiles
from personalens.home import Home
from personalens.storage.catalogue import MIGRATIONS, Catalogue
from personalens.storage.job_queue import QUEUED, RUNNING

MARK = "personalens-backup.json"
"""The first file in a backup: which form it has, and which version of a home it holds."""
FORMAT = 1


class NoBackup(ValueError):
    """A file is no backup, or one that cannot be put back here; the message says why."""


def back_up(home: Home, target: Path) -> None:
    """Write all that a home holds into one new file, while work goes on in it.

    Logs, checkpoints of trainings and the files of registered recipes, which lie elsewhere, are not
    in it. Jobs that are running are waiting ones in it.
    """
    if target.exists():
        raise FileExistsError(f"{target} exists already. Give another name, or delete it")
    if target.resolve().is_relative_to(home.path.resolve()):
        raise ValueError(f"{target} lies in the home that is to be copied. Give another place")
    if not home.catalogue.is_file():
        raise ValueError(f"there is no home in {home.path}: nothing to copy")
    with _staging(home) as staged, durable_files.replacing(target) as partial:
        _take(home, staged)
        version = {"format": FORMAT, "home": len(MIGRATIONS)}
        (staged / MARK).write_text(durable_files.as_json(version), encoding="utf-8")
        # Weights and Parquet hardly get smaller, and the databases do at the quickest level, too.
        with tarfile.open(partial, "w:gz", compresslevel=1) as tar:
            for path in sorted(staged.iterdir(), key=lambda path: path.name != MARK):
                tar.add(path, path.name)


def restore(home: Home, source: Path) -> None:
    """Put a backup in the place of a home that is not there or is empty: whole, or not at all."""
    if home.path.exists() and (not home.path.is_dir() or any(home.path.iterdir())):
        raise FileExistsError(
            f"{home.path} is not empty. Give another --home, or run personalens reset first"
        )
    try:
        with gzip.open(source) as packed, durable_files.replacing(home.path) as partial:
            _unpack(source, packed, partial)
            for folder in (home.datasets, home.models, home.logs):
                (partial / folder.name).mkdir(exist_ok=True)
    except NoBackup:
        raise
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, *_OF_A_MARK) as error:
        raise NoBackup(f"{source} is no backup of PersonaLens, or is cut or damaged") from error


_OF_A_MARK = (ValueError, KeyError, TypeError)


def _unpack(source: Path, packed: IO[bytes], folder: Path) -> None:
    with tarfile.open(fileobj=packed, mode="r|") as tar:
        first = tar.next()
        file = None if first is None or first.name != MARK else tar.extractfile(first)
        if file is None:
            raise NoBackup(f"{source} is no backup of PersonaLens")
        mark = json.load(file)
        if mark["format"] > FORMAT or mark["home"] > len(MIGRATIONS):
            raise NoBackup(f"A newer PersonaLens wrote {source}. Update PersonaLens to restore it")
        for entry in iter(tar.next, None):
            tar.extract(entry, folder, filter="data")
    while packed.read(2**20):  # to the end: only there stands the checksum of it all
        pass


@contextmanager
def _staging(home: Home) -> Iterator[Path]:
    """A folder in the home, for links do not reach other disks; what a crash left of an earlier one
    goes."""
    for left in home.path.glob(".backup-*"):
        shutil.rmtree(left, ignore_errors=True)
    folder = home.path / f".backup-{secrets.token_hex(4)}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _take(home: Home, staged: Path) -> None:
    catalogue = Catalogue(home, create=False)
    try:
        with catalogue.transaction():
            for path in sorted(home.path.glob("*.sqlite")):
                _copy_database(path, staged / path.name)
            for folder in home.dataset_folders():
                if not folder.name.startswith("."):
                    _link_dataset(folder, staged / "datasets" / folder.name)
            for folder in home.model_folders():
                if not folder.name.startswith("."):
                    _link_model(folder, staged / "models" / folder.parent.name / folder.name)
            for folder, _, names in os.walk(home.labs):
                _link(folder, staged / Path(folder).relative_to(home.path), names)
    finally:
        catalogue.close()
    with closing(sqlite3.connect(staged / home.catalogue.name)) as copy, copy:
        # The workers of the home are not those of the copy: in it, jobs wait for a worker.
        copy.execute(
            f"UPDATE jobs SET state = '{QUEUED}', token = NULL, holder = NULL,"
            f" attempt = max(0, attempt - 1) WHERE state = '{RUNNING}'"
        )
        copy.execute("DELETE FROM workers")


def _copy_database(path: Path, target: Path) -> None:
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)


def _link_dataset(folder: Path, target: Path) -> None:
    """Link what counts: an import that is on its way will be done again."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            parts = [part.file for part in DatasetFiles(folder).manifest.parts]
        except DamagedFiles:  # it is copied as it is: the copy cannot be better
            parts = [path.name for path in (folder / "parts").iterdir()]
        if (folder / MANIFEST_FILE).exists():
            _link(folder, target, [MANIFEST_FILE])
            _link(folder / "parts", target / "parts", parts)
        fcntl.flock(lock, fcntl.LOCK_UN)


def _link_model(folder: Path, target: Path) -> None:
    """Link a model, again if users were removed from it meanwhile: old files would stand beside new
    checksums."""
    while True:
        before = _identity(folder / CHECKSUMS_FILE)
        shutil.rmtree(target, ignore_errors=True)
        try:
            names = [path.name for path in folder.iterdir()]
            # What begins with a dot is being written beside its place.
            _link(folder, target, [name for name in names if not name.startswith(".")])
        except FileNotFoundError:  # its resource had been deleted before
            shutil.rmtree(target, ignore_errors=True)
            return
        if _identity(folder / CHECKSUMS_FILE) == before:
            return


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def _link(folder: Path | str, target: Path, names: Iterable[str]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        path = Path(folder, name)
        if path.is_symlink() or path.is_dir():
            continue
        try:
            os.link(path, target / name)
        except FileNotFoundError:
            raise
        except OSError:  # this kind of disk has no links
            shutil.copy2(path, target / name)
