"""What the items of a list have in common, in the catalogue's own words.

Amazon Personalize: batch recommendations with themes, ``batchInferenceJobMode`` THEME_GENERATION.
There a large language model words the theme ("Rise and shine" above a list of breakfast foods).
Here it is put together from the categories and words of the items, so nothing is downloaded and
everybody can see where a theme comes from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse

from personalens.datasets.metadata import Field, Metadata, categorical_values
from personalens.training.factorization import unit_rows, words_of

MOST_TERMS = 3
LEAST_SHARE, LEAST_ITEMS = 0.2, 2
"""A term stands for a list if so many of its items have it."""
STANDING_OUT = 0.4
"""A further term must say at least this share of what the best one says."""
WORD = 0.5
"""What a word of a text counts beside a category, which is made to tell kinds apart."""


class Theme(NamedTuple):
    """A theme in words, and how relevant it is for each item, (n,) float64 in 0..1."""

    text: str
    relevance: np.ndarray


class ThemeWriter:
    """Finds the theme of lists of items. Safe to share between threads.

    A term is a category, or a word of a text in lower case. If a share p of a list's items has it,
    and a share q of the catalogue, it says p log(p / q) of the list: its part of what the list
    tells more than the catalogue does (of the Kullback-Leibler divergence); a word half of it. The
    one to three terms that say most are the theme.

    A theme is as relevant for an item as their vectors are near: the cosine, where rare terms weigh
    more, as in :func:`~personalens.training.factorization.tf_idf`. The service's scores are said to
    lie in -0.1 to 0.6, ours lie in 0 to 1; how the service reckons them is not published.

    The categorical and text fields of ``items``, the catalogue, are read, but for ``name_field``,
    which names an item: what items of one list are called tells seldom what they are. To have its
    words as terms, give the names in another text field, too.

    Examples
    --------
    >>> import pandas as pd
    >>> names = ["Up", "Cars", "Alien", "Solaris", "Rio"]
    >>> genres = ["Animation", "Animation|Comedy", "Horror|Sci-Fi", "Sci-Fi", "Animation|Comedy"]
    >>> films = pd.DataFrame({"ITEM_ID": list("12345"), "TITLE": names, "GENRES": genres})
    >>> writer = ThemeWriter(Metadata.from_frame(films, "ITEM_ID", text=["TITLE"]), "TITLE")
    >>> text, relevance = writer.theme(["1", "2", "5"], "1")
    >>> text, relevance.round(2).tolist()
    ('Animation and Comedy', [0.64, 1.0, 1.0])
    >>> writer.theme(["1", "3"], "4").text
    'More like Solaris'
    """

    def __init__(self, items: Metadata, name_field: str):
        self._ids, self._names = items.ids, items.fields[name_field].values
        self._labels, self._counts_for, had = _terms(items, name_field)
        counts = np.bincount(had.indices, minlength=len(self._labels))
        self._had, self._shares = had, (counts + 1.0) / (len(items) + 1.0)
        self._rarity = 1.0 + np.log((1.0 + len(items)) / (1.0 + counts))
        self._vectors = unit_rows(sparse.csr_array(had @ sparse.diags_array(self._rarity)))

    def theme(self, item_ids: Sequence[str], asked: str) -> Theme:
        """Return the theme of a list of items, which somebody got who asked about an item.

        If the items have nothing in common, the theme names that item.
        """
        rows = self._ids.encode(item_ids)
        known = rows >= 0
        terms = self._outstanding(rows[known])
        if len(terms):
            text = _joined([self._labels[term] for term in terms])
            wanted = np.zeros(len(self._labels))
            wanted[terms] = self._rarity[terms] / np.linalg.norm(self._rarity[terms])
        else:
            row = self._ids.code(asked)
            name = self._names[row] if row >= 0 else None
            text, wanted = f"More like {name or asked}", np.zeros(len(self._labels))
            if row >= 0:
                wanted = self._vectors[[row]].toarray()[0]
        relevance = np.zeros(len(rows))
        relevance[known] = np.clip(self._vectors[rows[known]] @ wanted, 0.0, 1.0)
        return Theme(text, relevance)

    def _outstanding(self, rows: np.ndarray) -> np.ndarray:
        """Return the codes of the terms that say most of these items, the best first."""
        counts = np.bincount(self._had[rows].indices, minlength=len(self._labels))
        candidates = np.flatnonzero(counts >= max(LEAST_ITEMS, LEAST_SHARE * len(rows)))
        share = counts[candidates] / max(len(rows), 1)
        told = share * np.log(share / self._shares[candidates]) * self._counts_for[candidates]
        best = np.argsort(-told, kind="stable")[:MOST_TERMS]
        least = STANDING_OUT * told.max(initial=0.0)
        return candidates[best[(told[best] > 0) & (told[best] >= least)]]


def _terms(items: Metadata, name_field: str) -> tuple[list[str], np.ndarray, sparse.csr_array]:
    """Return the labels of all terms, (terms,) how much each counts, and (items, terms) with 1.0
    where an item has one. A word that is a category, too, is the same term."""
    labels: dict[str, str] = {}
    counts_for: dict[str, float] = {}
    rows, codes = [], []
    numbers: dict[str, int] = {}
    fields = [field for name, field in items.fields.items() if name != name_field]
    for field in sorted(fields, key=lambda field: field.kind):  # categorical before text
        for row, terms in enumerate(_terms_of(field)):
            for term in terms:
                key = term.lower()
                labels.setdefault(key, term)
                counts_for.setdefault(key, WORD if field.kind == "text" else 1.0)
                rows.append(row)
                codes.append(numbers.setdefault(key, len(numbers)))
    table = sparse.csr_array(
        (np.ones(len(codes)), (np.array(rows, int), np.array(codes, int))),
        shape=(len(items), len(numbers)),
    )
    table.sum_duplicates()
    table.data[:] = 1.0
    return list(labels.values()), np.array(list(counts_for.values())), table


def _terms_of(field: Field) -> list[list[str]]:
    if field.kind == "text":
        texts = [words_of(text) if text else [] for text in field.values]
        return [sorted({word for word in words if not word.isdigit()}) for words in texts]
    if field.kind == "categorical":
        offsets, codes, vocabulary = categorical_values(field)
        of_rows = np.split(codes, offsets[1:-1])
        return [[vocabulary[code] for code in of_row] for of_row in of_rows]
    return []


def _joined(labels: Sequence[str]) -> str:
    """Return a list in words, with a capital at the beginning.

    >>> _joined(["space", "Sci-Fi", "Horror"])
    'Space, Sci-Fi and Horror'
    """
    *first, last = labels
    text = f"{', '.join(first)} and {last}" if first else last
    return text[:1].upper() + text[1:]
