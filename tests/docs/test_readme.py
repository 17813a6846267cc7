"""What the documents say is so: commands exist, links lead somewhere, settings are all listed."""

from __future__ import annotations

import importlib
import inspect
import re
import shlex
from pathlib import Path

import nbformat
import pytest
import typer

import personalens
from personalens.cli.commands import app
from personalens.testing import recipe_contract
from personalens.training.options import TrainingOptions

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", ROOT / "data" / "README.md"]
DOCUMENTS += [path for folder in ("labs", "docs") for path in sorted((ROOT / folder).glob("*.md"))]
LABS = sorted((ROOT / "labs").glob("*.ipynb"))
BLOCKS = re.findall(r"^ *```(\w*)\n(.*?)^ *```", README, re.MULTILINE | re.DOTALL)
LINES = [
    shlex.split(line, comments=True)
    for language, block in BLOCKS
    if language == "sh"
    for line in block.splitlines()
    if line.strip()
]


def test_the_readme_has_commands():
    assert {words[0] for words in LINES} >= {"make", ".venv/bin/personalens"}


@pytest.mark.parametrize("words", [w for w in LINES if w[0] == "make"], ids=" ".join)
def test_make_targets_and_their_variables_exist(words):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in words[1:]:
        name, is_variable, _ = word.partition("=")
        pattern = rf"\b{name}\b" if is_variable else rf"^{name}:"
        assert re.search(pattern, makefile, re.MULTILINE), f"the Makefile has no {name}"


@pytest.mark.parametrize("words", [w for w in LINES if "personalens" in w[0]], ids=" ".join)
def test_commands_and_options_exist(words):
    command = typer.main.get_command(app)
    for word in words[1:]:
        if hasattr(command, "commands"):
            assert word in command.commands, f"personalens has no {word}"
            command = command.commands[word]
        elif word.startswith("--"):
            known = {option for parameter in command.params for option in parameter.opts}
            assert word in known, f"{command.name} has no {word}"


def test_every_setting_in_the_code_is_documented_and_the_other_way_round():
    listed = set(re.findall(r"^\| `(PERSONALENS_\w+)`", README, re.MULTILINE))
    named = set(re.findall(r"PERSONALENS_[A-Z_]+[A-Z]", README))
    sources = [*(ROOT / "personalens").rglob("*.py"), ROOT / "Makefile", ROOT / ".ci" / "run"]
    for folder in ("binder",):
        sources += [path for path in (ROOT / folder).rglob("*") if path.suffix != ".pyc"]
    sources = [path for path in sources if path.is_file()] + LABS
    used = set()
    for path in sources:
        text = path.read_text(encoding="utf-8")
        used |= set(re.findall(r"\bPERSONALENS_[A-Z_]+[A-Z]\b", text))
    training = {f"PERSONALENS_TRAINING_{name.upper()}" for name in vars(TrainingOptions())}
    used -= {"PERSONALENS_TRAINING"}  # the prefix, in the code
    assert used - listed - training == set(), "used, but not in the README's table"
    assert listed - used - training == set(), "in the README's table, but used nowhere"
    assert named - listed - training == set(), "named in the README, but not in its table"


def links():
    """Yield (document, target) of every relative link and image."""
    texts = [(path, path.read_text(encoding="utf-8")) for path in DOCUMENTS]
    for path in LABS:
        cells = nbformat.read(path, as_version=4).cells
        prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        texts.append((path, prose))
    for path, text in texts:
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if not re.match(r"[a-z]+:|#", target):
                yield path, target


def test_links_within_the_project_lead_to_files():
    found = list(links())
    assert found
    broken = [
        f"{path.name}: {target}"
        for path, target in found
        if not (path.parent / target.partition("#")[0]).exists()
    ]
    assert broken == []


def test_the_lab_table_has_every_lab_once_with_measured_seconds():
    rows = re.findall(r"^\| \[(\d\d) [^]]+\]\((labs/[^)]+)\) .* (\d+) \| (\d+) s \|$", README, re.M)
    assert [row[1] for row in rows] == [f"labs/{lab.name}" for lab in LABS]
    for number, path, minutes, _ in rows:
        assert Path(path).name.startswith(number)
        first = nbformat.read(ROOT / path, as_version=4).cells[0].source
        assert re.search(rf"\b{minutes} min", first), f"{path} names other minutes"


def test_the_folders_of_the_layout_exist():
    layout = next(block for language, block in BLOCKS if "personalens/\n" in block)
    top = re.findall(r"^(\w+)/", layout, re.MULTILINE)
    assert top
    assert all((ROOT / name).is_dir() for name in top)
    inner = re.findall(r"^  ((?:\w+(?:/|\.py) ?)+)", layout, re.MULTILINE)
    names = {name for group in inner for name in group.split()}
    assert all((ROOT / "personalens" / name).exists() for name in names)
    packages = {path.parent.name for path in (ROOT / "personalens").glob("*/__init__.py")}
    assert {name.rstrip("/") for name in names if name.endswith("/")} == packages


def test_the_recipe_contract_is_where_the_readme_says():
    for name in re.findall(r"from personalens\.testing\.recipe_contract import (\w+)", README):
        assert inspect.isclass(getattr(recipe_contract, name))


@pytest.mark.parametrize("name", personalens.__all__)
def test_every_public_name_has_a_docstring(name):
    value = getattr(personalens, name)
    assert len((inspect.getdoc(value) or "").split()) >= 5


def test_every_module_says_what_it_is_for():
    for path in sorted((ROOT / "personalens").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        if name != "personalens.__main__":
            assert importlib.import_module(name).__doc__, f"{name} has no docstring"
