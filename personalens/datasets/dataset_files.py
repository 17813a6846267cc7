"""Imported data on disk: Parquet parts that never change, and a manifest of those that count.

A folder holds ``parts/*.parquet`` and ``current.json``. An import writes a part beside the others
and then replaces the manifest in one rename, so a reader sees the data from before or from after an
import, never from in between, and a process that is killed leaves the earlier data as they were.
Parts that no manifest names are swept at the next change.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from personalens import durable_files
from personalens.datasets.csv_import import METADATA_KEY
from personalens.datasets.id_maps import require_list
from personalens.datasets.interactions import EVENT_TYPE, ITEM_ID, TIMESTAMP, USER_ID, Interactions
from personalens.datasets.schema_rules import (
    ACTION_INTERACTIONS,
    ACTIONS,
    INTERACTIONS,
    ITEMS,
    USERS,
)
from personalens.durable_files import DamagedFiles

if TYPE_CHECKING:
    import pyarrow.dataset


MANIFEST_FILE, MANIFEST_FORMAT = "current.json", 2
ACTION_ID = "ACTION_ID"
_ID_COLUMNS = {ITEMS: ITEM_ID, USERS: USER_ID, ACTIONS: ACTION_ID}
_DUPLICATE_KEYS = {
    **{kind: (name,) for kind, name in _ID_COLUMNS.items()},
    INTERACTIONS: (USER_ID, ITEM_ID, TIMESTAMP, EVENT_TYPE),
    ACTION_INTERACTIONS: (USER_ID, ACTION_ID, TIMESTAMP, EVENT_TYPE),
}
_CODED = [USER_ID, ITEM_ID, ACTION_ID, EVENT_TYPE]
"""Columns that stay dictionaries while they are read."""


class NoBulkData(ValueError):
    """An INCREMENTAL import before the first FULL one."""


@dataclass(frozen=True)
class Part:
    """One immutable Parquet file. ``name`` is the import's: a repeated import replaces its part.
    ``sha256`` is its checksum; None if an earlier version wrote it."""

    name: str
    file: str
    rows: int
    sha256: str | None = None


@dataclass(frozen=True)
class Manifest:
    """Which parts count, oldest first. ``rows`` are distinct ids where a data set has ids."""

    generation: int
    dataset_type: str | None
    parts: tuple[Part, ...]
    rows: int

    def to_json(self) -> str:
        content = {"format": MANIFEST_FORMAT, **asdict(self)}
        return durable_files.as_json({**content, "sha256": _checksum(content)})

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read what :meth:`to_json` wrote, in this version or an earlier one. It raises
        DamagedFiles if a newer version has written it, and ValueError if it is anything else."""
        loaded = json.loads(text)
        if not isinstance(loaded, dict):
            raise ValueError("no manifest")
        version, checksum = loaded.pop("format", 1), loaded.pop("sha256", None)
        if not isinstance(version, int) or version > MANIFEST_FORMAT:
            raise DamagedFiles(
                f"A newer PersonaLens wrote these rows, in the format {version!r}; this one reads "
                f"formats up to {MANIFEST_FORMAT}. Update PersonaLens."
            )
        try:
            parts = tuple(Part(**part) for part in loaded["parts"])
            manifest = cls(**{**loaded, "parts": parts})
        except (TypeError, KeyError) as error:
            raise ValueError("no manifest") from error
        if version > 1 and (checksum is None or manifest.to_json() != text):
            raise ValueError("not as it was written")
        return manifest


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(durable_files.as_json(content).encode()).hexdigest()


EMPTY = Manifest(0, None, (), 0)


class PutRows(NamedTuple):
    """Rows that came one by one beside the imports: in their order, with the dataset's type and the
    second when each came, (n,) ascending."""

    dataset_type: str
    table: pa.Table
    times: np.ndarray


class DatasetFiles:
    """The bulk data of one dataset, in a folder that need not be there yet.

    Duplicates stay in the parts and are left out by :meth:`read`, whatever imports they came with.
    For items, users and actions the last record of an id counts, in the order of the imports
    and of their rows. For interactions, events of one user with one item in one second and of one
    type are one event, and the last delivered counts.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    @property
    def manifest(self) -> Manifest:
        """The present manifest; ``EMPTY`` before the first import."""
        try:
            return Manifest.from_json((self.folder / MANIFEST_FILE).read_text("utf-8"))
        except FileNotFoundError:
            return EMPTY
        except DamagedFiles:
            raise
        except OSError as error:
            what = f"{MANIFEST_FILE} cannot be read ({error.strerror})"
            raise self._damaged(what) from error
        except (ValueError, RecursionError) as error:
            raise self._damaged(f"{MANIFEST_FILE} is not what was written") from error

    @property
    def row_count(self) -> int:
        """Records: interactions as delivered; items, users and actions by distinct id."""
        return self.manifest.rows

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been imported yet, so that only a FULL import is possible."""
        return not self.manifest.parts

    def replace(self, staged: Path, *, name: str | None = None) -> Manifest:
        """Make a staged part the whole of the bulk data (importMode FULL).

        ``staged`` is the Parquet file that :func:`import_csv` has written, on the same file system;
        it is moved. ``name`` is what to call the part, for instance after the import job.
        """
        return self._commit(staged, name, keep_parts=False)

    def append(self, staged: Path, *, name: str | None = None) -> Manifest:
        """Add a staged part (importMode INCREMENTAL); see :meth:`replace`.

        A part that has this name already is replaced, so that a job which died after this call and
        is done again does not add its rows twice. NoBulkData if there has been no FULL import.
        """
        return self._commit(staged, name, keep_parts=True)

    def read(self, columns: Sequence[str] | None = None, *, put: PutRows | None = None) -> pa.Table:
        """Return the records, duplicates left out, with these columns (default: all).

        A column that a part does not have (the schema was replaced since) is null there. Rows of
        ``put`` take their place among the imports by time.
        """
        if columns is not None:
            require_list(columns, "columns", of="columns")
        table = self._on_current(lambda manifest: self._load(manifest, columns, put))
        return _plain(table)

    def read_interactions(self, *, tie_seed: int = 0, put: PutRows | None = None) -> Interactions:
        """Return the events of an Interactions dataset, ready for a recipe.

        The same as ``Interactions.from_frame(files.read().to_pandas())`` in far less memory,
        since identifiers stay coded on the way.
        """
        table = self._on_current(lambda manifest: self._load(manifest, None, put))
        return Interactions.from_table(table, tie_seed=tie_seed)

    def read_delivered(self, *, put: PutRows | None = None, imported: bool = True) -> pa.Table:
        """Return all records as they were delivered, those that are equal in everything once."""

        def load(manifest: Manifest) -> pa.Table:
            tables = [self._read_part(part, None) for part in manifest.parts if imported]
            tables += [] if put is None else [put.table]
            if not tables:
                return pa.table({})
            table = pa.concat_tables([_plain(t) for t in tables], promote_options="default")
            coded = [pc.dictionary_encode(column).unify_dictionaries() for column in table.columns]
            return table.filter(pa.array(is_last(pa.table(coded, table.column_names))))

        return self._on_current(load)

    def count_rows_of(self, users: Sequence[str]) -> int:
        """Return how many delivered records belong to these users."""
        require_list(users, "users")
        return self._on_current(
            lambda manifest: sum(self._count_rows(part, users) for part in manifest.parts)
        )

    def remove_rows_of(self, users: Sequence[str]) -> None:
        """Leave these users' records out of all parts, in one step."""
        require_list(users, "users")
        with self._locked(), self._undoing(self.manifest) as before:
            parts, generation = [], before.generation + 1
            for part in before.parts:
                if self._count_rows(part, users):
                    changed = replace(part, file=_file_name(generation, uuid.uuid4().hex[:12]))
                    rows = write_without(self._path(part), self._path(changed), users)
                    checksum = durable_files.checksum(self._path(changed))
                    part = replace(changed, rows=rows, sha256=checksum)
                parts.append(part)
            if tuple(parts) != before.parts:
                durable_files.flush(self.folder / "parts")
                kind = before.dataset_type
                count = self._count(kind, tuple(parts))
                self._publish(before, Manifest(generation, kind, tuple(parts), count))

    def delete(self) -> None:
        """Remove everything. The manifest goes first, so that no reader sees half a data set."""
        (self.folder / MANIFEST_FILE).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _commit(self, staged: Path, name: str | None, *, keep_parts: bool) -> Manifest:
        found = pq.read_metadata(staged)
        dataset_type = json.loads(found.metadata[METADATA_KEY])["dataset_type"]
        checksum = durable_files.checksum(staged)
        with (
            self._locked(),
            self._undoing(self.manifest if keep_parts else self._replaceable()) as before,
        ):
            if keep_parts and not before.parts:
                raise NoBulkData(
                    "An INCREMENTAL import adds to bulk data, and there are none yet: "
                    "import once with importMode FULL."
                )
            generation = before.generation + 1
            token = uuid.uuid4().hex[:12]
            part = Part(name or token, _file_name(generation, token), found.num_rows, checksum)
            durable_files.make_folders(self.folder / "parts")
            durable_files.move(staged, self._path(part))
            kept = [old for old in before.parts if keep_parts and old.name != part.name]
            parts = (*kept, part)
            manifest = Manifest(generation, dataset_type, parts, self._count(dataset_type, parts))
            self._publish(before, manifest)
        return manifest

    def _replaceable(self) -> Manifest:
        """Return the manifest whose parts a FULL import replaces, whatever state it is in."""
        try:
            return self.manifest
        except DamagedFiles:
            path = self.folder / MANIFEST_FILE
            if path.is_dir():
                shutil.rmtree(path)
            parts = self.folder / "parts"
            # Numbers go on: what a process has kept of generation 1 is not what will be 1 now.
            numbers = [each.name[:6] for each in (parts.iterdir() if parts.is_dir() else ())]
            return replace(EMPTY, generation=max([0, *map(int, filter(str.isdigit, numbers))]))

    def _publish(self, before: Manifest, manifest: Manifest) -> None:
        path = self.folder / MANIFEST_FILE
        try:
            durable_files.write_text(path, manifest.to_json())
        except OSError:
            # It may have its name already, and only the flush of that has failed. What is said to
            # have failed must not be there. Numbers go on, for somebody may have read it.
            with suppress(OSError):
                if self.manifest == manifest:
                    restored = replace(before, generation=manifest.generation + 1)
                    durable_files.write_text(path, restored.to_json())
            raise
        self._sweep(manifest)

    def _count(self, dataset_type: str, parts: tuple[Part, ...]) -> int:
        if dataset_type not in _ID_COLUMNS:
            return sum(part.rows for part in parts)
        return len(self._load(Manifest(0, dataset_type, parts, 0), [_ID_COLUMNS[dataset_type]]))

    def _path(self, part: Part) -> Path:
        return self.folder / "parts" / part.file

    def _load(
        self, manifest: Manifest, columns: Sequence[str] | None, put: PutRows | None = None
    ) -> pa.Table:
        """Read the parts, identifiers as dictionaries, and leave duplicates out."""
        if not manifest.parts and put is None:
            return pa.table({})
        kind = manifest.dataset_type if put is None else put.dataset_type
        keys = _DUPLICATE_KEYS.get(kind, ())
        wanted = None if columns is None else list(dict.fromkeys([*columns, *keys]))
        tables = [self._read_part(part, wanted) for part in manifest.parts]
        if put is not None:
            times = [self._path(part).stat().st_mtime for part in manifest.parts]
            tables = _interleave(tables, times, put, wanted)
        table = pa.concat_tables(tables, promote_options="default").unify_dictionaries()
        if keys:
            keep = is_last(table.select([key for key in keys if key in table.column_names]))
            table = table if keep.all() else table.filter(pa.array(keep))
        for name in columns or ():
            if name not in table.column_names:  # in no part: added to the schema since
                table = table.append_column(name, pa.nulls(len(table)))
        return table if columns is None else table.select(list(columns))

    def _read_part(self, part: Part, columns: Sequence[str] | None) -> pa.Table:
        with self._readable(part) as path:
            names = pq.read_schema(path).names
            wanted = names if columns is None else [name for name in columns if name in names]
            coded = [name for name in wanted if name in _CODED]
            with pq.ParquetFile(path, read_dictionary=coded) as file:
                return file.read(wanted).replace_schema_metadata(None)

    def _count_rows(self, part: Part, users: Sequence[str]) -> int:
        with self._readable(part) as path:
            if USER_ID not in pq.read_schema(path).names:
                return 0
            return _dataset(path).count_rows(filter=_belongs_to(users))

    @contextmanager
    def _readable(self, part: Part) -> Iterator[Path]:
        """The path of a part that is what was imported."""
        path = self._path(part)
        try:
            if part.sha256 not in (None, durable_files.checksum(path)):
                raise self._damaged(f"{part.file} is not what was imported")
            yield path
        except (FileNotFoundError, DamagedFiles, MemoryError):
            raise
        except OSError as error:
            reason = error.strerror or "it is cut or foreign"
            raise self._damaged(f"{part.file} cannot be read ({reason})") from error
        except (pa.ArrowException, ValueError, KeyError) as error:
            raise self._damaged(f"{part.file} is not what was imported") from error

    def _damaged(self, problem: str) -> DamagedFiles:
        return DamagedFiles(
            f"The imported rows in {self.folder} are damaged: {problem}. Import the data again "
            "with importMode FULL, or restore the files from a backup."
        )

    def _on_current(self, load: Callable[[Manifest], Any]) -> Any:
        """Run ``load`` on the manifest; again if an import has swept its parts meanwhile."""
        while True:
            manifest = self.manifest
            try:
                return load(manifest)
            except FileNotFoundError as error:
                if self.manifest == manifest:
                    name = Path(str(error.filename)).name
                    raise self._damaged(f"{name} is missing") from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        durable_files.make_folders(self.folder)
        with (self.folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                yield
            finally:  # to close is not enough: a process that was forked meanwhile has it, too
                fcntl.flock(lock, fcntl.LOCK_UN)

    @contextmanager
    def _undoing(self, before: Manifest) -> Iterator[Manifest]:
        """Remove parts that were made in vain where the block fails. Those from before stay in any
        case: a new manifest may be seen, and yet not be on the disk."""
        try:
            yield before
        except BaseException:
            with suppress(OSError, DamagedFiles):
                self._sweep(before, self.manifest)
            raise

    def _sweep(self, *manifests: Manifest) -> None:
        named = {part.file for manifest in manifests for part in manifest.parts}
        with suppress(OSError):  # what stays is removed at the next change: no reason to fail now
            for path in (self.folder / "parts").iterdir():
                if path.name in named:
                    continue
                if path.is_dir():  # not ours: somebody put it in the place of a part
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)


def _file_name(generation: int, token: str) -> str:
    return f"{generation:06d}-{token}.parquet"


def _interleave(
    tables: list[pa.Table], times: list[float], put: PutRows, wanted: Sequence[str] | None
) -> list[pa.Table]:
    """Return the imported tables, which came at these times, with the put rows between them."""
    rows = put.table
    if wanted is not None:
        rows = rows.select([name for name in wanted if name in rows.column_names])
    for number, name in enumerate(rows.column_names):
        if name in _CODED:
            rows = rows.set_column(number, name, rows[name].dictionary_encode())
    places = [0, *np.searchsorted(put.times, times).tolist(), rows.num_rows]
    pieces = [rows.slice(a, max(0, b - a)) for a, b in pairwise(np.maximum.accumulate(places))]
    mixed = [pieces[0]]
    for table, piece in zip(tables, pieces[1:], strict=True):
        mixed += [table, piece]
    return mixed


def _plain(table: pa.Table) -> pa.Table:
    """Return the table without dictionaries."""
    plain = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(plain))


def is_last(keys: pa.Table) -> np.ndarray:
    """Return (n,) bool: whether a row is the last of those with its values.

    Rows are compared by a 64-bit mixture of the columns' codes; only the few that share one with
    another row are then compared exactly.
    """
    codes = [_codes(column) for column in keys.columns]
    keep = np.ones(keys.num_rows, bool)
    mixed = pd.Series(_mix(codes, keys.num_rows))
    suspects = np.flatnonzero(mixed.duplicated(keep=False).to_numpy())
    if len(suspects):
        rows = pd.DataFrame({number: column[suspects] for number, column in enumerate(codes)})
        keep[suspects[rows.duplicated(keep="last").to_numpy()]] = False
    return keep


def _mix(codes: list[np.ndarray], rows: int) -> np.ndarray:
    """Return one (n,) uint64 from several columns of codes."""
    mixed = np.zeros(rows, np.uint64)
    for column in codes:
        mixed = (mixed ^ column.view(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return mixed


def _codes(column: pa.ChunkedArray) -> np.ndarray:
    """Return a column as (n,) int64 that are equal where the values are."""
    if pa.types.is_dictionary(column.type):
        chunks = [
            chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in column.chunks
        ]
        return np.concatenate(chunks).astype(np.int64) if chunks else np.zeros(0, np.int64)
    return column.to_numpy().astype(np.int64)


def write_without(source: Path, target: Path, users: Sequence[str]) -> int:
    """Copy a part without the rows of these users, flushed to disk; return how many rows it has.

    It keeps the time of the original: that says which came later, it or a record that was put.
    """
    rows = 0
    with pq.ParquetWriter(target, pq.read_schema(source), compression="snappy") as writer:
        for batch in _dataset(source).to_batches(filter=~_belongs_to(users)):
            rows += batch.num_rows
            writer.write_batch(batch)
    status = source.stat()
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    durable_files.flush(target)
    return rows


def _dataset(path: Path) -> pyarrow.dataset.Dataset:
    """Return a part to be read batch by batch."""
    import pyarrow.dataset  # used for deletions only

    return pyarrow.dataset.dataset(path, format="parquet")


def _belongs_to(users: Sequence[str]) -> pc.Expression:
    return pc.field(USER_ID).isin(pa.array(users, pa.string()))
