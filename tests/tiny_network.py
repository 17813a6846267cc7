"""A small recurrent network over sessions, for tests of what it is made of and what trains it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from personalens.networks.session_network import (
    Dropout,
    FieldValues,
    ItemVectors,
    QueryVectors,
    RecurrentEncoder,
    SessionNetwork,
)


def tiny_network(
    items: int,
    features: int,
    *,
    width: int = 6,
    hidden_size: int = 8,
    truncate: int = 4,
    dropout: float = 0.0,
    fields: FieldValues | None = None,
    query_sizes: Sequence[int] = (),
    withheld: float = 0.0,
    rng: np.random.Generator | None = None,
) -> SessionNetwork:
    """Return a network for so many items and feature values; ``query_sizes`` has the number of
    values of each feature of a request."""
    rng = np.random.default_rng(0) if rng is None else rng
    values = 0 if fields is None else int(fields.codes.max()) + 1
    vectors = ItemVectors(items, width, fields=fields, values=values)
    encoder = RecurrentEncoder(width, hidden_size, truncate=truncate, drop=Dropout(dropout, rng))
    query = None
    if query_sizes:
        first_values = np.cumsum([0, *query_sizes[:-1]]).tolist()
        query = QueryVectors(first_values, sum(query_sizes), width, withheld=withheld, rng=rng)
    return SessionNetwork(vectors, encoder, features, query=query, rng=rng)
