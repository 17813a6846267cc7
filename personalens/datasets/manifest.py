"""The manifest of a dataset's imports: which Parquet parts count, and what their bytes are."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from personalens import durable_files
from personalens.durable_files import DamagedFiles

MANIFEST_FILE, MANIFEST_FORMAT = "current.json", 2


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
        """Read what :meth:`to_json` wrote, in this version or an earlier one.

        Raises
        ------
        DamagedFiles
            If a newer version has written it.
        ValueError
            If it is anything else.
        """
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
