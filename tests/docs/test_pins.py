"""requirements.txt pins exactly what pyproject.toml leads to, and everything that is imported."""

from __future__ import annotations

import ast
import json
import re
import sys
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "benchmarks" / "peers"
HERE = ".".join(map(str, sys.version_info[:2]))
PYTHONS = ("3.11", "3.12", "3.13")
"""On which the pins are installed: see .ci/newest_python."""
PINNED_EXTRAS = ("labs", "server", "hpo", "dev")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LINES = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
PINS = {
    canonicalize_name(name): version
    for name, version in re.findall(r"^([\w.-]+)==(\S+)$", "\n".join(LINES), re.MULTILINE)
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
    of_cuda = re.compile(r"nvidia-|cuda-|triton$")
    return tuple(r for r in needed if name != "torch" or not of_cuda.match(r.name))


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
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in pinned)
    assert len(PINS) == len(pinned)
    assert "://" not in "\n".join(LINES)


def test_the_pins_are_the_whole_closure_and_nothing_else():
    assert closure(declared()) - set(PINS) == set(), "not pinned"
    of_any = closure(declared(), PYTHONS)
    assert set(PINS) - of_any == set(), "pinned, but nobody needs it"


def test_the_pins_satisfy_the_ranges():
    for wanted in declared():
        assert wanted.specifier.contains(PINS[canonicalize_name(wanted.name)]), str(wanted)


def test_the_pins_run_on_the_python_that_is_promised():
    assert SpecifierSet(PROJECT["requires-python"]).contains("3.11.0")
    for name in PINS:
        needs = metadata.metadata(name).get("Requires-Python")
        assert needs is None or SpecifierSet(needs).contains("3.11.0"), f"{name} needs {needs}"


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
