"""Generations on disk: replaced or appended whole, duplicates left out, nothing half done."""

from __future__ import annotations

import errno
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from personalens import durable_files
from personalens.datasets.avro_schemas import parse_schema
from personalens.datasets.csv_import import CsvSource, import_csv
from personalens.datasets.dataset_files import DatasetFiles, NoBulkData, is_last
from personalens.datasets.film_tables import avro_schema
from personalens.datasets.interactions import Interactions

EVENTS = parse_schema(
    avro_schema("Interactions", ["USER_ID", "ITEM_ID", "TIMESTAMP", "EVENT_TYPE"])
)
ITEMS = parse_schema(avro_schema("Items", ["ITEM_ID", "TITLE"]))
ITEMS_WITH_YEAR = parse_schema(avro_schema("Items", ["ITEM_ID", "TITLE", "YEAR"]))


@pytest.fixture
def files(tmp_path):
    return DatasetFiles(tmp_path / "films")


@pytest.fixture
def staged(tmp_path):
    """Import rows to a Parquet file beside the data set and return its path."""
    made = iter(range(1000))

    def stage(schema, *rows):
        text = ",".join(schema.names) + "\n" + "".join(f"{row}\n" for row in rows)
        data = text.encode()
        target = tmp_path / f"staged-{next(made)}.parquet"
        source = CsvSource("rows.csv", lambda: io.BytesIO(data), len(data))
        import_csv([source], schema, target, minimum_rows=1)
        return target

    return stage


def titles(files):
    return dict(
        zip(*(files.read([name])[name].to_pylist() for name in ("ITEM_ID", "TITLE")), strict=True)
    )


def test_an_empty_data_set_says_so(files):
    assert files.is_empty
    assert files.row_count == 0
    assert files.read().num_rows == 0


def test_full_replaces_what_was_there(files, staged):
    files.replace(staged(ITEMS, "1,Heat", "2,Alien"))
    files.replace(staged(ITEMS, "3,Up"))
    assert titles(files) == {"3": "Up"}
    assert files.row_count == 1
    assert len(list((files.folder / "parts").iterdir())) == 1


def test_incremental_adds_and_replaces_the_same_id(files, staged):
    files.replace(staged(ITEMS, "1,Heat", "2,Alien"))
    files.append(staged(ITEMS, "2,Aliens", "3,Up"))
    assert titles(files) == {"1": "Heat", "2": "Aliens", "3": "Up"}
    assert files.row_count == 3


def test_incremental_before_a_first_full_is_refused(files, staged):
    part = staged(ITEMS, "1,Heat")
    with pytest.raises(NoBulkData, match="importMode FULL"):
        files.append(part)
    assert files.is_empty
    assert part.exists()


def test_the_last_record_of_an_id_counts_within_one_import(files, staged):
    files.replace(staged(ITEMS, "1,Heat", "2,Alien", "1,Heat (1995)"))
    assert titles(files) == {"2": "Alien", "1": "Heat (1995)"}
    assert files.row_count == 2


def test_an_import_that_is_done_again_after_a_crash_counts_once(files, staged):
    files.replace(staged(EVENTS, "u,1,10,Watch"))
    for _ in range(2):
        files.append(staged(EVENTS, "u,2,20,Watch"), name="job-7")
    assert files.row_count == 2
    assert [part.name for part in files.manifest.parts][1:] == ["job-7"]


def test_equal_events_are_one_event_and_others_are_not(files, staged):
    files.replace(staged(EVENTS, "u,1,10,Watch", "u,1,10,Watch", "u,1,10,Click", "u,1,11,Watch"))
    files.append(staged(EVENTS, "u,1,10,Watch", "v,1,10,Watch", "u,2,10,Watch"))
    rows = files.read().to_pylist()
    assert len(rows) == 5
    assert len({tuple(row.values()) for row in rows}) == 5
    assert files.row_count == 7  # as delivered


def test_asking_for_few_columns_leaves_out_the_same_duplicates(files, staged):
    files.replace(staged(EVENTS, "u,1,10,Watch", "u,1,10,Watch", "u,2,10,Watch"))
    assert files.read(["ITEM_ID"]).to_pydict() == {"ITEM_ID": ["1", "2"]}


def test_interactions_are_the_same_by_either_way(files, staged):
    rows = [
        f"u{i % 7},i{i * i % 11},{100 + i // 3},{'Watch' if i % 2 else 'Click'}" for i in range(60)
    ]
    files.replace(staged(EVENTS, *rows))
    files.append(staged(EVENTS, "new,i1,5,Watch"))
    direct = files.read_interactions()
    through_frame = Interactions.from_frame(files.read().to_pandas())
    assert direct.users == through_frame.users
    assert direct.items == through_frame.items
    assert direct.to_frame().equals(through_frame.to_frame().astype(direct.to_frame().dtypes))
    assert direct.event_types.dtype == object


def test_a_column_added_later_is_null_in_earlier_parts(files, staged):
    files.replace(staged(ITEMS, "1,Heat"))
    files.append(staged(ITEMS_WITH_YEAR, "2,Alien,1979"))
    assert files.read(["ITEM_ID", "YEAR"]).to_pylist() == [
        {"ITEM_ID": "1", "YEAR": None},
        {"ITEM_ID": "2", "YEAR": 1979},
    ]


def test_parts_of_versions_that_took_no_missing_values_are_read_beside_new_ones(files, staged):
    earlier = staged(ITEMS, "1,Heat", "2,Alien")
    table = pq.read_table(earlier)
    strict = [field.with_nullable(False) for field in table.schema]
    pq.write_table(table.cast(pa.schema(strict, table.schema.metadata)), earlier)
    files.replace(earlier)
    files.append(staged(ITEMS, "2,Up", "3,"))
    assert titles(files) == {"1": "Heat", "2": "Up", "3": None}
    assert files.row_count == 3


def test_a_crash_before_the_manifest_leaves_the_earlier_data(files, staged, monkeypatch):
    files.replace(staged(ITEMS, "1,Heat"))

    def die(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("personalens.datasets.dataset_files.durable_files.write_text", die)
        with pytest.raises(KeyboardInterrupt):
            files.replace(staged(ITEMS, "9,Lost"))
    assert titles(files) == {"1": "Heat"}
    files.append(staged(ITEMS, "2,Alien"))
    assert titles(files) == {"1": "Heat", "2": "Alien"}
    named = {part.file for part in files.manifest.parts}
    assert {path.name for path in (files.folder / "parts").iterdir()} == named  # swept


def test_a_reader_that_loses_its_parts_to_an_import_reads_the_new_ones(files, staged, monkeypatch):
    files.replace(staged(ITEMS, "1,Heat"))
    read_part = files._read_part

    def overtaken(part, columns):
        monkeypatch.setattr(files, "_read_part", read_part)
        DatasetFiles(files.folder).replace(staged(ITEMS, "2,Alien"))
        return read_part(part, columns)

    monkeypatch.setattr(files, "_read_part", overtaken)
    assert files.read().to_pylist() == [{"ITEM_ID": "2", "TITLE": "Alien"}]


def test_the_manifest_is_json_that_names_the_parts(files, staged):
    files.replace(staged(ITEMS, "1,Heat"), name="first")
    manifest = json.loads((files.folder / "current.json").read_text())
    assert manifest["generation"] == 1
    assert manifest["dataset_type"] == "Items"
    assert [part["name"] for part in manifest["parts"]] == ["first"]


def test_delete_removes_everything(files, staged):
    files.replace(staged(ITEMS, "1,Heat"))
    files.delete()
    assert files.is_empty
    assert not files.folder.exists()


def test_events_of_other_types_are_refused_as_interactions(files, staged):
    files.replace(staged(ITEMS, "1,Heat"))
    with pytest.raises(ValueError, match="USER_ID"):
        files.read_interactions()


def test_rows_that_share_a_hash_are_compared_exactly(monkeypatch):
    import numpy as np
    import pyarrow as pa

    from personalens.datasets import dataset_files

    monkeypatch.setattr(dataset_files, "_mix", lambda codes, rows: np.zeros(rows, np.uint64))
    table = pa.table({"a": [1, 2, 1, 3], "b": [1, 1, 1, 1]})
    assert is_last(table).tolist() == [False, True, True, True]


def test_a_change_whose_last_flush_fails_leaves_the_data_as_they_were(files, staged, monkeypatch):
    files.replace(staged(ITEMS, "1,Heat"))
    part, flush = staged(ITEMS, "2,Alien"), durable_files.flush

    def fail_at_the_manifest(path):
        if path == files.folder and len(list((path / "parts").iterdir())) == 2:
            monkeypatch.setattr(durable_files, "flush", flush)
            raise OSError(errno.EIO, "Input/output error")
        flush(path)

    monkeypatch.setattr(durable_files, "flush", fail_at_the_manifest)
    with pytest.raises(OSError, match="Input/output error"):
        files.replace(part)
    assert titles(files) == {"1": "Heat"}
    files.replace(staged(ITEMS, "3,Up"))
    assert titles(files) == {"3": "Up"}


def test_old_parts_that_cannot_be_removed_are_no_reason_to_fail(files, staged, monkeypatch):
    files.replace(staged(ITEMS, "1,Heat"))
    part = staged(ITEMS, "2,Alien")

    def fail(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as disk:
        disk.setattr(Path, "iterdir", fail)
        files.replace(part)
    assert titles(files) == {"2": "Alien"}
    assert len(list((files.folder / "parts").iterdir())) == 2
    files.replace(staged(ITEMS, "3,Up"))
    assert len(list((files.folder / "parts").iterdir())) == 1
