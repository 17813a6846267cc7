"""The one way in which files come to the disk: whole and flushed, or not at all.

A rename is atomic but not durable: after a power cut a file may have its new name and none of its
bytes, and a name that was made may be gone. So what is written gets its name only once its bytes
are flushed, and then the folder that holds the name is flushed, too.

References
----------
Pillai et al., "All File Systems Are Not Created Equal: On the Complexity of Crafting
Crash-Consistent Applications" (OSDI 2014).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHECKSUMS_FILE = "checksums.json"


class DamagedFiles(ValueError):
    """Files are not what was written: cut, changed, foreign, or gone. The message is for the user:
    what is damaged, and how to come by it again."""


def make_folders(folder: Path) -> None:
    """Make a folder, and those above it that are missing, so that a power cut keeps them."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(exist_ok=True)  # another process may have been quicker
        flush(each.parent)


def flush(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def move(path: Path, target: Path) -> None:
    """Give what is flushed already another name, and flush the folders of both names."""
    os.replace(path, target)
    flush(target.parent)
    if path.parent != target.parent:
        flush(path.parent)


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give the path of a file or folder that is yet to be made. When the block ends without an
    error, it is flushed and takes the place of ``target``; else it is removed."""
    make_folders(target.parent)
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        yield partial
        for folder, _, files in os.walk(partial, topdown=False):
            for name in files:
                flush(Path(folder, name))
            flush(Path(folder))
        if not partial.is_dir():
            flush(partial)
        move(partial, target)
    except BaseException:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a file, or replace one."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write a file of JSON, or replace one; NaN and infinity are refused."""
    write_text(path, as_json(content))


def as_json(content: Any) -> str:
    """Return the one text that stands for a content, so that another text is a damaged one."""
    return json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False)


def as_os_error(error: Exception, path: Path) -> OSError | None:
    """Return what the system said to a library that keeps its number in a text only, as safetensors
    does; None if it said nothing."""
    number = re.search(r"os error (\d+)", str(error))
    if number is None:
        return None
    code = int(number[1])
    return OSError(code, os.strerror(code), str(path))


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, some gigabytes of which take a second or two."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(folder: Path) -> None:
    """Write down the checksums of a folder's files, for :func:`find_damage`."""
    names = sorted(path.name for path in folder.iterdir() if path.name != CHECKSUMS_FILE)
    write_seal(folder, {name: [checksum(folder / name)] for name in names})


def write_seal(folder: Path, allowed: Mapping[str, Sequence[str]]) -> None:
    """Write down which checksums each of a folder's files may have: of one that is about to be
    replaced, those of the old and of the new one."""
    write_json(folder / CHECKSUMS_FILE, allowed)


def read_seal(folder: Path) -> dict[str, list[str]] | None:
    """Return the checksums; None where there are none, as in folders of earlier versions.

    Raises
    ------
    ValueError
        If they cannot be read.
    """
    try:
        text = (folder / CHECKSUMS_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(f"{CHECKSUMS_FILE} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ValueError(f"{CHECKSUMS_FILE} is not what was written") from error
    try:
        allowed = json.loads(text)
        is_whole = as_json(allowed) == text and all(
            isinstance(each, list) for each in allowed.values()
        )
    except (ValueError, AttributeError, RecursionError):
        is_whole = False
    if not is_whole:
        raise ValueError(f"{CHECKSUMS_FILE} is not what was written")
    return allowed


def find_damage(folder: Path, names: Collection[str] | None = None) -> str | None:
    """Return what is wrong with the files of a sealed folder, or with those of some names; None
    where nothing is, or where there is no seal to compare with."""
    while True:
        try:
            allowed = read_seal(folder)
        except ValueError as error:
            return str(error)
        problem = None
        for name in sorted(allowed or () if names is None else {*names} & {*(allowed or ())}):
            problem = problem or difference(folder / name, allowed[name])
        # A process that replaces files one by one allows both before it begins.
        if problem is None or read_seal(folder) == allowed:
            return problem


def difference(path: Path, allowed: Sequence[str]) -> str | None:
    """Return what is wrong with a file that should have one of these checksums."""
    try:
        found = checksum(path)
    except FileNotFoundError:
        return f"{path.name} is missing"
    except OSError as error:
        return f"{path.name} cannot be read ({error.strerror})"
    return None if found in allowed else f"{path.name} is not what was written"
