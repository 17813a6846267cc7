"""What a solution may be configured with, checked when it is created rather than when it trains.

Amazon Personalize: ``solutionConfig`` of CreateSolution. What does not fit is refused with an
InvalidInputException that names the member, its value and what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from personalens.datasets.schema_rules import number_in
from personalens.service_errors import InvalidInputException

if TYPE_CHECKING:
    from personalens.datasets.avro_schemas import DatasetSchema
    from personalens.recipes.registry import RecipeEntry

INTERACTIONS, ITEMS, USERS = DATASET_TYPES = ("INTERACTIONS", "ITEMS", "USERS")
ALWAYS_TRAINED = ("USER_ID", "ITEM_ID", "TIMESTAMP", "EVENT_TYPE")
"""Interactions columns that trainingDataConfig cannot leave out."""

LATER_COLUMNS = "_laterColumns"
"""Member of what learns from datasets: columns by dataset type that UpdateDataset has added since,
and on which it does not train."""

EVENTS_UNTIL = "_eventsUntil"
"""Member of a solution version: the newest event of the log that it was trained on. It is noted
when the training begins, so that one that goes on after a crash reads the same events."""

DEFAULT_TRAINING_DAYS, MAX_TRAINING_DAYS = 7, 30
_RATE = re.compile(r"rate\((\d+) days?\)")
NUMBERS = ("int", "long", "float", "double")


def check_way_of_training(
    entry: RecipeEntry | None, *, perform_automl: bool, incremental: bool
) -> None:
    """Refuse ways of training that contradict each other; ``entry`` is None without a recipeArn."""
    if perform_automl and entry is not None:
        raise InvalidInputException(
            "performAutoML chooses the recipe itself: leave out recipeArn, or set performAutoML to "
            "false."
        )
    if not perform_automl and entry is None:
        raise InvalidInputException(
            "Name the recipe to train with recipeArn (ListRecipes shows them), or set "
            "performAutoML to true."
        )
    if entry is not None and entry.domain is not None:
        raise InvalidInputException(
            f"{entry.name} is a use case of {entry.domain} dataset groups, for recommenders: "
            "choose a recipe for custom solutions."
        )
    if incremental and (entry is None or not entry.recipe.updated_on_request):
        from personalens.recipes.registry import names_with

        names = " or ".join(names_with("updated_on_request"))
        raise InvalidInputException(
            f"performIncrementalUpdate is for the recipe {names} only; leave it out."
        )


def heeded_config(solution: Mapping[str, Any]) -> dict[str, Any]:
    """Return what counts of the ``solutionConfig`` of a solution or a version: with performAutoML,
    ``autoMLConfig`` alone."""
    config = solution.get("solutionConfig", {})
    if solution.get("performAutoML"):
        return {name: value for name, value in config.items() if name == "autoMLConfig"}
    return dict(config)


def check_solution_config(
    entry: RecipeEntry,
    config: Mapping[str, Any],
    schemas: Mapping[str, DatasetSchema],
    *,
    perform_hpo: bool = False,
    event_type: str | None = None,
) -> None:
    """Check a solution's configuration against its recipe, and against the schemas of the group's
    datasets, by type in upper case."""
    # here: pandas and pydantic load with it, and a process that makes no solution needs neither
    from personalens.settings.hpo_config import plan_search

    if "autoMLConfig" in config:
        raise InvalidInputException(
            "solutionConfig.autoMLConfig is for solutions with performAutoML; leave it out."
        )
    try:
        entry.parse(
            config.get("algorithmHyperParameters"), config.get("featureTransformationParameters")
        )
    except ValueError as error:
        raise InvalidInputException(str(error)) from None
    if perform_hpo:  # without it an hpoConfig is kept and changes nothing
        plan_search(entry, config)
    parse_threshold(config.get("eventValueThreshold"))
    if events := config.get("eventsConfig"):
        _check_taken(entry, "eventsConfig", "weighs_events")
        _check_events(events, event_type or config.get("eventValueThreshold"))
    if objective := config.get("optimizationObjective"):
        _check_taken(entry, "optimizationObjective", "takes_objective")
        _check_objective(objective, schemas.get(ITEMS))
    training_days(config)
    check_columns(config.get("trainingDataConfig", {}), schemas)


def parse_threshold(text: str | None) -> float | None:
    """Return ``eventValueThreshold`` as a number.

    >>> parse_threshold("3.5")
    3.5
    """
    threshold = None if text is None else number_in(text)
    if text is not None and threshold is None:
        raise InvalidInputException(
            f'eventValueThreshold is {text!r}; give a number in a string, such as "3.5".'
        )
    return threshold


def chosen_columns(
    config: Mapping[str, Any], dataset_type: str, available: frozenset[str]
) -> frozenset[str]:
    """Return the columns of a dataset that a solution trains on.

    ``includedDatasetColumns`` keeps only those named, ``excludedDatasetColumns`` takes the named
    ones away, as do those that came into the dataset after the solution; the required columns and
    EVENT_TYPE always stay.

    >>> config = {"excludedDatasetColumns": {"INTERACTIONS": ["DEVICE"]}}
    >>> columns = frozenset({"USER_ID", "DEVICE", "EVENT_VALUE"})
    >>> sorted(chosen_columns(config, "INTERACTIONS", columns))
    ['EVENT_VALUE', 'USER_ID']
    """
    kept = set(available)
    for member, keep in (
        ("includedDatasetColumns", True),
        ("excludedDatasetColumns", False),
        (LATER_COLUMNS, False),
    ):
        for given_type, named in config.get(member, {}).items():
            if given_type.upper() == dataset_type:
                kept = {column for column in kept if (column in named) == keep}
    return frozenset(kept | (available & set(ALWAYS_TRAINED)))


def _check_taken(entry: RecipeEntry, member: str, attribute: str) -> None:
    """Refuse a member of ``solutionConfig`` unless the recipe has the attribute that takes it."""
    if not getattr(entry.recipe, attribute):
        from personalens.recipes.registry import names_with

        raise InvalidInputException(
            f"{entry.name} does not take solutionConfig.{member}; leave it out, or choose "
            f"{' or '.join(names_with(attribute))}."
        )


def _check_events(config: Mapping[str, Any], other: str | None) -> None:
    if other is not None:
        raise InvalidInputException(
            "Give eventsConfig, or eventType and eventValueThreshold, not both."
        )
    parameters = config.get("eventParametersList", [])
    if not parameters or not all(one.get("eventType") for one in parameters):
        raise InvalidInputException(
            "eventsConfig.eventParametersList needs one entry or more, each with an eventType."
        )
    if not any(one.get("weight", 1.0) > 0 for one in parameters):
        raise InvalidInputException("eventsConfig: one weight at least must be above 0.")


def _check_objective(objective: Mapping[str, Any], items: DatasetSchema | None) -> None:
    name = objective.get("itemAttribute")
    fields = () if items is None else items.fields
    numeric = [f.name for f in fields if f.value_type in NUMBERS and not f.nullable]
    if name not in numeric:
        raise InvalidInputException(
            f"optimizationObjective.itemAttribute is {name!r}; it must be a numeric column of the "
            f"Items dataset that cannot be null: {', '.join(numeric) or 'there is none'}."
        )


def training_days(config: Mapping[str, Any]) -> int:
    """Return how many days lie between the automatic trainings of a solution.

    >>> training_days({"autoTrainingConfig": {"schedulingExpression": "rate(1 day)"}})
    1
    >>> training_days({})
    7
    """
    expression = config.get("autoTrainingConfig", {}).get("schedulingExpression")
    if expression is None:
        return DEFAULT_TRAINING_DAYS
    match = _RATE.fullmatch(expression)
    if match is None or not 1 <= int(match[1]) <= MAX_TRAINING_DAYS:
        raise InvalidInputException(
            f"autoTrainingConfig.schedulingExpression is {expression!r}; give rate(1 day) to "
            f"rate({MAX_TRAINING_DAYS} days)."
        )
    return int(match[1])


def check_columns(
    choice: Mapping[str, Mapping[str, list[str]]], schemas: Mapping[str, DatasetSchema]
) -> None:
    """Refuse a ``trainingDataConfig`` that names a dataset or a column that is not there, or
    excludes one that every training needs; schemas by type in upper case."""
    for member, by_type in choice.items():
        for given_type, names in by_type.items():
            if reason := _wrong_columns(member, given_type, set(names), schemas):
                raise InvalidInputException(f"trainingDataConfig{reason}.")


def _wrong_columns(
    member: str, given_type: str, names: set[str], schemas: Mapping[str, DatasetSchema]
) -> str | None:
    dataset_type = given_type.upper()
    if dataset_type not in DATASET_TYPES:
        allowed = ", ".join(DATASET_TYPES)
        return f".{member} names the dataset type {given_type!r}; allowed: {allowed}"
    if dataset_type not in schemas:
        return f".{member} names {given_type}, but the dataset group has no such dataset"
    columns = set(schemas[dataset_type].names)
    if unknown := sorted(names - columns):
        return (
            f".{member} names columns that {given_type} does not have: {', '.join(unknown)}. It "
            f"has: {', '.join(sorted(columns))}"
        )
    required = sorted(names & set(ALWAYS_TRAINED))
    if member == "excludedDatasetColumns" and required:
        return f" cannot exclude {', '.join(required)}: every training needs these columns"
    return None
