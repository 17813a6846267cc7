"""Simulate a large interactions.csv, then import it: seconds, rows a second, peak memory.

    python benchmarks/import_csv.py --rows 10000000

Each step runs in a process of its own, so that its peak memory is its own. The bare conversion is
pyarrow's streaming CSV reader into a Parquet writer, with the same columns and no checks.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COLUMNS = ["USER_ID", "ITEM_ID", "TIMESTAMP", "EVENT_TYPE", "EVENT_VALUE", "DEVICE", "TIME_OF_DAY"]


def generate_file(folder: Path, rows: int) -> None:
    """Write interactions.csv with the simulator."""
    from personalens.datasets.simulator import generate

    generate(max(100, rows // 100), max(100, rows // 1000), rows, 1, folder, impressions=False)


def convert_file(folder: Path, rows: int) -> None:
    """Convert without any check, as fast as pyarrow's streaming reader does."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    types = {"TIMESTAMP": pa.int64(), "EVENT_VALUE": pa.float32()}
    convert = pyarrow.csv.ConvertOptions(
        column_types={name: types.get(name, pa.string()) for name in COLUMNS}
    )
    read = pyarrow.csv.ReadOptions(block_size=16 << 20)
    path = folder / "interactions.csv"
    with (
        pyarrow.csv.open_csv(path, read, convert_options=convert) as reader,
        pq.ParquetWriter(folder / "bare.parquet", reader.schema) as writer,
    ):
        for batch in reader:
            writer.write_batch(batch)


def import_file(folder: Path, rows: int) -> None:
    """Import with every check."""
    from personalens.datasets import CsvSource, import_csv, parse_schema
    from personalens.datasets.film_tables import avro_schema

    schema = parse_schema(avro_schema("Interactions", COLUMNS))
    source = CsvSource.from_path(folder / "interactions.csv")
    report = import_csv([source], schema, folder / "imported.parquet")
    if report.rows != rows:
        raise SystemExit(f"imported {report.rows} rows of {rows}")


def read_file(folder: Path, rows: int) -> None:
    """Read the imported rows as a recipe gets them."""
    from personalens.datasets import DatasetFiles

    files = DatasetFiles(folder / "dataset")
    files.replace(folder / "imported.parquet")
    files.read_interactions()


STEPS = {
    "simulate": generate_file,
    "bare conversion": convert_file,
    "import": import_file,
    "read for training": read_file,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        started, worked = time.perf_counter(), time.process_time()
        STEPS[options.step](options.folder, options.rows)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        measured = {
            "seconds": time.perf_counter() - started,
            "cpu_seconds": time.process_time() - worked,
            "peak_mb": peak / (2**20 if sys.platform == "darwin" else 1024),
        }
        print(json.dumps(measured))
        return
    with tempfile.TemporaryDirectory(prefix="personalens-import-") as folder:
        print(f"{'step':<18} {'seconds':>8} {'CPU s':>7} {'rows/s':>12} {'peak MB':>8}")
        for step in STEPS:
            command = [sys.executable, __file__, "--step", step, "--folder", folder]
            done = subprocess.run(
                [*command, "--rows", str(options.rows)], check=True, stdout=subprocess.PIPE
            )
            result = json.loads(done.stdout)
            rate = options.rows / result["seconds"]
            print(
                f"{step:<18} {result['seconds']:>8.2f} {result['cpu_seconds']:>7.2f} "
                f"{rate:>12,.0f} {result['peak_mb']:>8.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
