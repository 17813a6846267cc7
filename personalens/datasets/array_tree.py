"""Nested dicts of arrays, and files that hold nothing but arrays by name: a path joined by dots.

Whoever has something to keep gives it as a tree: ``{"reader": {"edges": ...}, "weights": ...}``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd


class ArrayTree(dict[str, Any]):
    """What :func:`unflatten` returns. An array deep inside is also found by its whole path: a name
    with dots in it comes back under the name that it was given."""

    def __missing__(self, path: str) -> Any:
        first, dot, rest = path.partition(".")
        if not dot:
            raise KeyError(path)
        return self[first][rest]


def flatten(tree: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return the arrays of a tree by their paths.

    Examples
    --------
    >>> flat = flatten({"pairs": {"0": {"values": np.ones(1)}}, "shares": np.zeros(2)})
    >>> sorted(flat)
    ['pairs.0.values', 'shares']
    >>> tree = unflatten(flat)
    >>> tree["pairs"]["0"]["values"] is tree["pairs.0.values"] is flat["pairs.0.values"]
    True
    """
    flat = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{inner}": array for inner, array in flatten(value).items()}
        else:
            flat[name] = value
    return flat


def unflatten(flat: Mapping[str, np.ndarray]) -> ArrayTree:
    """Take back what :func:`flatten` gave. Branches without any array are not there."""
    tree = ArrayTree()
    for path, array in flat.items():
        *branches, last = path.split(".")
        place = tree
        for branch in branches:
            place = place.setdefault(branch, ArrayTree())
        place[last] = array
    return tree


def column_tree(columns: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return columns for :func:`columns_of`: numbers as they are, strings as codes and their
    distinct words. Missing strings (None, NaN) come back as None.

    Examples
    --------
    >>> tree = column_tree({"DEVICE": np.array(["tv", None, "tv"], object), "HOUR": np.arange(3)})
    >>> sorted(flatten(tree))
    ['0.codes', '0.words', '1.values', 'names']
    >>> columns_of(tree)["DEVICE"].tolist()
    ['tv', None, 'tv']
    """
    tree: dict[str, Any] = {"names": json_array(list(columns))}
    for number, values in enumerate(columns.values()):
        if values.dtype != object:
            tree[str(number)] = {"values": values}
            continue
        codes, words = pd.factorize(values)
        words = json_array([str(word) for word in words])
        tree[str(number)] = {"codes": codes.astype(np.int32), "words": words}
    return tree


def columns_of(tree: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Take back what :func:`column_tree` gave."""
    columns = {}
    for number, name in enumerate(parse_json_array(tree["names"])):
        kept = tree[str(number)]
        if "values" in kept:
            columns[name] = kept["values"]
        else:  # a missing value has code -1, so None stands last
            words = np.array([*parse_json_array(kept["words"]), None], dtype=object)
            columns[name] = words[kept["codes"]]
    return columns


def json_array(content: Any) -> np.ndarray:
    """Return something as the (n,) uint8 bytes of its JSON text."""
    return np.frombuffer(json.dumps(content, ensure_ascii=False).encode(), np.uint8)


def parse_json_array(array: np.ndarray) -> Any:
    """Take back what :func:`json_array` gave."""
    return json.loads(bytes(array))
