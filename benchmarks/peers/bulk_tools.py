"""Bulk work by the tools that are made for it, one step a process: what ``import_and_sims`` and
``batch_inference`` compare ours with. The first argument names the tool, the rest is its own:

    polars | duckdb  CSV PARQUET             a bare conversion, identifiers as strings
    implicit  EVENTS.npz NEIGHBOURS          item-item similarities
    "implicit recommend"  FACTORS.npz LENGTH                        the best items of every user
    "implicit, a job's file"  FACTORS.npz LENGTH USERS.json OUT     the same as JSON lines

The tools are imported before the clock starts. Prints what it measured as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from itertools import islice
from typing import Any

from benchmarks.peers.clock import timed

USERS_AT_ONCE = 1000  # the batch size of implicit's own examples
TYPES = {"TIMESTAMP": "BIGINT", "EVENT_VALUE": "FLOAT"}


def convert_by_polars(csv: str, parquet: str) -> Callable[[], None]:
    """Return the conversion: streamed, every column but two as strings."""
    import polars as pl

    kinds = {"BIGINT": pl.Int64, "FLOAT": pl.Float32}
    columns = {name: kinds[TYPES[name]] if name in TYPES else pl.String for name in header(csv)}
    return lambda: pl.scan_csv(csv, schema=columns).sink_parquet(parquet)


def convert_by_duckdb(csv: str, parquet: str) -> Callable[[], None]:
    """Return the conversion, with DuckDB's own memory limit."""
    import duckdb

    columns = {name: TYPES.get(name, "VARCHAR") for name in header(csv)}
    query = (
        f"COPY (SELECT * FROM read_csv('{csv}', header = true, columns = {columns})) "
        f"TO '{parquet}' (FORMAT parquet)"
    )
    return lambda: duckdb.sql(query)


def relate_by_implicit(events: str, neighbours: str) -> Callable[[], None]:
    """Return the fit of implicit's cosine neighbours, its matrix included."""
    import numpy as np
    from implicit.nearest_neighbours import CosineRecommender
    from scipy import sparse

    with np.load(events) as arrays:
        users, items = arrays["users"], arrays["items"]
    threads = len(os.sched_getaffinity(0))

    def fit() -> None:
        ones = np.ones(len(users), np.float32)
        matrix = sparse.csr_matrix((ones, (users, items)))
        model = CosineRecommender(K=int(neighbours), num_threads=threads)
        model.fit(matrix, show_progress=False)

    return fit


def recommend_by_implicit(factors: str, length: str) -> Callable[[], None]:
    """Return the ranking of all items for all users, in batches, by implicit's own threads."""
    import numpy as np

    recommend, users, _ = implicit_ranking(factors, int(length))

    def rank() -> None:
        for start in range(0, users, USERS_AT_ONCE):
            recommend(np.arange(start, min(users, start + USERS_AT_ONCE)))

    return rank


def write_by_implicit(factors: str, length: str, lines: str, target: str) -> Callable[[], None]:
    """Return the same with what a batch job does around it: users named in JSON lines are looked
    up, and the items' names and scores (as they are, no softmax) written as JSON lines."""
    import numpy as np
    import orjson

    recommend, users, items = implicit_ranking(factors, int(length))
    codes = {f"user-{code}": code for code in range(users)}
    names = np.array([f"item-{code}" for code in range(items)], object)

    def write() -> None:
        with open(lines, "rb") as source, open(target, "wb") as out:
            while batch := [orjson.loads(line) for line in islice(source, USERS_AT_ONCE)]:
                listed, scores = recommend(np.array([codes[asked["userId"]] for asked in batch]))
                answers = zip(batch, names[listed].tolist(), scores.tolist(), strict=True)
                for asked, best, own in answers:
                    output = {"recommendedItems": best, "scores": own}
                    line = {"input": asked, "output": output, "error": None}
                    out.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    return write


def implicit_ranking(factors: str, length: int) -> tuple[Callable[..., Any], int, int]:
    """Return implicit's ``recommend`` of users' codes, by given factors, and how many users and
    items there are."""
    import numpy as np
    from implicit.cpu.als import AlternatingLeastSquares
    from scipy import sparse
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):  # as implicit asks for
        model = AlternatingLeastSquares(num_threads=len(os.sched_getaffinity(0)))
    with np.load(factors) as arrays:
        model.user_factors, model.item_factors = arrays["users"], arrays["items"]
    shape = len(model.user_factors), len(model.item_factors)
    liked = sparse.csr_matrix(shape, dtype=np.float32)

    def recommend(users: Any) -> Any:
        with threadpool_limits(1, "blas"):
            return model.recommend(users, liked[users], N=length, filter_already_liked_items=False)

    return recommend, *shape


def header(csv: str) -> list[str]:
    """Return the column names of a CSV file."""
    with open(csv) as file:
        return file.readline().strip().split(",")


TOOLS = {
    "polars": convert_by_polars,
    "duckdb": convert_by_duckdb,
    "implicit": relate_by_implicit,
    "implicit recommend": recommend_by_implicit,
    "implicit, a job's file": write_by_implicit,
}

if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    measured = timed(TOOLS[name](*arguments))
    print(json.dumps(measured | {"version": version(name.split()[0].strip(","))}))
