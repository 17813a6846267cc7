"""Columns of numbers and strings as plain arrays, for files that hold nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd


def to_arrays(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return columns as arrays for :func:`from_arrays`: numbers as they are, strings as codes and
    their distinct words. Missing strings (None, NaN) come back as None.

    Examples
    --------
    >>> arrays = to_arrays({"DEVICE": np.array(["tv", None, "tv"], object), "HOUR": np.arange(3)})
    >>> sorted(arrays)
    ['0.codes', '0.words', '1.values', 'names']
    >>> from_arrays(arrays)["DEVICE"].tolist()
    ['tv', None, 'tv']
    """
    arrays = {"names": json_array(list(columns))}
    for number, values in enumerate(columns.values()):
        if values.dtype != object:
            arrays[f"{number}.values"] = values
            continue
        codes, words = pd.factorize(values)
        arrays[f"{number}.codes"] = codes.astype(np.int32)
        arrays[f"{number}.words"] = json_array([str(word) for word in words])
    return arrays


def from_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Take back what :func:`to_arrays` gave."""
    columns = {}
    for number, name in enumerate(parse_json_array(arrays["names"])):
        if f"{number}.values" in arrays:
            columns[name] = arrays[f"{number}.values"]
        else:  # a missing value has code -1, so None stands last
            words = np.array([*parse_json_array(arrays[f"{number}.words"]), None], dtype=object)
            columns[name] = words[arrays[f"{number}.codes"]]
    return columns


def json_array(content: Any) -> np.ndarray:
    """Return something as the (n,) uint8 bytes of its JSON text."""
    return np.frombuffer(json.dumps(content, ensure_ascii=False).encode(), np.uint8)


def parse_json_array(array: np.ndarray) -> Any:
    """Take back what :func:`json_array` gave."""
    return json.loads(bytes(array))
