"""A trained model on disk: config.json, ids.json and weights.safetensors; nothing pickled.

Writing is all or nothing, and leaves checksums beside the files. Reading compares them, which takes
a second for a gigabyte or two, and then maps the weights into memory instead of copying them, so
that processes that serve the same model share its pages.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from personalens import durable_files
from personalens.durable_files import DamagedFiles

CONFIG_FILE, IDS_FILE, WEIGHTS_FILE = "config.json", "ids.json", "weights.safetensors"
FORMAT_VERSION = 2
"""Another one whenever a network has other weights than before."""
_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "u1",
    "BOOL": "?",
}


class OtherFormat(ValueError):
    """A model was saved by a PersonaLens whose networks were others."""


@dataclass(frozen=True)
class Artifact:
    """The content of a model's folder: settings, identifiers and arrays by name."""

    config: dict[str, Any]
    ids: dict[str, list[str]]
    arrays: dict[str, np.ndarray]

    def part(self, prefix: str) -> dict[str, np.ndarray]:
        """Return the arrays whose names begin with ``prefix``, named without it."""
        named = {n: array for n, array in self.arrays.items() if n.startswith(prefix)}
        return {name.removeprefix(prefix): array for name, array in named.items()}


def write_artifact(folder: Path, artifact: Artifact) -> None:
    """Write a folder, all of it or nothing.

    Raises
    ------
    FileExistsError
        If ``folder`` exists.
    """
    if folder.exists():
        raise FileExistsError(f"{folder} exists; choose another folder or delete it")
    config = {"format_version": FORMAT_VERSION, **artifact.config}
    arrays = {name: np.ascontiguousarray(array) for name, array in artifact.arrays.items()}
    with durable_files.replacing(folder) as partial:
        partial.mkdir()
        for name, content in ((CONFIG_FILE, config), (IDS_FILE, artifact.ids)):
            with (partial / name).open("w", encoding="utf-8") as file:
                json.dump(content, file, ensure_ascii=False, indent=1)
        _save(arrays, partial / WEIGHTS_FILE)
        durable_files.seal(partial)


def _save(arrays: dict[str, np.ndarray], path: Path) -> None:
    try:
        save_file(arrays, path)
    except SafetensorError as error:
        raise durable_files.as_os_error(error, path) or error from error


def read_artifact(folder: Path) -> Artifact:
    """Read what :func:`write_artifact` wrote; the arrays are mapped, not copied.

    Raises
    ------
    FileNotFoundError
        If there is no model in ``folder``.
    OtherFormat
        If it was written in a format that this version does not read.
    DamagedFiles
        If its files are not those that were written.
    """
    config = _read_json(folder, CONFIG_FILE)
    version = config.get("format_version")
    if version != FORMAT_VERSION:
        is_newer = isinstance(version, int) and version > FORMAT_VERSION
        raise OtherFormat(
            f"{folder} has the format {version!r}; this PersonaLens reads {FORMAT_VERSION}. "
            + ("Update PersonaLens, or train" if is_newer else "Train")
            + " the model again."
        )
    if problem := durable_files.find_damage(folder):
        raise damaged(folder, problem)
    return Artifact(config, _read_json(folder, IDS_FILE), map_safetensors(folder / WEIGHTS_FILE))


def damaged(folder: Path, problem: str) -> DamagedFiles:
    """Return the error that says what is wrong with a model's files, and what to do."""
    return DamagedFiles(
        f"The model in {folder} is damaged: {problem}. Train it again, or restore the files from "
        "a backup."
    )


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    try:
        content = json.loads((folder / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"there is no model in {folder}: {name} is missing. Train one and save it there."
        ) from None
    except OSError as error:
        raise damaged(folder, f"{name} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise damaged(folder, f"{name} is not what was written") from error
    if not isinstance(content, dict):
        raise damaged(folder, f"{name} is not what was written")
    return content


def map_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a safetensors file as views of the mapped file.

    The map is copy-on-write: an array may be written to (torch insists on that), but the change
    stays in this process and never reaches the file.

    Notes
    -----
    The format: eight bytes with the length of a JSON header, the header (name -> dtype, shape,
    offsets), then the bytes. ``safetensors.numpy.load_file`` reads the same but copies.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            header_length = int.from_bytes(file.read(8), "little")
            if not 0 < header_length <= size - 8:
                raise damaged(path.parent, f"{path.name} is cut or foreign")
            header = json.loads(file.read(header_length))
        content = np.memmap(path, dtype=np.uint8, mode="c", offset=0).view(np.ndarray)
        header.pop("__metadata__", None)
        return {name: _view(content[8 + header_length :], entry) for name, entry in header.items()}
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        what = "is missing" if missing else f"cannot be read ({error.strerror})"
        raise damaged(path.parent, f"{path.name} {what}") from error
    except DamagedFiles:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise damaged(path.parent, f"{path.name} is cut or foreign") from error


def _view(content: np.ndarray, entry: dict[str, Any]) -> np.ndarray:
    begin, end = entry["data_offsets"]
    if not 0 <= begin <= end <= len(content):
        raise ValueError("an array ends beyond its file")
    return content[begin:end].view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])
