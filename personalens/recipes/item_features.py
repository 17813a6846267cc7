"""The metadata of items as vectors, and what vectors of their users they foretell."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from personalens.datasets.metadata import CREATION_TIMESTAMP, Field, Metadata, categorical_values
from personalens.recipes.event_reader import bucket_edges
from personalens.training.factorization import semantic_vectors, tf_idf, unit_rows


def metadata_vectors(items: Metadata, width: int, *, seed: int = 0) -> np.ndarray:
    """Return (items, width) float32: items are near that share categories, numbers and words.

    Each field is a table of values in which the rare ones weigh more, as words do in a text: a
    categorical field of its categories, a numeric one of ten buckets, a text of its words. The
    tables stand side by side, rows of length 1 each, and their largest directions stay.
    CREATION_TIMESTAMP tells when an item came, not what it is, and is left out.
    """
    fields = [field for name, field in items.fields.items() if name != CREATION_TIMESTAMP]
    tables = [_value_table(field) for field in fields]
    tables = [table for table in tables if table.nnz]
    if not tables:
        return np.zeros((len(items), width), np.float32)
    return semantic_vectors(sparse.csr_array(sparse.hstack(tables)), width, seed=seed)


def foretold_vectors(
    metadata: np.ndarray, vectors: np.ndarray, weights: np.ndarray, *, ridge: float = 10.0
) -> np.ndarray:
    """Return the vectors that the metadata let expect, (items, width) float32.

    A linear map from metadata to vectors is learned by ridge regression, in which an item weighs as
    much as there are events of it, and applied to all items. So what the metadata say counts as far
    as it has to do with what users do: a genre that divides the viewers moves the vectors, the
    colour of the poster does not.

    Parameters
    ----------
    metadata
        (items, features).
    vectors
        (items, width) of what users did; rows of weight 0 do not matter.
    weights
        (items,) events.

    References
    ----------
    Gantner et al., "Learning Attribute-to-Feature Mappings for Cold-Start Recommendations", ICDM
    2010.
    """
    features = np.column_stack([metadata, np.ones(len(metadata))]).astype(np.float64)
    weighted = features * weights[:, None]
    penalty = ridge * np.eye(features.shape[1])
    penalty[-1, -1] = 1e-6  # of the constant
    mapping = np.linalg.solve(features.T @ weighted + penalty, weighted.T @ vectors)
    return (features @ mapping).astype(np.float32)


def _value_table(field: Field) -> sparse.csr_array:
    """Return (items, values) with rows of length 1, or 0 where the value is missing."""
    if field.kind == "text":
        return tf_idf(field.values)
    if field.kind == "numeric":
        known = np.flatnonzero(~field.is_missing)
        edges = bucket_edges(field.values)
        rows, codes = known, np.searchsorted(edges, field.values[known], side="right")
        width = len(edges) + 1
    else:
        offsets, codes, vocabulary = categorical_values(field)
        rows, width = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets)), len(vocabulary)
    shape = (len(field.values), width)
    counts = np.bincount(codes, minlength=width)
    weights = 1.0 + np.log((1.0 + shape[0]) / (1.0 + counts))
    return unit_rows(sparse.csr_array((weights[codes], (rows, codes)), shape=shape))
