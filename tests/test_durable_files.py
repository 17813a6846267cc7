"""What is written is whole and flushed before it has its name, or it is not there."""

import json
import os
from pathlib import Path

import pytest

from personalens import durable_files


@pytest.fixture
def steps(monkeypatch):
    """The renames and flushes, in their order, as (what, name)."""
    seen, names = [], {}
    real_open, real_fsync, real_replace = os.open, os.fsync, os.replace

    def open_(path, *arguments, **options):
        descriptor = real_open(path, *arguments, **options)
        names[descriptor] = Path(path).name
        return descriptor

    def fsync(descriptor):
        seen.append(("flush", names[descriptor]))
        real_fsync(descriptor)

    def replace(source, target):
        seen.append(("rename", Path(target).name))
        real_replace(source, target)

    monkeypatch.setattr(os, "open", open_)
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    return seen


def kinds(steps):
    return [(what, "partial" if name.endswith(".partial") else name) for what, name in steps]


def test_a_file_is_flushed_renamed_and_its_folder_flushed(tmp_path, steps):
    durable_files.write_text(tmp_path / "a.txt", "new")
    assert kinds(steps) == [("flush", "partial"), ("rename", "a.txt"), ("flush", tmp_path.name)]
    assert (tmp_path / "a.txt").read_text() == "new"


def test_a_folder_is_flushed_with_all_in_it_before_its_name(tmp_path, steps):
    with durable_files.replacing(tmp_path / "model") as partial:
        (partial / "inner").mkdir(parents=True)
        (partial / "inner/x").write_text("x")
        (partial / "y").write_text("y")
    assert kinds(steps) == [
        ("flush", "x"),
        ("flush", "inner"),
        ("flush", "y"),
        ("flush", "partial"),
        ("rename", "model"),
        ("flush", tmp_path.name),
    ]


def test_new_folders_are_flushed_into_those_above_them(tmp_path, steps):
    durable_files.make_folders(tmp_path / "a/b")
    durable_files.make_folders(tmp_path / "a/b")
    assert steps == [("flush", tmp_path.name), ("flush", "a")]


@pytest.mark.parametrize("is_folder", [False, True])
def test_an_error_leaves_what_was_there_and_nothing_beside_it(tmp_path, is_folder):
    (tmp_path / "a").write_text("old")

    def write(partial):
        if is_folder:
            partial.mkdir()
            (partial / "half").write_text("half")
        else:
            partial.write_text("half")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"), durable_files.replacing(tmp_path / "a") as partial:
        write(partial)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_a_name_between_two_folders_is_flushed_in_both(tmp_path, steps):
    for name in ("from", "to"):
        (tmp_path / name).mkdir()
    (tmp_path / "from/x").write_text("x")
    durable_files.move(tmp_path / "from/x", tmp_path / "to/y")
    assert steps == [("rename", "y"), ("flush", "to"), ("flush", "from")]


def test_json_is_read_back_and_has_no_nan(tmp_path):
    durable_files.write_json(tmp_path / "a.json", {"title": "Amélie", "score": 0.5})
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == {"title": "Amélie", "score": 0.5}
    with pytest.raises(ValueError, match="JSON"):
        durable_files.write_json(tmp_path / "a.json", float("nan"))
    assert json.loads((tmp_path / "a.json").read_text("utf-8"))["score"] == 0.5
