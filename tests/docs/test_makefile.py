"""The Makefile finds a Python, makes .venv when it is missing or stale, and says why it cannot."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAKE = shutil.which("make") or "make"
FAKE_PYTHON = """#!/bin/sh
# Takes the Makefile's question whether it is new enough as its version allows.
case "$1" in
  --version) echo "Python {version}" ;;
  -c) exit {status} ;;
  binder/setup/install.py) shift
     echo "installed: $*, backend $TORCH_BACKEND"; exit ${{STATUS:-0}} ;;
  -m) case "$2" in
        venv) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
        *) echo "ran: $*" ;;
      esac ;;
esac
"""


@pytest.fixture
def tree(tmp_path):
    """A tree with the Makefile and a PATH of its own; ``python(name, version)`` adds a Python."""
    root, tools = tmp_path / "a tree", tmp_path / "tools"
    root.mkdir()
    tools.mkdir()
    for file in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / file, root)
    shutil.copytree(ROOT / "binder" / "setup", root / "binder" / "setup")
    for name in ("sh", "sed", "cksum", "rm", "mkdir", "cp", "cat", "touch", "grep"):
        if found := shutil.which(name):
            (tools / name).symlink_to(found)

    class Tree:
        path = root

        @staticmethod
        def python(name: str, version: str) -> None:
            status = int(tuple(map(int, version.split("."))) < (3, 11))
            file = tools / name
            file.write_text(FAKE_PYTHON.format(version=version, status=status))
            file.chmod(0o755)

        @staticmethod
        def make(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [MAKE, *arguments],
                cwd=root,
                env={"PATH": str(tools), "SHELL": "/bin/sh", **variables},
                capture_output=True,
                text=True,
            )

    return Tree


def test_help_comes_first_and_begins_with_what_a_learner_wants(tree):
    assert re.findall(r"^  make ([\w-]+)", tree.make().stdout, re.MULTILINE) == [
        *("lab", "run", "test", "copies", "outputs", "bench", "install", "binder-link", "clean")
    ]


def test_says_what_is_missing_where_every_python_is_too_old(tree):
    tree.python("python3", "3.9.2")
    done = tree.make("run")
    assert done.returncode != 0
    assert "PersonaLens needs Python 3.11 or newer" in done.stderr
    assert "Python 3.9.2" in done.stderr
    assert not (tree.path / ".venv").exists()


def test_takes_a_newer_python_beside_an_old_python3(tree):
    tree.python("python3", "3.9.2")
    tree.python("python3.12", "3.12.1")
    done = tree.make("run", "DATASET=sample")
    assert done.returncode == 0, done.stderr
    assert "Making .venv with Python 3.12.1" in done.stdout
    assert "ran: -m personalens run --dataset sample" in done.stdout


def test_installs_once_and_again_when_the_pins_change(tree):
    tree.python("python3", "3.13.0")
    assert "Installing" in tree.make("run").stdout
    assert "Installing" not in tree.make("run").stdout
    later = (tree.path / ".venv").stat().st_mtime + 60
    for file in ("requirements.txt", "binder/setup/jupyter/jupyter_lab_config.json"):
        os.utime(tree.path / file, (later, later))
        again = tree.make("run")
        assert "Installing" in again.stdout
        assert "Making .venv" not in again.stdout
        later += 60
        os.utime(next((tree.path / ".venv").glob(".installed-*")), (later, later))
        later += 60


def test_the_build_of_pytorch_can_be_chosen(tree):
    tree.python("python3", "3.13.0")
    assert "backend cu130\n" in tree.make("install", "TORCH_BACKEND=cu130").stdout
    assert "ran:" not in tree.make("install").stdout


def test_each_environment_of_the_benchmarks_is_installed_in_the_same_way(tree):
    tree.python("python3", "3.13.0")
    (tree.path / "benchmarks").mkdir()
    for name in ("requirements.txt", "requirements-recbole.txt"):
        (tree.path / "benchmarks" / name).touch()
    done = tree.make("bench")
    wanted = "installed: --python .venv-bench/peers/bin/python -r benchmarks/requirements.txt"
    assert wanted in done.stdout


def test_a_moved_tree_is_installed_anew(tree):
    tree.python("python3", "3.13.0")
    tree.make("run")
    moved = tree.path.with_name("moved")
    tree.path.rename(moved)
    done = subprocess.run(
        [MAKE, "run"],
        cwd=moved,
        env={"PATH": str(tree.path.parent / "tools")},
        capture_output=True,
        text=True,
    )
    assert "Installing" in done.stdout


def test_a_failed_installation_fails_and_is_tried_again(tree):
    tree.python("python3", "3.13.0")
    failed = tree.make("run", STATUS="1")
    assert failed.returncode != 0
    assert "ran:" not in failed.stdout
    assert "ran:" in tree.make("run").stdout


def test_a_relative_data_folder_becomes_absolute(tree):
    tree.python("python3", "3.13.0")
    python = tree.path.parent / "tools" / "python3"
    python.write_text(python.read_text().replace('"ran: $*"', '"data: $PERSONALENS_DATA"'))
    assert f"data: {tree.path}/../shared" in tree.make("run", "PERSONALENS_DATA=../shared").stdout
    assert "data: /else where" in tree.make("run", "PERSONALENS_DATA=/else where").stdout
    assert "data: \n" in tree.make("run").stdout
