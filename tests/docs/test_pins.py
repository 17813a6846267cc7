"""requirements.txt pins exactly what pyproject.toml leads to, and everything that is imported."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests.docs.setup_scripts import load_script

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "benchmarks" / "peers"
HERE = ".".join(map(str, sys.version_info[:2]))
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
"""For which the pins are; see .ci/newest_python, too."""
PINNED_EXTRAS = ("labs", "server", "hpo", "dev")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LINES = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
PIN = re.compile(r"^([\w.-]+)==([\w.]+)(?: ; (.+))?$", re.MULTILINE)
FOUND = [(canonicalize_name(name), *rest) for name, *rest in PIN.findall("\n".join(LINES))]
PINS = {name: version for name, version, _ in FOUND}
OF_CUDA = re.compile(r"nvidia-|cuda-|triton$")


def pins_of(python: str) -> dict[str, str]:
    """Return what is pinned for this version of Python."""
    environment = {"python_version": python}
    return {
        name: version
        for name, version, marker in FOUND
        if not marker or Marker(marker).evaluate(environment)
    }


def declared() -> list[Requirement]:
    """Return what pyproject.toml asks for, with the extras that the pins cover."""
    extras = PROJECT["optional-dependencies"]
    texts = [*PROJECT["dependencies"], *(text for name in PINNED_EXTRAS for text in extras[name])]
    return [Requirement(text) for text in texts]


@cache
def requirements_of(name: str) -> tuple[Requirement, ...]:
    """Return what a package needs; of PyTorch, what each build of it needs. Which CUDA packages one
    brings depends on the build, and PyTorch itself pins them to the digit."""
    try:
        needed = tuple(map(Requirement, metadata.requires(name) or ()))
    except metadata.PackageNotFoundError:  # another Python's
        return ()
    return tuple(r for r in needed if name != "torch" or not OF_CUDA.match(r.name))


def closure(roots: list[Requirement], pythons: Sequence[str] = (HERE,)) -> set[str]:
    """Return everything that the roots need on this platform, on any of these versions of Python,
    by the installed metadata."""
    environments = [{"python_version": v, "python_full_version": f"{v}.0"} for v in pythons]
    seen, todo = set(), list(roots)
    while todo:
        wanted = todo.pop()
        key = (canonicalize_name(wanted.name), frozenset(wanted.extras))
        if key in seen:
            continue
        seen.add(key)
        for inner in requirements_of(wanted.name):
            extras = wanted.extras or {""}
            cases = [{**each, "extra": extra} for each in environments for extra in extras]
            if inner.marker is None or any(map(inner.marker.evaluate, cases)):
                todo.append(inner)
    return {name for name, _ in seen}


def test_torch_comes_first_and_the_package_last():
    assert re.fullmatch(r"torch==\d+\.\d+\.\d+", LINES[0])
    assert LINES[-1] == "-e ."


def test_every_line_is_an_exact_pin_without_a_build_or_a_host():
    pinned = [line for line in LINES[:-1] if not line.startswith("#")]
    assert all(map(PIN.fullmatch, pinned))
    assert len(PINS) == len(pinned)
    assert "://" not in "\n".join(LINES)


def test_the_pins_are_the_whole_closure_and_nothing_else():
    assert closure(declared()) - set(pins_of(HERE)) == set(), "not pinned"
    of_any = closure(declared(), PYTHONS)
    assert set(pins_of(HERE)) - of_any == set(), "pinned, but nobody needs it"


def test_the_pins_satisfy_the_ranges():
    for wanted in declared():
        assert wanted.specifier.contains(PINS[canonicalize_name(wanted.name)]), str(wanted)


def test_the_pins_run_on_the_python_that_is_promised():
    assert SpecifierSet(PROJECT["requires-python"]).contains("3.11.0")
    for name in pins_of(HERE):
        needs = metadata.metadata(name).get("Requires-Python")
        assert needs is None or SpecifierSet(needs).contains("3.11.0"), f"{name} needs {needs}"


@pytest.mark.slow
@pytest.mark.parametrize("python", PYTHONS)
def test_the_package_index_has_a_wheel_of_every_pin(python, tmp_path):
    """What pyproject.toml leads to on a Python that need not be here is what the pins say."""
    if os.environ.get("PERSONALENS_TEST_INSTALLS") != "1":
        pytest.skip("asks the package index: set PERSONALENS_TEST_INSTALLS=1")
    install = load_script("install")
    uv = shutil.which("uv", path=sysconfig.get_path("scripts"))
    if uv is None:
        pytest.skip("this environment was installed without uv")
    pins = tmp_path / "pins.txt"
    pins.write_text(install.pins_of(ROOT / "requirements.txt"), encoding="utf-8")
    extras = [word for name in PINNED_EXTRAS for word in ("--extra", name)]
    command = [uv, "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--only-binary"]
    command += [":all:", "--python-version", python, "-c", str(pins), *extras, "pyproject.toml"]
    environment = os.environ | install.pip_settings()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = dict(line.split("==") for line in done.stdout.splitlines())
    build = re.compile(r"\+\w+$")  # of PyTorch, where this machine has it
    wanted = {canonicalize_name(name): build.sub("", version) for name, version in found.items()}
    pinned = pins_of(python)
    assert {name: v for name, v in wanted.items() if not OF_CUDA.match(name)}.items() <= (
        pinned.items()
    )
    older = set(pinned) - set(wanted)  # pins without a marker that only older Pythons need
    assert older <= closure(declared(), PYTHONS)


def sources():
    """Yield each file of Python and the code of each lab; the benchmarks' peers are apart."""
    for folder in ("personalens", "tests", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path.parent == PEERS:
                continue
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "labs").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        code = [re.sub(r"^%.*$", "", source, flags=re.MULTILINE) for source in code]  # magics
        yield str(path.relative_to(ROOT)), "\n".join(code)


def imported_names(text: str) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def test_whatever_is_imported_is_pinned():
    providers = metadata.packages_distributions()
    ours = {"personalens", "tests", "benchmarks", *sys.stdlib_module_names}
    missing = {
        f"{file} imports {name}"
        for file, text in sources()
        for name in imported_names(text) - ours
        if not {canonicalize_name(found) for found in providers.get(name, ())} & set(PINS)
    }
    assert missing == set()


def test_whatever_the_peers_import_is_pinned_for_them():
    lines = [
        line
        for path in (ROOT / "benchmarks").glob("requirements*.txt")
        for line in path.read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    ]
    assert all(re.fullmatch(r"[\w.-]+(\[\w+\])?==[\w.]+", line) for line in lines)
    pinned = {canonicalize_name(re.split(r"[\[=]", line)[0]) for line in lines}
    ours = {"benchmarks", *sys.stdlib_module_names}
    for path in sorted(PEERS.glob("*.py")):
        imported = imported_names(path.read_text(encoding="utf-8")) - ours
        missing = {name for name in imported if canonicalize_name(name) not in pinned}
        assert missing == set(), path.name
