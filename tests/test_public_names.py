"""`import personalens` is cheap, and each public name comes when it is used."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import personalens

ROOT = Path(personalens.__file__).parents[1]


def run_python(script):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout


def test_importing_the_package_imports_nothing_heavy():
    heavy = "torch pandas numpy scipy pyarrow boto3 botocore sqlite3 matplotlib pydantic"
    loaded = run_python(
        "import sys, personalens; print(*(name for name in sys.modules if '.' not in name))"
    ).split()
    assert "personalens" in loaded
    assert set(loaded).isdisjoint(heavy.split())


def test_activating_loads_no_model_library():
    loaded = run_python(
        "import sys, personalens, tempfile; personalens.activate(tempfile.mkdtemp(), quiet=True);"
        "print(*(name for name in sys.modules if '.' not in name))"
    ).split()
    assert "botocore" in loaded
    assert set(loaded).isdisjoint({"torch", "pandas", "scipy"})


@pytest.mark.parametrize("name", personalens.__all__)
def test_every_public_name_is_there(name):
    assert getattr(personalens, name) is not None
    assert name in dir(personalens)


def test_a_name_that_is_not_public_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'train_everything'"):
        _ = personalens.train_everything


def test_the_version_is_the_projects():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert personalens.__version__ == project["version"]
