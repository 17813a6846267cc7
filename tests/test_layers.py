"""The order of the layers, and the size of the files: imports point downwards only."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "personalens"
MODULES = sorted(PACKAGE.rglob("*.py"))
LINES_ALLOWED = 500

# What each part may import, beside itself. Whatever is not named is a part of its own below all.
GROUND = {"home", "service_errors", "arns", "durable_files"}
DATA = GROUND | {"datasets"}
FILTERS = DATA | {"filters"}
MEASURE = DATA | {"evaluation"}
NETWORKS = GROUND | {"networks"}
TRAINING = MEASURE | NETWORKS | {"training"}
RECIPES = TRAINING | {"recipes"}
CONTROL = RECIPES | {"control", "filters"}
SERVICE = CONTROL | {"runtime", "events"}
AWS = SERVICE | {"aws"}
TOP = AWS | {"activation"}
ALLOWED = {
    "home": GROUND,
    "durable_files": set(),
    "service_errors": GROUND,
    "arns": GROUND,
    "datasets": DATA | {"training.progress"},  # how a long import reports; it imports nothing
    "evaluation": MEASURE,
    "filters": FILTERS,
    "networks": NETWORKS,
    "training": TRAINING,
    "recipes": RECIPES,
    "testing": RECIPES | {"testing"},
    "control": CONTROL,
    "runtime": SERVICE - {"events"},
    "events": SERVICE - {"runtime"},
    "aws": AWS,
    "activation": TOP,
}
"""notebook, cli and the rest of the top may import everything."""

JOB_TABLE = "control/job_handlers.py"
"""Names the handlers of all layers, for a worker to import when such a job comes."""

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
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def is_allowed(module: str, allowed: set[str]) -> bool:
    inside = module.removeprefix("personalens").lstrip(".")
    return any(inside == name or inside.startswith(f"{name}.") for name in allowed)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_imports_point_downwards(path):
    allowed = ALLOWED.get(part_of(path))
    if path == PACKAGE / JOB_TABLE:
        allowed = SERVICE
    ours = {module for module in imports(path) if module.startswith("personalens.")}
    upward = [] if allowed is None else [m for m in sorted(ours) if not is_allowed(m, allowed)]
    assert upward == [], f"{name(path)} may import {sorted(allowed or ())} only"


@pytest.mark.parametrize("path", [p for p in MODULES if part_of(p) in ENGINE], ids=name)
def test_the_engine_knows_nothing_of_aws(path):
    used = {module.split(".")[0] for module in imports(path)} & FORBIDDEN_IN_ENGINE
    assert used == set()


def test_no_file_is_longer_than_a_sitting_and_the_package_is_thin(capsys):
    lengths = {name(path): len(path.read_text().splitlines()) for path in MODULES}
    with capsys.disabled():
        print(f"\npersonalens/: {len(lengths)} files, {sum(lengths.values())} lines")
    assert {file: n for file, n in lengths.items() if n > LINES_ALLOWED} == {}


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
