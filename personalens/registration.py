"""A recipe of one's own, for everything that the service does."""

from __future__ import annotations

import os
from pathlib import Path

from botocore.session import Session

from personalens.activation import current_home
from personalens.arns import DEFAULT_REGION, recipe_arn
from personalens.control.custom_recipes import register_recipe
from personalens.control.resource_store import ResourceStore
from personalens.home import Home
from personalens.recipes.base import Recipe


def register(recipe: type[Recipe], *, home: Home | str | os.PathLike[str] | None = None) -> str:
    """Make a recipe from outside the package known, and return its ARN for CreateSolution.

    From then on it is a recipe like the others in this home, for every process and for good: it is
    listed and described, trained, tuned, compared by AutoML, deployed and served. Registering the
    same name again replaces it; models that it trained before are read by the new class.

    Parameters
    ----------
    recipe
        The class, imported from a file: training runs in a process of its own, which imports that
        file too. A file that has changed since is read anew there.
    home
        Default: the home of the newest :func:`personalens.activate`, else the default one.

    Raises
    ------
    TypeError
        If the class is no complete recipe.
    ValueError
        If its name cannot be part of an ARN or is the service's own, or if it is defined where no
        other process can import it (a notebook's cell, a function).
    """
    if not isinstance(home, Home):
        home = current_home() if home is None else Home(Path(home).expanduser().resolve())
    register_recipe(ResourceStore(home.create()), recipe)
    region = Session().get_config_variable("region")  # that of the clients to come
    return recipe_arn(recipe.name, region=region or DEFAULT_REGION)
