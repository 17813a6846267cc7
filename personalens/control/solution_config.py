"""What a solution may be configured with, checked when it is created rather than when it trains.

Amazon Personalize: ``solutionConfig`` of CreateSolution.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from personalens.recipes import catalog
from personalens.recipes.catalog import RecipeEntry
from personalens.service_errors import InvalidInputException, OperationNotImplemented

DATASET_TYPES = ("INTERACTIONS", "ITEMS", "USERS")
ALWAYS_TRAINED = ("USER_ID", "ITEM_ID", "TIMESTAMP", "EVENT_TYPE")
"""Interactions columns that trainingDataConfig cannot leave out."""

MAX_TRAINING_DAYS = 30
_RATE = re.compile(r"rate\((\d+) days?\)")
_LATER = "PersonaLens does not implement {} yet. Choose a recipe with recipeArn, and give its {}."


def chosen_recipe(
    recipe_arn: str | None, *, perform_automl: bool, perform_hpo: bool, incremental: bool
) -> str:
    """Return the ARN of the recipe to train; refuse ways of training that contradict each other or
    that no recipe here has.

    Raises
    ------
    InvalidInputException
        Unless exactly one of recipeArn and performAutoML says what to train.
    OperationNotImplemented
        For AutoML and hyperparameter optimisation.
    """
    if perform_automl and recipe_arn is not None:
        raise InvalidInputException(
            "performAutoML chooses the recipe itself: leave out recipeArn, or set performAutoML to "
            "false."
        )
    if perform_automl:
        raise OperationNotImplemented(_LATER.format("performAutoML", "hyperparameters"))
    if recipe_arn is None:
        raise InvalidInputException(
            "Name the recipe to train with recipeArn (ListRecipes shows them), or set "
            "performAutoML to true."
        )
    if perform_hpo:
        raise OperationNotImplemented(
            _LATER.format("performHPO", "values in solutionConfig.algorithmHyperParameters")
        )
    if incremental:
        raise InvalidInputException(
            "performIncrementalUpdate is for the recipe aws-semantic-similarity only; leave it out."
        )
    return recipe_arn


def check_solution_config(
    entry: RecipeEntry, config: Mapping[str, Any], columns: Mapping[str, frozenset[str]]
) -> None:
    """Check a solution's configuration against its recipe.

    Parameters
    ----------
    entry
        The recipe.
    config, columns
        ``solutionConfig`` of the request; columns of the group's datasets by type in upper case.

    Raises
    ------
    InvalidInputException
        With the member, its value and what is allowed.
    OperationNotImplemented
        For what belongs to hyperparameter optimisation and AutoML.
    """
    for member in ("hpoConfig", "autoMLConfig"):
        if member in config:
            raise OperationNotImplemented(
                _LATER.format(f"solutionConfig.{member}", "hyperparameters")
            )
    for member in ("eventsConfig", "optimizationObjective"):
        if member in config:
            raise InvalidInputException(
                f"{entry.name} does not take solutionConfig.{member}; leave it out."
            )
    try:
        catalog.parse_hyperparameters(
            entry,
            config.get("algorithmHyperParameters"),
            config.get("featureTransformationParameters"),
        )
    except ValueError as error:
        raise InvalidInputException(str(error)) from None
    parse_threshold(config.get("eventValueThreshold"))
    _check_schedule(config.get("autoTrainingConfig", {}).get("schedulingExpression"))
    _check_columns(config.get("trainingDataConfig", {}), columns)


def parse_threshold(text: str | None) -> float | None:
    """Return ``eventValueThreshold`` as a number.

    Raises
    ------
    InvalidInputException
        If it is not a finite number.

    Examples
    --------
    >>> parse_threshold("3.5")
    3.5
    """
    if text is None:
        return None
    try:
        threshold = float(text)
    except ValueError:
        threshold = math.nan
    if not math.isfinite(threshold):
        raise InvalidInputException(
            f'eventValueThreshold is {text!r}; give a number in a string, such as "3.5".'
        )
    return threshold


def chosen_columns(config: Mapping[str, Any], available: frozenset[str]) -> frozenset[str]:
    """Return the Interactions columns that a solution trains on.

    ``includedDatasetColumns`` keeps only those named, ``excludedDatasetColumns`` takes the named
    ones away; the required columns and EVENT_TYPE always stay.

    Examples
    --------
    >>> config = {"excludedDatasetColumns": {"INTERACTIONS": ["DEVICE"]}}
    >>> sorted(chosen_columns(config, frozenset({"USER_ID", "DEVICE", "EVENT_VALUE"})))
    ['EVENT_VALUE', 'USER_ID']
    """
    kept = set(available)
    for member, keep in (("includedDatasetColumns", True), ("excludedDatasetColumns", False)):
        for dataset_type, named in config.get(member, {}).items():
            if dataset_type.upper() == "INTERACTIONS":
                kept = {column for column in kept if (column in named) == keep}
    return frozenset(kept | (available & set(ALWAYS_TRAINED)))


def _check_schedule(expression: str | None) -> None:
    if expression is None:
        return
    match = _RATE.fullmatch(expression)
    if match is None or not 1 <= int(match[1]) <= MAX_TRAINING_DAYS:
        raise InvalidInputException(
            f"autoTrainingConfig.schedulingExpression is {expression!r}; give rate(1 day) to "
            f"rate({MAX_TRAINING_DAYS} days)."
        )


def _check_columns(
    choice: Mapping[str, Mapping[str, list[str]]], columns: Mapping[str, frozenset[str]]
) -> None:
    for member, by_type in choice.items():
        for given_type, names in by_type.items():
            dataset_type = given_type.upper()
            if dataset_type not in DATASET_TYPES:
                raise InvalidInputException(
                    f"trainingDataConfig.{member} names the dataset type {given_type!r}; allowed: "
                    f"{', '.join(DATASET_TYPES)}."
                )
            if dataset_type not in columns:
                raise InvalidInputException(
                    f"trainingDataConfig.{member} names {given_type}, but the dataset group has no "
                    "such dataset."
                )
            if unknown := sorted(set(names) - columns[dataset_type]):
                raise InvalidInputException(
                    f"trainingDataConfig.{member} names columns that {given_type} does not have: "
                    f"{', '.join(unknown)}. It has: {', '.join(sorted(columns[dataset_type]))}."
                )
            required = sorted(set(names) & set(ALWAYS_TRAINED))
            if member == "excludedDatasetColumns" and required:
                raise InvalidInputException(
                    f"trainingDataConfig cannot exclude {', '.join(required)}: every training "
                    "needs these columns."
                )
