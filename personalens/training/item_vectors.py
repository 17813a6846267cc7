"""Item vectors before any training: what stands near what in the histories."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import svds


def windowed_cooccurrence(
    item_codes: np.ndarray, offsets: np.ndarray, items: int, *, reach: int = 20, decay: float = 0.95
) -> sparse.csr_array:
    """Return (items, items): how often two items stood within ``reach`` events of each other.

    A pair at distance d counts ``decay ** (d - 1)``, in both directions.

    Parameters
    ----------
    item_codes
        (n,) items of all histories, one history after the other, oldest first.
    offsets
        (histories + 1,) borders of the histories.
    items
        Size of the catalogue.

    Examples
    --------
    One history with the items 0 1 2:

    >>> counts = windowed_cooccurrence(np.array([0, 1, 2]), np.array([0, 3]), 3, reach=2, decay=0.5)
    >>> counts.toarray().tolist()
    [[0.0, 1.0, 0.5], [1.0, 0.0, 1.0], [0.5, 1.0, 0.0]]
    """
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    total = sparse.csr_array((items, items), dtype=np.float64)
    for distance in range(1, min(reach, len(item_codes) - 1) + 1):
        same = owner[:-distance] == owner[distance:]
        pairs = item_codes[:-distance][same], item_codes[distance:][same]
        weights = np.full(len(pairs[0]), decay ** (distance - 1))
        total = total + sparse.csr_array((weights, pairs), shape=(items, items))
    return (total + total.T).tocsr()


def positive_pmi(counts: sparse.csr_array, *, smoothing: float = 0.75) -> sparse.csr_array:
    """Return the positive pointwise mutual information of a symmetric table of counts.

    max(0, log(P(i, j) / (P(i) P'(j)))), where P'(j) is proportional to count(j) ** ``smoothing``:
    below 1 it keeps rare items from having nothing but large values.

    References
    ----------
    Levy, Goldberg and Dagan, "Improving Distributional Similarity with Lessons Learned from Word
    Embeddings", TACL 2015.
    """
    pairs = counts.tocoo()
    seen = np.asarray(counts.sum(axis=1)).ravel()
    smoothed = seen**smoothing
    smoothed /= max(smoothed.sum(), np.finfo(float).tiny)
    ratio = pairs.data / (seen[pairs.row] * smoothed[pairs.col])
    values = np.maximum(0.0, np.log(ratio))
    table = sparse.csr_array((values, (pairs.row, pairs.col)), shape=counts.shape)
    table.eliminate_zeros()
    return table


def principal_vectors(table: sparse.csr_array, width: int, *, seed: int = 0) -> np.ndarray:
    """Return (items, width) float32: the largest left singular vectors, each times the square root
    of its singular value. Columns beyond the table's rank are zero.

    The sign of a singular vector means nothing; here the largest entry of each is positive, so that
    the same table gives the same vectors.
    """
    vectors = np.zeros((table.shape[0], width), np.float32)
    rank = min(width, min(table.shape) - 1)
    if rank < 1 or not table.nnz:
        return vectors
    start = np.random.default_rng(seed).normal(size=table.shape[0])
    left, values, _ = svds(table, k=rank, v0=start)
    largest = left[np.abs(left).argmax(axis=0), np.arange(rank)]
    order = np.argsort(-values)
    vectors[:, :rank] = (left * np.sign(largest) * np.sqrt(np.maximum(values, 0.0)))[:, order]
    return vectors


def cooccurrence_vectors(
    item_codes: np.ndarray, offsets: np.ndarray, items: int, width: int, *, spread: float
) -> np.ndarray:
    """Return (items, width) float32 vectors of which items that stand near each other in the
    histories have large products; their entries have a root mean square of ``spread``."""
    counts = windowed_cooccurrence(item_codes, offsets, items)
    vectors = principal_vectors(positive_pmi(counts), width)
    size = np.sqrt(np.mean(vectors**2))
    return vectors * (spread / size) if size > 0 else vectors


def log_popularity(item_codes: np.ndarray, items: int) -> np.ndarray:
    """Return (items,) float32: the log of each item's events against the average item's, half an
    event added to every item. An output bias that starts here need not learn popularity.

    Examples
    --------
    >>> log_popularity(np.array([0, 0, 0, 1]), 2).astype(float).round(4).tolist()
    [0.3365, -0.5108]
    """
    counts = np.bincount(item_codes, minlength=items) + 0.5
    return np.log(counts / counts.mean()).astype(np.float32)


def repeat_log_odds(item_codes: np.ndarray, offsets: np.ndarray, items: int) -> float:
    """Return by how much the score of an item should start higher once a user has had it.

    The log of the odds that an event repeats an item of its user's, against those of drawing items
    by popularity alone; half an event is added on either side.

    Examples
    --------
    Nobody comes back, where popularity would repeat in one case of two:

    >>> round(repeat_log_odds(np.array([0, 1, 2]), np.array([0, 3]), 3), 2)
    -1.61
    """
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    place = np.arange(len(item_codes)) - offsets[owner]
    _, first = np.unique(owner * items + item_codes, return_index=True)
    is_first = np.zeros(len(item_codes), bool)
    is_first[first] = True
    share = np.bincount(item_codes, minlength=items) / len(item_codes)
    # Share of the catalogue's popularity that a user had had before each of their events.
    had = np.cumsum(share[item_codes] * is_first)
    had = had - share[item_codes] * is_first
    before = had - had[offsets[owner]]
    later = place > 0
    repeats, asked = np.count_nonzero(~is_first), np.count_nonzero(later)
    expected = before[later].sum()
    observed_odds = (repeats + 0.5) / (asked - repeats + 0.5)
    expected_odds = (expected + 0.5) / (asked - expected + 0.5)
    return float(np.log(observed_odds / expected_odds))
