"""A trained model on disk: config.json, ids.json and weights.safetensors; nothing pickled.

Writing is all or nothing. Reading maps the weights into memory instead of copying them, so opening
a large model takes no time, and processes that serve the same model share its pages.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from personalens import durable_files

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


def _save(arrays: dict[str, np.ndarray], path: Path) -> None:
    try:
        save_file(arrays, path)
    except SafetensorError as error:
        # It tells of a failing disk in words alone; others look for a full disk by its number.
        if not (number := re.search(r"os error (\d+)", str(error))):
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


def read_artifact(folder: Path) -> Artifact:
    """Read what :func:`write_artifact` wrote; the arrays are mapped, not copied.

    Raises
    ------
    FileNotFoundError
        If there is no model in ``folder``.
    OtherFormat
        If it was written in a format that this version does not read.
    """
    try:
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        ids = json.loads((folder / IDS_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"there is no model in {folder}: {Path(str(error.filename)).name} is missing. Train "
            "one and save it there."
        ) from None
    if config.get("format_version") != FORMAT_VERSION:
        raise OtherFormat(
            f"{folder} has the format {config.get('format_version')!r}; this PersonaLens reads "
            f"{FORMAT_VERSION}. Train the model again."
        )
    return Artifact(config, ids, map_safetensors(folder / WEIGHTS_FILE))


def map_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a safetensors file as views of the mapped file.

    The map is copy-on-write: an array may be written to (torch insists on that), but the change
    stays in this process and never reaches the file.

    Notes
    -----
    The format: eight bytes with the length of a JSON header, the header (name -> dtype, shape,
    offsets), then the bytes. ``safetensors.numpy.load_file`` reads the same but copies.
    """
    with path.open("rb") as file:
        header_length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(header_length))
    content = np.memmap(path, dtype=np.uint8, mode="c", offset=0).view(np.ndarray)
    arrays = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in _DTYPES:
            raise ValueError(f"{path}: {name} has the type {entry['dtype']}, which NumPy lacks")
        begin, end = (8 + header_length + offset for offset in entry["data_offsets"])
        arrays[name] = content[begin:end].view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return arrays
