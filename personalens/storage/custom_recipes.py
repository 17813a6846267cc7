"""Recipes from outside the package, registered in a home and found by every process on it.

A class is remembered as ``module:class`` and the folder in which Python found the module. So the
worker that trains it, the server that serves it and tomorrow's notebook import the same file.
Recipes of installed packages need no registering: :func:`personalens.recipes.registry.installed`.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import get_args

from personalens.arns import recipe_arn
from personalens.recipes import registry
from personalens.recipes.base import Recipe, RecipeType
from personalens.recipes.hyperparameters import hyperparameter_table
from personalens.recipes.registry import RecipeEntry
from personalens.storage.resource_store import Resource, ResourceReader, ResourceStore

RECIPE = "recipe"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-_]{0,62}")
_WHERE = (
    "Put the class into a file of its own beside the notebook (a cell that begins with "
    "%%writefile my_recipe.py writes one), import it from there and register it again: training "
    "runs in another process, which can import a file but not a notebook's cell."
)

_imported: dict[str, tuple[int, int]] = {}
"""Modules that were imported here, with the time and size of their files at that moment."""


class RecipeUnavailable(ImportError):
    """A registered recipe's class cannot be imported any more; the message says why."""


@dataclass(frozen=True)
class RegisteredRecipe(RecipeEntry):
    """A recipe that somebody has registered; ``folder`` is where Python finds its module."""

    folder: str = ""

    @property
    def recipe(self) -> type[Recipe]:
        """The recipe's class."""
        name, _, attribute = self.implementation.partition(":")
        try:
            found = getattr(_import(name, Path(self.folder)), attribute)
        except Exception as error:  # the file is the learner's: anything may happen in it
            raise RecipeUnavailable(
                f"The recipe {self.name} is registered as {attribute} in the module {name} of "
                f"{self.folder}, and that cannot be imported: {type(error).__name__}: {error}. "
                "Put it right and call personalens.register again."
            ) from error
        return found


def register_recipe(store: ResourceStore, recipe: type[Recipe]) -> str:
    """Make a recipe known in a home, in the place of an earlier one of its name; return its ARN."""
    _check_class(recipe)
    _check_name(recipe.name)
    body = {
        "implementation": f"{recipe.__module__}:{recipe.__qualname__}",
        "folder": str(_module_folder(recipe)),
    }
    arn = recipe_arn(recipe.name)
    with store.transaction() as tx:
        if tx.get(arn) is not None:
            tx.delete(arn)
        tx.insert(Resource(arn, RECIPE, recipe.name, status="ACTIVE", body=body))
    return arn


def known_recipes(reader: ResourceReader) -> Mapping[str, RecipeEntry]:
    """Return every recipe that can be used in a home: ours, installed ones, registered ones.

    ``reader`` must see all regions and accounts: a recipe belongs to none.
    """
    entries = {**registry.RECIPES, **registry.installed()}
    for row in reader.list(RECIPE):
        entries[row.name] = RegisteredRecipe(
            name=row.name,
            implementation=row.body["implementation"],
            algorithm=row.name,
            feature_transformation=row.name,
            folder=row.body["folder"],
        )
    return entries


def _check_class(recipe: object) -> None:
    if not (isinstance(recipe, type) and issubclass(recipe, Recipe)):
        raise TypeError(
            f"register takes a class that derives from personalens.recipes.base.Recipe, not "
            f"{recipe!r}"
        )
    missing = sorted(getattr(recipe, "__abstractmethods__", ()))
    missing += ["explore"] if recipe.explores and recipe.explore is Recipe.explore else []
    missing += (
        ["influenced"] if recipe.takes_influence and not hasattr(recipe, "influenced") else []
    )
    if missing:
        raise TypeError(f"{recipe.__name__} lacks the methods {', '.join(missing)}")
    if getattr(recipe, "recipe_type", None) not in get_args(RecipeType):
        raise TypeError(
            f"{recipe.__name__}.recipe_type must be one of {', '.join(get_args(RecipeType))}"
        )
    hyperparameter_table(recipe.Config)  # raises TypeError for what the service cannot show


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"a recipe's name becomes part of its ARN: {name!r} must be 1 to 63 letters, digits, "
            "hyphens and underscores"
        )
    if name.startswith("aws-") or name in registry.RECIPES:
        raise ValueError(f"{name!r} is a name for the service's own recipes; choose another")


def _module_folder(recipe: type[Recipe]) -> Path:
    """Return the folder that must be on ``sys.path`` for the class's module to be imported."""
    if recipe.__module__ == "__main__":
        raise ValueError(f"{recipe.__name__} is defined in a notebook or a script. {_WHERE}")
    if "<locals>" in recipe.__qualname__ or "." in recipe.__qualname__:
        raise ValueError(f"{recipe.__qualname__} is defined inside a function or a class. {_WHERE}")
    module = sys.modules[recipe.__module__]
    if getattr(module, recipe.__name__, None) is not recipe:
        raise ValueError(f"{recipe.__module__} has no {recipe.__name__} that is this class")
    file = Path(inspect.getfile(recipe)).resolve()
    depth = recipe.__module__.count(".") + (file.name == "__init__.py")
    return file.parents[depth]


def _import(name: str, folder: Path) -> ModuleType:
    """Return a module of a folder as its file is now; what the caller imported stays as it is."""
    if name not in sys.modules:
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
        importlib.invalidate_caches()
        _imported[name] = _state(importlib.import_module(name))
    elif name in _imported and _imported[name] != _state(sys.modules[name]):
        _imported[name] = _state(importlib.reload(sys.modules[name]))
    module = sys.modules[name]
    file = Path(module.__file__ or "").resolve()
    if folder not in file.parents:
        raise ImportError(f"another module of that name was imported, from {file}")
    return module


def _state(module: ModuleType) -> tuple[int, int]:
    status = Path(module.__file__ or "").stat()
    return status.st_mtime_ns, status.st_size
