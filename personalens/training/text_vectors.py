"""What texts are about, as vectors: TF-IDF and its largest directions (latent semantic analysis).

References
----------
Salton and Buckley, "Term-Weighting Approaches in Automatic Text Retrieval", Information Processing
and Management 1988. Deerwester et al., "Indexing by Latent Semantic Analysis", JASIS 1990.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from scipy import sparse

from personalens.training.start_values import principal_vectors

_WORD = re.compile(r"\w\w+")


def words_of(text: str) -> list[str]:
    """Return the words of a text, of two letters or digits at least, in lower case.

    >>> words_of("Blade-Runner (1982), a film")
    ['blade', 'runner', '1982', 'film']
    """
    return _WORD.findall(unicodedata.normalize("NFKC", text).lower())


def tf_idf(texts: Sequence[str | None]) -> sparse.csr_array:
    """Return (texts, words) float64, rows of length 1, or 0 where there is no word.

    A word that stands t times in a text, and in d of the n texts, weighs
    (1 + log t) * (1 + log((1 + n) / (1 + d))) before the row is brought to length 1. The words are
    in sorted order.

    Examples
    --------
    >>> table = tf_idf(["war war peace", "peace"])  # words: peace, war
    >>> table.toarray().round(2).tolist()
    [[0.39, 0.92], [1.0, 0.0]]
    """
    found = [words_of(text) if text else [] for text in texts]
    numbers = {word: n for n, word in enumerate(sorted({w for words in found for w in words}))}
    rows = np.repeat(np.arange(len(found)), [len(words) for words in found])
    codes = np.array([numbers[word] for words in found for word in words], np.int64)
    shape = (len(found), len(numbers))
    table = sparse.csr_array((np.ones(len(codes)), (rows, codes)), shape=shape)
    table.sum_duplicates()
    in_texts = np.bincount(table.indices, minlength=shape[1])
    weights = 1.0 + np.log((1.0 + len(found)) / (1.0 + in_texts))
    table.data = (1.0 + np.log(table.data)) * weights[table.indices]
    return unit_rows(table)


def unit_rows(table: sparse.csr_array) -> sparse.csr_array:
    """Return the rows brought to length 1; a row of zeros stays."""
    lengths = np.sqrt(np.asarray((table * table).sum(axis=1)).ravel())
    scale = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return sparse.csr_array(sparse.diags_array(scale) @ table)


def semantic_vectors(table: sparse.csr_array, width: int, *, seed: int = 0) -> np.ndarray:
    """Return (rows, width) float32 whose products come nearest to those of the table's rows.

    The largest left singular vectors, each times its singular value: rows that share no word but
    words that go together come near each other. Columns beyond the table's rank are zero.
    """
    vectors = principal_vectors(table, width, seed=seed)
    # principal_vectors gives U sqrt(S), whose columns have the length sqrt(S). Rounding leaves a
    # trace of a direction in rows that have nothing.
    vectors *= np.linalg.norm(vectors, axis=0)
    vectors[np.diff(table.indptr) == 0] = 0.0
    return vectors


def unit_vectors(vectors: np.ndarray) -> np.ndarray:
    """Return dense rows brought to length 1; a row of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
