"""Deleting a home: what PersonaLens has made there, and nothing else."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from personalens.home import Home

_MAGIC = b"SQLite format 3\x00"
_TABLES = {"resources", "jobs"}
_PROC = Path("/proc")


class NoHome(ValueError):
    """A path is no home of PersonaLens; the message says why."""


def check_is_home(home: Home) -> None:
    """Refuse what PersonaLens has not made with NoHome: only a catalogue of ours, or none yet among
    empty folders of ours, makes a folder a home."""
    path, catalogue = home.path, home.catalogue
    if not path.is_dir():
        raise NoHome(f"{path} is a file, not a folder: give the folder that is the home")
    if catalogue.is_symlink() or not catalogue.is_file():
        folders = (home.datasets, home.models, home.logs)
        logs = [Path(f"{catalogue}{end}") for end in ("-wal", "-shm")]  # of a reset cut short
        others = [
            each
            for each in path.iterdir()
            if each not in logs and (each not in folders or any(each.iterdir()))
        ]
        if others:
            raise NoHome(f"{path} is not a PersonaLens home: it has no {catalogue.name}")
    elif not _is_ours(catalogue):
        raise NoHome(
            f"{path} is not a PersonaLens home: its {catalogue.name} is not one of PersonaLens. "
            "If it is a home whose catalogue is damaged, delete the folder yourself"
        )


def _is_ours(catalogue: Path) -> bool:
    with catalogue.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            return False
    try:
        uri = f"{catalogue.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            return {name for (name,) in rows} >= _TABLES
    except sqlite3.DatabaseError:  # a damaged one of ours has the others beside it
        return Home(catalogue.parent).events.is_file()


def users_of(home: Home) -> list[str]:
    """Return the processes that have files of a home open, such as servers, workers and notebooks:
    number and name each. Only Linux tells; elsewhere there are none."""
    inside, found = f"{home.path.resolve()}{os.sep}", []
    for process in _PROC.glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or belongs to somebody else
            opened = [os.readlink(each) for each in (process / "fd").iterdir()]
            if process.name != str(os.getpid()) and any(x.startswith(inside) for x in opened):
                found.append(f"{process.name} ({_name(process)})")
    return found


def _name(process: Path) -> str:
    words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    return " ".join(Path(word).name for word in words[:4] if word) or process.name


def remove_home(home: Home) -> list[Path]:
    """Delete what PersonaLens has made, links not followed, and the folder if it is then empty.
    Return what is left in it, which PersonaLens has not made.

    It may be called again after a crash: the catalogue, which tells that it is a home, goes last.
    """
    holders = [home.datasets, home.models, home.logs, home.path]
    for path in home.contents():
        if path.parent not in holders:
            holders.insert(0, path.parent)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for folder in holders:
        with suppress(OSError):  # not empty, not there, or a link
            folder.rmdir()
    return sorted(home.path.iterdir()) if home.path.is_dir() else []
