"""A wheel has all that a notebook needs outside of the working tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHECK = """
import personalens
lab = personalens.LabSession(3, dataset="sample", catch_up=False)
print(personalens.__file__)
lab.check("3.2", ["INCREMENTAL", "FULL", "INCREMENTAL"])
"""


def python(*arguments: str, cwd: Path, **variables: str) -> str:
    """Run Python, which has to succeed; return what it prints."""
    done = subprocess.run(
        arguments,
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A wheel of a copy of the working tree, built without a network."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, tree)
    for name in ("personalens", "labs/checks"):
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tree / name, ignore=skip)
    build = ("pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", "dist", ".")
    python(sys.executable, "-m", *build, cwd=tree)
    [wheel] = (tree / "dist").glob("personalens-*.whl")
    return wheel


def test_every_file_of_the_package_and_every_check_is_in_it(wheel):
    packed = zipfile.ZipFile(wheel).namelist()
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "personalens").rglob("*.py")}
    assert modules == {name for name in packed if name.startswith("personalens/") and ".py" in name}
    checks = {path.name for path in (ROOT / "labs" / "checks").glob("*.py")}
    assert checks == {Path(name).name for name in packed if "/share/personalens/checks/" in name}


def test_a_check_runs_outside_of_the_working_tree(wheel, tmp_path):
    python(sys.executable, "-m", "venv", "--without-pip", "venv", cwd=tmp_path)
    inside = str(tmp_path / "venv" / "bin" / "python")
    install = ("pip", "--python", inside, "install", "--no-deps", "--no-index", str(wheel))
    python(sys.executable, "-m", *install, cwd=tmp_path)
    # This environment's packages without its .pth files, so without an editable personalens.
    packages = os.pathsep.join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    home = str(tmp_path / "home")
    said = python(inside, "-c", CHECK, cwd=tmp_path, PYTHONPATH=packages, PERSONALENS_HOME=home)
    where, done = said.splitlines()
    assert Path(where).is_relative_to(tmp_path)
    assert done.startswith("✓ 3.2 done")
