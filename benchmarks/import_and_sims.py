"""Ten million interactions: imported with every check, and related to each other.

    python -m benchmarks.import_and_sims --rows 10000000
    python -m benchmarks.import_and_sims --shapes

The second command imports files of about one size and many shapes: more columns, longer lines, line
breaks in quotes, cells that cannot be read. The cost of a byte must not grow with the shape.

The import stands beside the fastest bare conversion of the same CSV file to Parquet, by polars,
DuckDB and pyarrow's streaming reader: same columns, identifiers as strings, no checks. aws-sims
stands beside implicit's item-item: the same events, every pair counted, as many neighbours kept,
once with items drawn evenly and once with a few popular ones. Every step runs ``--repeats`` times,
interleaved, in a process of its own, so that its peak memory is its own; the fastest run counts.
"""

from __future__ import annotations

import functools
import json
import tempfile
import time
from argparse import SUPPRESS
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe_run, fastest_runs, parser, run_step, write_result
from benchmarks.peers.clock import timed

COLUMNS = ["USER_ID", "ITEM_ID", "TIMESTAMP", "EVENT_TYPE", "EVENT_VALUE", "DEVICE", "TIME_OF_DAY"]
NEIGHBOURS = 500
WORLDS = {"even": 0.0, "skewed": 0.8}
"""Name of a world of events, and the exponent by which an item's chance falls with its rank."""
EVENTS_PER_USER = 20

Work = Callable[[], None]


def generate_file(folder: Path, rows: int) -> Work:
    """Write interactions.csv with the simulator."""
    from personalens.film_world.simulator import generate

    users, items = max(100, rows // 100), max(100, rows // 1000)
    return lambda: generate(users, items, rows, 1, folder, impressions=False)


def convert_file(folder: Path, rows: int) -> Work:
    """Convert without any check, as fast as pyarrow's streaming reader does."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    types = {"TIMESTAMP": pa.int64(), "EVENT_VALUE": pa.float32()}
    convert = pyarrow.csv.ConvertOptions(
        column_types={name: types.get(name, pa.string()) for name in COLUMNS}
    )
    read = pyarrow.csv.ReadOptions(block_size=16 << 20)

    def work() -> None:
        path = folder / "interactions.csv"
        with (
            pyarrow.csv.open_csv(path, read, convert_options=convert) as reader,
            pq.ParquetWriter(folder / "bare.parquet", reader.schema) as writer,
        ):
            for batch in reader:
                writer.write_batch(batch)

    return work


def import_file(folder: Path, rows: int) -> Work:
    """Import with every check."""
    from personalens.datasets import CsvSource, import_csv, parse_schema
    from personalens.datasets.film_tables import avro_schema

    schema = parse_schema(avro_schema("Interactions", COLUMNS))
    source = CsvSource.from_path(folder / "interactions.csv")

    def work() -> None:
        report = import_csv([source], schema, folder / "imported.parquet")
        if report.rows != rows:
            raise SystemExit(f"imported {report.rows} rows of {rows}")

    return work


def read_file(folder: Path, rows: int) -> Work:
    """Read the imported rows as a recipe gets them."""
    from personalens.datasets import DatasetFiles

    files = DatasetFiles(folder / "dataset")
    files.replace(folder / "imported.parquet")
    return files.read_interactions


def draw_events(folder: Path, rows: int, items: int) -> None:
    """Write the codes of users and items of each world, sorted by user."""
    users = np.repeat(np.arange(rows // EVENTS_PER_USER, dtype=np.int32), EVENTS_PER_USER)
    for name, exponent in WORLDS.items():
        rng = np.random.default_rng(0)
        chances = np.arange(1, items + 1.0) ** -exponent
        limits = np.cumsum(chances / chances.sum())
        codes = np.minimum(np.searchsorted(limits, rng.random(len(users))), items - 1)
        codes[:items] = np.arange(items)  # every item occurs
        np.savez(folder / f"{name}.npz", users=users, items=codes.astype(np.int32))


def relate_items(folder: Path, rows: int, *, world: str) -> Work:
    """Fit aws-sims so that every pair counts, as in implicit's item-item."""
    from personalens.datasets.id_maps import IdMap
    from personalens.datasets.interactions import Interactions
    from personalens.recipes import sims

    with np.load(folder / f"{world}.npz") as arrays:
        users, items = arrays["users"], arrays["items"]
    events = Interactions(
        users=IdMap([f"user-{code:07}" for code in range(int(users.max()) + 1)]),
        items=IdMap([f"item-{code:05}" for code in range(int(items.max()) + 1)]),
        user_codes=users,
        item_codes=items,
        timestamps=np.arange(len(users), dtype=np.int64),
    )
    limits = {
        f"{end}_{kind}_percentile": float(end == "max")
        for end in ("min", "max")
        for kind in ("user_history_length", "item_interaction_count")
    }
    model = sims.SIMS(min_cointeraction_count=1, **limits)
    if sims.NEIGHBOURS != NEIGHBOURS:
        raise SystemExit(f"aws-sims keeps {sims.NEIGHBOURS} neighbours; ask implicit for as many")
    return lambda: model.fit(events)


def draw_shapes(size: int) -> dict[str, tuple[list[str], list[str], str]]:
    """Return files of about ``size`` bytes by what is special about them: the header, the columns
    that are imported, and one record without its identifier."""
    shapes = {}
    for columns in (10, 100, 1_000, 10_000, 100_000):
        names = [f"C{number}Z" for number in range(columns)]
        shapes[f"{columns:,} columns, 2 imported"] = names, names[:2], ",abc" * columns
        if columns <= 100:
            shapes[f"{columns:,} columns, all imported"] = names, names, ",abc" * columns
            unreadable = ",123" * (columns - 1) + ",soon"
            shapes[f"{columns:,} columns, one unreadable"] = names, names, unreadable
    for length in (1_000, 100_000, size // 4):
        cells = {
            "plain": "x" * length,
            "with escapes": '"' + 'x\\"' * (length // 3) + '"',
            "with line breaks": '"' + ("x" * 49 + "\n") * (length // 50) + '"',
        }
        for kind, cell in cells.items():
            shapes[f"records of {length:,} bytes, {kind}"] = ["TEXT"], ["TEXT"], f",{cell}"
    return shapes


def measure_shapes(folder: Path, size: int) -> list[dict[str, Any]]:
    """Import a file of each shape; return what a byte costs."""
    from personalens.datasets import CsvSource, import_csv, parse_schema

    measured = []
    for shape, (header, imported, record) in draw_shapes(size).items():
        kind = "int" if "unreadable" in shape else "string"
        fields = [{"name": name, "type": ["null", kind]} for name in imported]
        schema = {
            "type": "record",
            "name": "Items",
            "namespace": "com.amazonaws.personalize.schema",
            "fields": [{"name": "ITEM_ID", "type": "string"}, *fields],
            "version": "1.0",
        }
        path = folder / "shape.csv"
        readable = record.replace("soon", "123")  # a column that is unreadable throughout fails
        with path.open("w") as file:
            file.write(f"{','.join(['ITEM_ID', *header])}\n0{readable}\n")
            file.writelines(f"{n}{record}\n" for n in range(1, max(2, size // len(record))))
        began = time.perf_counter()
        source = CsvSource.from_path(path)
        report = import_csv([source], parse_schema(json.dumps(schema)), folder / "shape.parquet")
        seconds = time.perf_counter() - began
        cost = 1e9 * seconds / source.size
        measured.append({"shape": shape, "rows": report.rows, "nanoseconds_per_byte": cost})
        print(f"{shape:<45} {report.rows:>9,} rows {cost:>8.1f} ns a byte", flush=True)
    return measured


STEPS: dict[str, Callable[[Path, int], Work]] = {
    "simulate": generate_file,
    "pyarrow": convert_file,
    "personalens import": import_file,
    "read for training": read_file,
    **{f"aws-sims, {name}": functools.partial(relate_items, world=name) for name in WORLDS},
}
BARE = ("pyarrow", "polars", "duckdb")


def run(step: str, folder: Path, rows: int) -> dict[str, Any] | None:
    """Run one step in a process of its own; None where a peer's environment is not there."""
    if step in STEPS:
        own = ["--step", step, "--folder", folder, "--rows", rows]
        return run_step("import_and_sims", *own)
    tool, _, world = step.partition(", ")
    files = [folder / "interactions.csv", folder / "bare.parquet"]
    if world:
        files = [folder / f"{world}.npz", NEIGHBOURS]
    return run_step("peers.bulk_tools", tool, *files, environment="peers")


def measure_import(folder: Path, rows: int, repeats: int) -> dict[str, Any]:
    """Compare the import with the bare conversions."""
    run("simulate", folder, rows)
    names = [*BARE, "personalens import", "read for training"]
    found = fastest_runs(names, lambda step: run(step, folder, rows), repeats)
    steps = {each["step"]: each for each in found}
    fastest = min((name for name in BARE if name in steps), key=lambda n: steps[n]["seconds"])
    return {
        "rows": rows,
        "megabytes": (folder / "interactions.csv").stat().st_size / 1e6,
        "steps": list(steps.values()),
        "fastest": fastest,
        "seconds_over_fastest": steps["personalens import"]["seconds"] - steps[fastest]["seconds"],
    }


def measure_sims(folder: Path, rows: int, items: int, repeats: int) -> dict[str, Any]:
    """Compare aws-sims with implicit's item-item."""
    draw_events(folder, rows, items)
    names = [f"{tool}, {world}" for world in WORLDS for tool in ("aws-sims", "implicit")]
    steps = list(fastest_runs(names, lambda step: run(step, folder, rows), repeats))
    return {"rows": rows, "items": items, "neighbours": NEIGHBOURS, "steps": steps}


def main() -> None:
    options = parser(__doc__)
    add = options.add_argument
    add("--rows", type=int, default=10_000_000)
    add("--items", type=int, default=50_000, help="of the events that are related")
    add("--repeats", type=int, default=3)
    add("--shapes", action="store_true", help="import files of many shapes")
    add("--bytes", type=int, default=40_000_000, help="of the file of each shape")
    add("--step", choices=STEPS, help=SUPPRESS)
    add("--folder", type=Path, help=SUPPRESS)
    options = options.parse_args()
    if options.step:
        print(json.dumps(timed(STEPS[options.step](options.folder, options.rows))))
        return
    if options.shapes:
        with tempfile.TemporaryDirectory(prefix="personalens-shapes-") as folder:
            measure_shapes(Path(folder), options.bytes)
        return
    result = describe_run("import and sims")
    for part, function in (
        ("import", lambda f: measure_import(f, options.rows, options.repeats)),
        ("sims", lambda f: measure_sims(f, options.rows, options.items, options.repeats)),
    ):
        with tempfile.TemporaryDirectory(prefix="personalens-bulk-") as folder:
            result[part] = function(Path(folder))
    write_result(result, "import-and-sims", options.results)


if __name__ == "__main__":
    main()
