"""User and item vectors from who had what: implicit-feedback matrix factorisation."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from personalens.progress import Progress, ProgressEvent, ignore_progress
from personalens.training.start_values import principal_vectors

GATHERED_NUMBERS = 4_000_000
"""Numbers of the vectors that are gathered in one go: 16 MB."""
STAGE = "factorising"


def alternating_least_squares(
    matrix: sparse.csr_array,
    width: int,
    *,
    weight: float = 5.0,
    regularization: float = 5.0,
    sweeps: int = 8,
    seed: int = 0,
    progress: Progress = ignore_progress,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the users' and the items' vectors, float32, whose products are near 1 where a user had
    an item, and near 0 elsewhere. ``matrix`` (users, items) has ones.

    The loss is, over all pairs, (target - product)^2, which counts ``1 + weight`` times where the
    user had the item; beside it each vector's square counts ``regularization`` times the square
    root of its number of ones. In each sweep all users and then all items are solved for, by a few
    steps of conjugate gradients from where the last ones ended.

    References
    ----------
    Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008.
    Takacs, Pilaszy and Tikk, "Applications of the Conjugate Gradient Method for Implicit Feedback
    Collaborative Filtering", RecSys 2011. Rendle et al., "Revisiting the Performance of iALS on
    Item Recommendation Benchmarks", RecSys 2022 (regularisation that grows with the ones).
    """
    by_user = matrix.astype(np.float32)
    by_item = by_user.T.tocsr()
    start = np.random.default_rng(seed).normal(size=(matrix.shape[1], width)) / width**0.5
    items = start.astype(np.float32)
    users = np.zeros((matrix.shape[0], width), np.float32)
    progress(ProgressEvent(STAGE, 0.0))
    with threadpool_limits(1, user_api="blas"):  # more threads are no faster on narrow matrices
        for sweep in range(sweeps):
            users = _solve(by_user, users, items, weight, regularization)
            items = _solve(by_item, items, users, weight, regularization)
            progress(ProgressEvent(STAGE, (sweep + 1) / sweeps))
    return users, items


def _solve(
    ones: sparse.csr_array,
    vectors: np.ndarray,
    others: np.ndarray,
    weight: float,
    regularization: float,
    *,
    steps: int = 3,
) -> np.ndarray:
    """Return better vectors for the rows of ``ones``, the other side's being as they are."""
    gram = others.T @ others
    solved = np.empty_like(vectors)
    for rows in _blocks(ones, others.shape[1]):
        block = ones[rows]
        counts = np.diff(block.indptr)
        owner = np.repeat(np.arange(len(counts)), counts)
        gathered = others[block.indices]  # (ones of the block, width)
        ridge = (regularization * np.sqrt(counts))[:, None].astype(np.float32)

        def apply(x: np.ndarray, block=block, owner=owner, gathered=gathered, ridge=ridge):
            products = np.einsum("ij,ij->i", x[owner], gathered)
            observed = sparse.csr_array((products, block.indices, block.indptr), block.shape)
            return x @ gram + weight * (observed @ others) + ridge * x

        solved[rows] = _conjugate_gradients(
            apply, (1 + weight) * (block @ others), vectors[rows], steps
        )
    return solved


def _conjugate_gradients(apply, target: np.ndarray, start: np.ndarray, steps: int) -> np.ndarray:
    """Go a few steps towards the solutions of one linear system a row."""
    x = start.copy()
    residual = target - apply(x)
    direction = residual
    size = np.einsum("ij,ij->i", residual, residual)[:, None]
    for _ in range(steps):
        applied = apply(direction)
        curvature = np.einsum("ij,ij->i", direction, applied)[:, None]
        step = np.divide(size, curvature, out=np.zeros_like(size), where=curvature > 0)
        x += step * direction
        residual = residual - step * applied
        next_size = np.einsum("ij,ij->i", residual, residual)[:, None]
        turn = np.divide(next_size, size, out=np.zeros_like(size), where=size > 0)
        direction, size = residual + turn * direction, next_size
    return x


def _blocks(ones: sparse.csr_array, width: int) -> Iterator[slice]:
    """Cut the rows so that the vectors gathered for one block stay small."""
    limit = max(GATHERED_NUMBERS // width, 1)
    start = 0
    while start < ones.shape[0]:
        end = int(np.searchsorted(ones.indptr, ones.indptr[start] + limit, side="right")) - 1
        end = min(max(end, start + 1), ones.shape[0])
        yield slice(start, end)
        start = end


# -- texts: TF-IDF and its largest directions (latent semantic analysis) ---------------------------

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
