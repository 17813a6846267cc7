"""A trained model on disk: config.json, ids.json and weights.safetensors; nothing pickled.

Writing is all or nothing, and leaves checksums beside the files. Reading compares them, which takes
a second for a gigabyte or two, and then maps the weights into memory instead of copying them, so
that processes that serve the same model share its pages.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import save_file

from personalens import durable_files
from personalens.datasets.array_tree import column_tree, columns_of, flatten, unflatten
from personalens.datasets.id_maps import IdMap
from personalens.datasets.interactions import Interactions
from personalens.datasets.metadata import Metadata
from personalens.durable_files import DamagedFiles
from personalens.recipes.objective import Objective

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
    """The content of a model's folder: settings, identifiers and a tree of arrays."""

    config: dict[str, Any]
    ids: dict[str, list[str]]
    arrays: Mapping[str, Any]


def write_artifact(folder: Path, artifact: Artifact) -> None:
    """Write a folder that does not exist yet, all of it or nothing."""
    if folder.exists():
        raise FileExistsError(f"{folder} exists; choose another folder or delete it")
    config = {"format_version": FORMAT_VERSION, **artifact.config}
    flat = flatten(artifact.arrays)
    arrays = {name: np.ascontiguousarray(array) for name, array in flat.items()}
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

    A model of a format that this version does not read raises OtherFormat, and files that are not
    those that were written DamagedFiles.
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
    arrays = unflatten(map_safetensors(folder / WEIGHTS_FILE))
    return Artifact(config, _read_json(folder, IDS_FILE), arrays)


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


# -- a recipe as the content of its folder ---------------------------------------------------------


def to_artifact(model: Any) -> Artifact:
    """Return what the files of a trained recipe hold: its settings, its identifiers, and as arrays
    what the recipe itself keeps, the histories, and, where there are such, users and objective."""
    events = model.interactions_
    arrays = {"model": model._tensors(), "history": history_arrays(events)}
    if model.users_ is not None:
        arrays["user"] = model.users_.to_arrays()
    if model.objective_ is not None:
        arrays["objective"] = vars(model.objective_)
    config = {
        "recipe": model.name,
        "config": model.config.model_dump(mode="json"),
        "seed": model.seed,
        "training_log": model.training_log_,
    }
    ids = {
        "items": model.items_.ids.tolist(),
        "users": events.users.ids.tolist(),
        "event_types": event_type_names(events),
    }
    return Artifact(config, ids, arrays)


def from_artifact(
    recipe: type[Any], artifact: Artifact, folder: str | os.PathLike[str], device: str
) -> Any:
    """Take back what :func:`to_artifact` gave, as a model of the class ``recipe``; ValueError if
    ``folder`` held another recipe's."""
    config, ids, arrays = artifact.config, artifact.ids, artifact.arrays
    if config["recipe"] != recipe.name:
        raise ValueError(f"{folder} holds a {config['recipe']} model, not {recipe.name}")
    model = recipe(recipe.Config(**config["config"]), seed=config["seed"], device=device)
    model.training_log_ = config["training_log"]
    model.items_ = IdMap(ids["items"])
    model.interactions_ = restore_histories(
        IdMap(ids["users"]), model.items_, ids["event_types"], arrays["history"]
    )
    if "user" in arrays:
        model.users_ = Metadata.from_arrays(arrays["user"])
    if "objective" in arrays:
        model.objective_ = Objective(**arrays["objective"])
    model._restore(arrays.get("model", {}))
    return model


def history_arrays(interactions: Interactions) -> dict[str, Any]:
    """Return the events as arrays for :func:`restore_histories`; event types go in as codes."""
    arrays = {
        "offsets": interactions.offsets,
        "items": interactions.item_codes,
        "timestamps": interactions.timestamps,
        "context": column_tree(interactions.context),
    }
    if interactions.event_values is not None:
        arrays["values"] = interactions.event_values
    if interactions.event_types is not None:
        names = event_type_names(interactions)
        codes = pd.Index(names, dtype=object).get_indexer(interactions.event_types)
        arrays["types"] = codes.astype(np.int16 if len(names) < 2**15 else np.int32)
    return arrays


def event_type_names(interactions: Interactions) -> list[str]:
    """Return the distinct event types, sorted; the empty ones (None, NaN) are not among them."""
    if interactions.event_types is None:
        return []
    distinct = pd.unique(pd.Series(interactions.event_types, dtype=object))
    return sorted(str(name) for name in distinct if not pd.isna(name))


def restore_histories(
    users: IdMap, items: IdMap, type_names: list[str], arrays: Mapping[str, Any]
) -> Interactions:
    """Return the events that :func:`history_arrays` took apart; ValueError if the arrays are not of
    these users, items and types."""
    types = arrays.get("types")
    sizes, codes = np.diff(arrays["offsets"]), arrays["items"]
    if len(sizes) != len(users) or (sizes < 0).any() or sizes.sum() != len(codes):
        raise ValueError("the histories are not of these users")
    if len(codes) and not 0 <= codes.min() <= codes.max() < len(items):
        raise ValueError("the histories are not of these items")
    return Interactions(
        users=users,
        items=items,
        user_codes=np.repeat(np.arange(len(users), dtype=np.int32), sizes),
        item_codes=codes,
        timestamps=arrays["timestamps"],
        event_values=arrays.get("values"),
        # The empty event type has code -1, so it stands last.
        event_types=None if types is None else np.array([*type_names, None], object)[types],
        context=columns_of(arrays["context"]),
    )
