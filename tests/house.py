"""The plan of the package, measured: lines and files by room, circles of imports, long functions.

``python -m tests.house`` prints it. Rooms are the folders of ``personalens/``; what lies beside
them is the ground floor.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "personalens"
GROUND = "."
SERVICE_ROOMS = ("aws", "control", "events", "jobs", "runtime", "settings", "storage")
LONG = 40
_RECIPE_NAME = re.compile(r"[\"']aws-[a-z][a-z0-9-]+[\"']")


@cache
def files() -> dict[str, str]:
    """Return the text of each file of the package, by its path below it."""
    found = sorted(PACKAGE.rglob("*.py"))
    return {str(path.relative_to(PACKAGE)): path.read_text("utf-8") for path in found}


def room_of(file: str) -> str:
    """Return the room of a file.

    >>> room_of("control/work/train.py"), room_of("recipes/hrnn.py"), room_of("home.py")
    ('control/work', 'recipes', '.')
    """
    *folders, _ = file.split("/")
    return "/".join(folders) or GROUND


def lines_by_room() -> Counter[str]:
    """Return how many lines the files of each room have together."""
    lines: Counter[str] = Counter()
    for file, text in files().items():
        lines[room_of(file)] += text.count("\n")
    return lines


def circle_of_files() -> list[str]:
    """Return the files of a circle of imports, lazy and type-only ones counted, or [].

    An ``__init__.py`` that only hands out names of its room is no link.
    """
    modules = {_module(file): file for file in files()}
    graph = {
        file: {
            modules[name]
            for name in _imported(ast.parse(text))
            if name in modules and modules[name] != file and not _is_init(modules[name])
        }
        for file, text in files().items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def functions() -> dict[str, int]:
    """Return the lines of each function, by "file:name"."""
    return {
        f"{file}:{node.name}:{node.lineno}": node.end_lineno - node.lineno + 1
        for file, text in files().items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def recipe_names_in_services() -> list[str]:
    """Return where a file of the services, which are to know no recipe by name, names one."""
    return [
        f"{file}: {name}"
        for file, text in files().items()
        if file.split("/")[0] in SERVICE_ROOMS
        for name in _RECIPE_NAME.findall(text)
    ]


def _module(file: str) -> str:
    return "personalens." + file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _is_init(file: str) -> bool:
    return file.endswith("__init__.py")


def _imported(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


if __name__ == "__main__":
    rooms, lengths = lines_by_room(), functions()
    for room, lines in sorted(rooms.items()):
        print(f"{lines:6} {sum(room_of(file) == room for file in files()):4} files  {room}")
    print(f"{rooms.total():6} {len(files()):4} files together")
    print(f"circle: {circle_of_files() or 'none'}")
    print(f"recipe names in services: {recipe_names_in_services() or 'none'}")
    long = sum(n > LONG for n in lengths.values())
    print(f"functions over {LONG} lines: {long} of {len(lengths)}, {long / len(lengths):.1%}")
