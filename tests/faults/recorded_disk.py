"""A disk as numbered files and folders, and what a trace of strace says was done to it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

BYTES, SIZE, NAMES, FLUSH, MARK = "bytes", "size", "names", "flush", "mark"
CALLS = (
    "openat,open,creat,write,pwrite64,writev,pwritev,pwritev2,lseek,ftruncate,truncate,fallocate,"
    "mmap,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,fsync,fdatasync,link,"
    "linkat,symlink,symlinkat,utimensat,copy_file_range,sendfile"
)
RECORD = ["-ttt", "-y", "-xx", "-s", "100000000", "-e", f"trace={CALLS}", "-e", "signal=none"]
"""Options of strace with which :meth:`Recording.read` understands its report."""

_LINE = re.compile(rb"(\d+) +(\d+\.\d+) (?:<\.\.\. )?(\w+)(?: resumed>|\()(.*)", re.DOTALL)
_END = re.compile(rb"(.*)\) += (-?\d+)")
_TEXT = re.compile(rb'"((?:\\x..)*)"')
_PLACE = re.compile(rb"(\d+|AT_FDCWD)<((?:\\x..)*)>(\(deleted\))?")
_OF_NAMES = ("open", "creat", "rename", "unlink", "mkdir", "rmdir", "link", "symlink", "truncate")


@dataclass(frozen=True)
class Change:
    """One recorded operation.

    Attributes
    ----------
    what
        BYTES or SIZE (of a file), NAMES (of a folder), FLUSH (of either), or MARK.
    of
        The number of the file or folder.
    when
        Seconds since 1970: the time of a file is that of its last change.
    offset, content
        Of BYTES; of SIZE, the offset is the new size.
    entries
        Of NAMES: folder, name, and what has it now, None for nothing. All of them, or none.
    """

    what: str
    of: int = 0
    when: float = 0.0
    offset: int = 0
    content: bytes = b""
    entries: tuple[tuple[int, str, int | None], ...] = ()


@dataclass
class Disk:
    """Files and folders by number. Folder 0 is the root; what has no name is not there."""

    files: dict[int, bytes] = field(default_factory=dict)
    folders: dict[int, dict[str, int]] = field(default_factory=dict)
    times: dict[int, float] = field(default_factory=dict)

    @classmethod
    def read(cls, root: Path) -> Disk:
        disk, numbers = cls(), {}
        for path in [root, *sorted(root.rglob("*"))]:
            number = numbers[path] = len(numbers)
            disk.add(number, path.stat().st_mtime, is_folder=path.is_dir())
            if path != root:
                disk.folders[numbers[path.parent]][path.name] = number
            if path.is_file():
                disk.files[number] = path.read_bytes()
        return disk

    def add(self, number: int, when: float, *, is_folder: bool) -> None:
        """Make an empty file or folder, which has no name yet."""
        self.times[number] = when
        if is_folder:
            self.folders[number] = {}
        else:
            self.files[number] = b""

    def copy(self) -> Disk:
        folders = {number: dict(names) for number, names in self.folders.items()}
        return Disk(dict(self.files), folders, dict(self.times))

    def find(self, path: Path) -> int | None:
        """Return the number of what has this path below the root."""
        number: int | None = 0
        for name in path.parts:
            number = None if number is None else self.folders.get(number, {}).get(name)
        return number

    def apply(self, change: Change) -> None:
        for folder, name, number in change.entries:
            if number is None:
                self.folders[folder].pop(name, None)
            else:
                self.folders[folder][name] = number
        if change.what in (BYTES, SIZE):
            old = self.files[change.of]
            head = old[: change.offset].ljust(change.offset, b"\0")
            tail = b"" if change.what == SIZE else old[change.offset + len(change.content) :]
            self.files[change.of] = head + change.content + tail
            self.times[change.of] = change.when

    def walk(self, number: int = 0, path: Path = Path()) -> Iterator[tuple[Path, int]]:
        """Yield all that has a path."""
        for name, below in sorted(self.folders[number].items()):
            yield path / name, below
            if below in self.folders:
                yield from self.walk(below, path / name)

    def content(self) -> tuple[tuple[str, bytes | None], ...]:
        """Return all paths with their bytes, None for folders. SQLite's shared memory is left out:
        it is made again after a crash."""
        paths = ((str(path), self.files.get(number)) for path, number in self.walk())
        return tuple((path, content) for path, content in paths if not path.endswith("-shm"))

    def write(self, root: Path) -> None:
        """Make a folder what this disk is."""
        shutil.rmtree(root)
        root.mkdir()
        for path, number in self.walk():
            if number in self.folders:
                (root / path).mkdir()
            else:
                (root / path).write_bytes(self.files[number])
                os.utime(root / path, (self.times[number], self.times[number]))


class Recording:
    """What was done to a folder, from the words of strace.

    Parameters
    ----------
    root
        The folder, as it is before anything is done.
    marks
        A file outside of it: each write to it becomes a MARK.

    Attributes
    ----------
    before
        The disk at the beginning; what was made later is there without a name.
    changes
        What was done, in order.
    """

    def __init__(self, root: Path, marks: Path):
        self._root, self._marks = root, marks
        self.before = Disk.read(root)
        self._now = self.before.copy()
        self._next = 1 + max([*self.before.files, *self.before.folders])
        self._positions: dict[bytes, int] = {}  # of open files, by descriptor
        self.changes: list[Change] = []

    def read(self, trace: bytes) -> None:
        """Take a whole report."""
        begun: dict[bytes, bytes] = {}
        for line in trace.split(b"\n"):
            if not (found := _LINE.match(line)):
                continue
            process, when, call, rest = found.groups()
            if rest.endswith(b" <unfinished ...>"):
                begun[process] = rest.removesuffix(b" <unfinished ...>")
                continue
            if b" resumed>" in line:
                rest = begun.pop(process, b"") + rest
            if (ended := _END.match(rest)) and int(ended[2]) >= 0:
                self._take(call.decode(), ended[1], int(ended[2]), float(when))

    def _take(self, call: str, arguments: bytes, result: int, when: float) -> None:
        """Note what one call, which succeeded, has done below the root."""
        places = _PLACE.findall(arguments)
        texts = [_plain(text) for text in _TEXT.findall(arguments)]
        if call == "write" and _plain(places[0][1]) == os.fsencode(self._marks):
            self.changes.append(Change(MARK))
        paths = self._paths(call, places, texts)
        if not any(paths) or any(path.name.endswith("-shm") for path in filter(None, paths)):
            return
        if None in paths:
            raise AssertionError(f"{call} between the folder and elsewhere: {paths}")
        numbers = [self._now.find(path) for path in paths]
        if call in ("openat", "open", "creat"):
            self._open(paths[0], numbers[0], arguments, result, when)
        elif call.startswith("rename"):
            self._name(when, (paths[1], numbers[0]), (paths[0], None))
        elif call.startswith("unlink") or call == "rmdir":
            self._name(when, (paths[0], None))
        elif call.startswith("mkdir"):
            self._make(paths[0], when, is_folder=True)
        elif call in ("fsync", "fdatasync"):
            self.changes.append(Change(FLUSH, numbers[0]))
        elif call != "mmap" or (b"MAP_SHARED" in arguments and b"PROT_WRITE" in arguments):
            self._write(call, numbers[0], places[0][0], arguments, b"".join(texts), result, when)

    def _paths(self, call: str, places: list, texts: list[bytes]) -> list[Path | None]:
        """Return what a call is about, below the root; None for what lies elsewhere."""
        if call.startswith(_OF_NAMES) or (call == "utimensat" and texts):
            folders = [_plain(path) for _, path, _ in places] or [b"/"] * len(texts)
            found = [os.path.join(a, b) for a, b in zip(folders, texts, strict=False)]
        else:
            found = [_plain(path) for _, path, is_deleted in places[:1] if not is_deleted]
        paths = [Path(os.fsdecode(each)) for each in found]
        root = self._root
        return [p.relative_to(root) if p.is_relative_to(root) else None for p in paths]

    def _open(
        self, path: Path, number: int | None, arguments: bytes, result: int, when: float
    ) -> None:
        if number is None:
            number = self._make(path, when, is_folder=False)
        elif b"O_TRUNC" in arguments:
            self._add(Change(SIZE, number, when))
        assert b"O_APPEND" not in arguments, f"{path} is appended to: that is not understood"
        self._positions[b"%d" % result] = 0

    def _write(
        self,
        call: str,
        number: int,
        descriptor: bytes,
        arguments: bytes,
        content: bytes,
        result: int,
        when: float,
    ) -> None:
        if call in ("write", "writev"):
            offset = self._positions[descriptor]
            self._positions[descriptor] = offset + result
            self._add(Change(BYTES, number, when, offset, content[:result]))
        elif call in ("pwrite64", "pwritev"):
            offset = int(arguments.rpartition(b", ")[2])
            self._add(Change(BYTES, number, when, offset, content[:result]))
        elif call == "lseek":
            self._positions[descriptor] = result
        elif call == "ftruncate":
            self._add(Change(SIZE, number, when, int(arguments.rpartition(b", ")[2])))
        elif call == "utimensat":
            seconds = re.findall(rb"tv_sec=(\d+)[^,]*, tv_nsec=(\d+)", arguments)[-1]
            told = int(seconds[0]) + int(seconds[1]) / 1e9
            self._add(Change(BYTES, number, told, 0, b""))
        else:
            raise AssertionError(f"{call} is not understood: {arguments[:200]!r}")

    def _make(self, path: Path, when: float, *, is_folder: bool) -> int:
        number, self._next = self._next, self._next + 1
        for disk in (self.before, self._now):
            disk.add(number, when, is_folder=is_folder)
        self._name(when, (path, number))
        return number

    def _name(self, when: float, *entries: tuple[Path, int | None]) -> None:
        found = tuple((self._now.find(path.parent), path.name, of) for path, of in entries)
        self._add(Change(NAMES, found[0][0], when, entries=found))

    def _add(self, change: Change) -> None:
        self._now.apply(change)
        self.changes.append(change)


def _plain(text: bytes) -> bytes:
    return bytes.fromhex(text.replace(b"\\x", b"").decode())
