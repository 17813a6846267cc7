"""The recipes that exist, found by name, and their hyperparameters as the service shows them.

:mod:`personalens.recipes.registry` has a row for each recipe.

Amazon Personalize: ListRecipes, DescribeRecipe, DescribeAlgorithm, DescribeFeatureTransformation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from personalens.datasets.schema_rules import number_in
from personalens.recipes.base import RecipeConfig
from personalens.recipes.registry import BUILT_IN, EVERY_DATASET, PREVIEW_NAMES, RecipeEntry

ALGORITHM, FEATURE_TRANSFORMATION = "algorithm", "featureTransformation"


ENTRY_POINTS = "personalens.recipes"
"""The group of entry points by which an installed package offers its recipes, each under its
name: ``[project.entry-points."personalens.recipes"]``, ``my-recipe = "my_package.file:MyRecipe"``.
"""

RECIPES: dict[str, RecipeEntry] = {entry.name: entry for entry in BUILT_IN}


@cache
def installed() -> dict[str, RecipeEntry]:
    """Return the recipes of installed packages; looking for them imports none."""
    return {
        point.name: RecipeEntry(
            name=point.name,
            implementation=point.value,
            algorithm=point.name,
            feature_transformation=point.name,
            description=f"{point.value}, of an installed package.",
            dataset_types=EVERY_DATASET,
        )
        for point in metadata.entry_points(group=ENTRY_POINTS)
        if point.name not in RECIPES
    }


def get(name: str) -> RecipeEntry:
    """Return the entry of one of our or an installed package's recipes by its name, or by the name
    it had in the preview of 2018.

    Raises
    ------
    KeyError
        If there is none, with the names there are.
    """
    entries = RECIPES if PREVIEW_NAMES.get(name, name) in RECIPES else {**installed(), **RECIPES}
    try:
        return entries[PREVIEW_NAMES.get(name, name)]
    except KeyError:
        raise KeyError(f"there is no recipe {name!r}; choose {', '.join(entries)}") from None


@dataclass(frozen=True)
class Hyperparameter:
    """One hyperparameter as DescribeAlgorithm shows it; every value is a string, as on the wire.

    ``kind`` is "integer", "continuous" or "categorical"; numbers have ``minimum`` and ``maximum``
    (None where there is no bound), categories have ``values``. ``group`` says whether the service
    takes it in algorithmHyperParameters ("algorithm") or featureTransformationParameters.
    """

    name: str
    group: Literal["algorithm", "featureTransformation"]
    kind: Literal["integer", "continuous", "categorical"]
    default: str
    description: str
    tunable: bool
    minimum: float | None = None
    maximum: float | None = None
    values: tuple[str, ...] = ()
    hpo_only: bool = False


def hyperparameter_table(entry: RecipeEntry) -> list[Hyperparameter]:
    """Return the hyperparameters of a recipe in the order in which its config declares them.

    >>> [(row.name, row.default, row.maximum) for row in hyperparameter_table(get("aws-sims"))][:2]
    [('popularity_discount_factor', '0.5', 1.0), ('min_cointeraction_count', '3', 10)]
    """
    return hyperparameters_of(entry.config)


def hyperparameters_of(config: type[RecipeConfig]) -> list[Hyperparameter]:
    """Return the hyperparameters that a config class declares.

    Raises
    ------
    TypeError
        For one that the service has no way to show.
    """
    return [_hyperparameter(name, field) for name, field in config.model_fields.items()]


def parse_hyperparameters(
    entry: RecipeEntry,
    algorithm: Mapping[str, str] | None = None,
    feature_transformation: Mapping[str, str] | None = None,
) -> RecipeConfig:
    """Return the config that a solution's two maps of strings ask for.

    Parameters
    ----------
    entry
        The recipe.
    algorithm
        ``algorithmHyperParameters``.
    feature_transformation
        ``featureTransformationParameters``.

    Raises
    ------
    ValueError
        For a key that the recipe does not have or takes in the other map, and for a value that is
        not a number or out of range: the message names key, value and what is allowed.
    """
    given = {ALGORITHM: algorithm or {}, FEATURE_TRANSFORMATION: feature_transformation or {}}
    table = {row.name: row for row in hyperparameter_table(entry)}
    for group, values in given.items():
        allowed = [name for name, row in table.items() if row.group == group]
        for key in values:
            if key not in table or table[key].group != group:
                raise ValueError(_misplaced_key(entry.name, group, key, allowed, key in table))
            if table[key].hpo_only:
                raise ValueError(
                    f"{entry.name} takes {key} through a range in hpoConfig only: leave it out of "
                    "algorithmHyperParameters, or tune it with performHPO."
                )
            if table[key].kind != "categorical" and number_in(str(values[key])) is None:
                number = "whole number" if table[key].kind == "integer" else "number"
                raise ValueError(f"{key} is {values[key]!r}: must be a {number}.")
    try:
        return entry.config(**given[ALGORITHM], **given[FEATURE_TRANSFORMATION])
    except ValidationError as error:
        raise ValueError(describe_config_error(error)) from None


def config_strings(config: RecipeConfig) -> dict[str, str]:
    """Return a config as the strings that the service shows; the config class reads them back.

    >>> config_strings(get("aws-sims").config(min_cointeraction_count=2))["min_cointeraction_count"]
    '2'
    """
    return {name: wire_string(value) for name, value in config.model_dump(mode="python").items()}


def wire_string(value: Any) -> str:
    """Return a hyperparameter's value as the service writes it: ``true``, ``32``, ``0.99``."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def describe_config_error(error: ValidationError) -> str:
    """Return a config's error in one line per mistake: which key, which value, what is allowed."""
    return " ".join(_describe_mistake(mistake, error.title) for mistake in error.errors())


def _describe_mistake(mistake: Any, config_name: str) -> str:
    key = ".".join(str(part) for part in mistake["loc"])
    value, limits = mistake["input"], mistake.get("ctx", {})
    if mistake["type"] == "extra_forbidden":
        return f"Unknown hyperparameter {key!r} for {config_name.removesuffix('Config')}."
    bounds = {
        "greater_than_equal": "must be at least {ge}",
        "greater_than": "must be greater than {gt}",
        "less_than_equal": "must be at most {le}",
        "less_than": "must be less than {lt}",
        "literal_error": "must be one of {expected}",
        "int_parsing": "must be a whole number",
        "int_from_float": "must be a whole number",
        "float_parsing": "must be a number",
        "finite_number": "must be a finite number",
        "bool_parsing": "must be true or false",
    }
    rule = bounds.get(mistake["type"])
    reason = rule.format(**limits) if rule else mistake["msg"].removeprefix("Value error, ")
    return f"{key} is {value!r}: {reason}." if key else f"{reason}."


def _misplaced_key(recipe: str, group: str, key: str, allowed: list[str], exists: bool) -> str:
    maps = {
        ALGORITHM: "algorithmHyperParameters",
        FEATURE_TRANSFORMATION: "featureTransformationParameters",
    }
    other = maps[FEATURE_TRANSFORMATION if group == ALGORITHM else ALGORITHM]
    hint = f" It belongs in {other}." if exists else ""
    choices = f"allowed: {', '.join(allowed)}" if allowed else "none is allowed"
    return f"{recipe} has no parameter {key!r} in {maps[group]} ({choices}).{hint}"


def _hyperparameter(name: str, field: FieldInfo) -> Hyperparameter:
    extra = field.json_schema_extra
    if not isinstance(extra, dict) or field.default is PydanticUndefined:
        raise TypeError(f"declare {name} with hyperparameter(...), which gives default and group")
    kind, values = _kind(name, field.annotation)
    bounds: dict[str, Any] = {"minimum": None, "maximum": None}
    for constraint in field.metadata:
        bounds["minimum"] = getattr(constraint, "ge", bounds["minimum"])
        bounds["maximum"] = getattr(constraint, "le", bounds["maximum"])
    return Hyperparameter(
        name=name,
        group=extra["group"],  # type: ignore[arg-type]
        kind=kind,
        default=wire_string(field.default),
        description=field.description or "",
        tunable=bool(extra["tunable"]),
        hpo_only=bool(extra.get("hpo_only", False)),
        values=values,
        **bounds,
    )


def _kind(name: str, annotation: Any) -> tuple[Any, tuple[str, ...]]:
    if annotation is bool:
        return "categorical", ("true", "false")
    if annotation is int:
        return "integer", ()
    if annotation is float:
        return "continuous", ()
    if get_origin(annotation) is Literal:
        return "categorical", tuple(wire_string(value) for value in get_args(annotation))
    raise TypeError(f"hyperparameter {name} is {annotation}; use int, float, bool or Literal")
