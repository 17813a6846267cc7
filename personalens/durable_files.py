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

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


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
    write_text(path, json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False))
