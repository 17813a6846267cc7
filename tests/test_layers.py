"""The order of the layers, and the size of the files: imports point downwards only."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "personalens"
MODULES = sorted(PACKAGE.rglob("*.py"))
LINES_ALLOWED = 500
LINES_IN_ALL = 42_500
"""Of the package. It only falls."""

# What each room may import, beside itself: imports point down. Whatever is not named is a room of
# its own below all.
GROUND = {"environment", "progress", "home", "service_errors", "arns", "durable_files"}
DATA = GROUND | {"datasets"}
NETWORKS = GROUND | {"networks"}
TRAINING = DATA | NETWORKS | {"training"}
MEASURE = DATA | {"evaluation"}
RECIPES = TRAINING | MEASURE | {"filters", "recipes"}
STORAGE = RECIPES | {"storage", "settings"}
JOBS = STORAGE | {"jobs"}
WORK = JOBS | {"control.work"}
ANSWERS = JOBS | {"runtime"}
EVENTS = JOBS | {"events"}
OPERATIONS = WORK | {"control.operations"}
AWS = OPERATIONS | ANSWERS | EVENTS | {"aws"}
TOP = AWS | {"activation"}
ALLOWED = {
    **dict.fromkeys(GROUND, GROUND),
    "datasets": DATA,
    "film_world": DATA | {"film_world"},
    "evaluation": MEASURE,
    "filters": DATA | {"filters"},
    "networks": NETWORKS,
    "training": TRAINING,
    "recipes": RECIPES - {"filters"},
    "ratings": RECIPES | {"ratings"},
    "testing": RECIPES | {"testing"},
    "settings": STORAGE - {"storage"},
    "storage": STORAGE,
    "jobs": JOBS,
    "control.work": WORK,
    "control.operations": OPERATIONS,
    "runtime": ANSWERS,
    "events": EVENTS,
    "aws": AWS,
    "activation": TOP,
}
"""notebook, cli and the rest of the top may import everything."""

EXCEPTIONS = {
    # The sample is one of the data sets that have a name.
    "datasets/__init__.py": {"film_world"},
    "jobs/job_runner.py": {"control.work", "runtime"},  # names who does which job, as text
}

ENGINE = ("datasets", "evaluation", "networks", "training", "recipes", "testing")
FORBIDDEN_IN_ENGINE = {"boto3", "botocore"}


def imports(path: Path) -> set[str]:
    """Return the modules that a file imports anywhere, lazily ones too, as dotted names."""
    found = set()
    package = ["personalens", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            # Implementations that are named in tables: "personalens.recipes.sims:SIMS".
            module, _, attribute = node.value.partition(":")
            if module.startswith("personalens.") and attribute.isidentifier():
                found.add(module)
    return found


def part_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:2]) if parts[0] == "control" else parts[0]


def is_allowed(module: str, allowed: set[str]) -> bool:
    inside = module.removeprefix("personalens").lstrip(".")
    return any(inside == name or inside.startswith(f"{name}.") for name in allowed)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_imports_point_downwards(path):
    allowed = ALLOWED.get(part_of(path))
    if allowed is not None:
        allowed = allowed | EXCEPTIONS.get(str(path.relative_to(PACKAGE)), set())
    ours = {module for module in imports(path) if module.startswith("personalens.")}
    upward = [] if allowed is None else [m for m in sorted(ours) if not is_allowed(m, allowed)]
    assert upward == [], f"{name(path)} may import {sorted(allowed or ())} only"


@pytest.mark.parametrize("path", [p for p in MODULES if part_of(p) in ENGINE], ids=name)
def test_the_engine_knows_nothing_of_aws(path):
    used = {module.split(".")[0] for module in imports(path)} & FORBIDDEN_IN_ENGINE
    assert used == set()


def test_no_file_is_longer_than_a_sitting_and_the_package_does_not_grow():
    lengths = {name(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {file: n for file, n in lengths.items() if n > LINES_ALLOWED} == {}
    assert sum(lengths.values()) <= LINES_IN_ALL


def test_the_walk_sees_lazy_relative_and_named_imports(monkeypatch):
    source = (
        "from . import sims\n"
        "def later():\n"
        "    from personalens.aws import wire_json\n"
        "    import boto3.session\n"
        'ENTRY = "personalens.recipes.hrnn:HRNN"\n'
    )
    file = PACKAGE / "recipes" / "_never_written.py"
    monkeypatch.setattr(Path, "read_text", lambda self, **_: source)
    assert imports(file) == {
        "personalens.recipes",
        "personalens.recipes.sims",
        "personalens.aws",
        "personalens.aws.wire_json",
        "boto3.session",
        "personalens.recipes.hrnn",
    }
    assert not is_allowed("personalens.aws.wire_json", ALLOWED["recipes"])
