"""Hyperparameters: how a recipe declares them, how the service shows and reads them, and the
percentiles by which users and items of extreme counts are left out.

Amazon Personalize: DescribeAlgorithm and DescribeFeatureTransformation show them;
``algorithmHyperParameters`` and ``featureTransformationParameters`` set them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from personalens.datasets.schema_rules import number_in

if TYPE_CHECKING:  # listing recipes loads neither numpy nor pandas
    import numpy as np

    from personalens.datasets.interactions import Interactions

ALGORITHM, FEATURE_TRANSFORMATION = "algorithm", "featureTransformation"
Group = Literal["algorithm", "featureTransformation"]
_MAPS = {
    ALGORITHM: "algorithmHyperParameters",
    FEATURE_TRANSFORMATION: "featureTransformationParameters",
}


def hyperparameter(
    default: Any,
    description: str,
    *,
    tunable: bool = False,
    group: Group = ALGORITHM,
    hpo_only: bool = False,
    **bounds: Any,
) -> Any:
    """Declare a hyperparameter: default, range (``ge=``, ``le=``), whether HPO may tune it,
    whether the service takes it in algorithmHyperParameters or featureTransformationParameters, and
    whether it takes it through HPO ranges only."""
    extra = {"tunable": tunable, "group": group, "hpo_only": hpo_only}
    return Field(default=default, description=description, json_schema_extra=extra, **bounds)


class RecipeConfig(BaseModel):
    """Base of all configs. Accepts the service's strings (``{"bptt": "32"}``); unknown keys and
    values out of range raise pydantic's ValidationError, which names key, value and range."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys_only(cls, values: Any) -> Any:
        unknown = [key for key in values if key not in cls.model_fields]
        if unknown:
            allowed = ", ".join(cls.model_fields) or "none, there are no hyperparameters"
            raise ValueError(f"unknown hyperparameter {unknown[0]!r}; allowed: {allowed}")
        return values


@dataclass(frozen=True)
class Hyperparameter:
    """One hyperparameter as DescribeAlgorithm shows it; every value is a string, as on the wire.

    Numbers have ``minimum`` and ``maximum`` (None where there is no bound), categories have
    ``values``.
    """

    name: str
    group: Group
    kind: Literal["integer", "continuous", "categorical"]
    default: str
    description: str
    tunable: bool
    minimum: float | None = None
    maximum: float | None = None
    values: tuple[str, ...] = ()
    hpo_only: bool = False


def hyperparameter_table(config: type[RecipeConfig]) -> list[Hyperparameter]:
    """Return the hyperparameters of a config class in the order in which it declares them.

    TypeError for one that the service has no way to show.

    >>> from personalens.recipes import registry
    >>> table = hyperparameter_table(registry.get("aws-sims").config)
    >>> [(row.name, row.default, row.maximum) for row in table][:2]
    [('popularity_discount_factor', '0.5', 1.0), ('min_cointeraction_count', '3', 10)]
    """
    return [_hyperparameter(name, field) for name, field in config.model_fields.items()]


def parse_hyperparameters(
    recipe: str,
    config: type[RecipeConfig],
    algorithm: Mapping[str, str] | None = None,
    feature_transformation: Mapping[str, str] | None = None,
) -> RecipeConfig:
    """Return the config that a solution's two maps of strings ask for.

    ValueError for a key that the recipe does not have or takes in the other map, and for a value
    that is not a number or out of range: the message names key, value and what is allowed.
    """
    given = {ALGORITHM: algorithm or {}, FEATURE_TRANSFORMATION: feature_transformation or {}}
    table = {row.name: row for row in hyperparameter_table(config)}
    for group, values in given.items():
        for key, value in values.items():
            if key not in table or table[key].group != group:
                raise ValueError(_misplaced_key(recipe, group, key, table))
            if table[key].hpo_only:
                raise ValueError(
                    f"{recipe} takes {key} through a range in hpoConfig only: leave it out of "
                    "algorithmHyperParameters, or tune it with performHPO."
                )
            if table[key].kind != "categorical" and number_in(str(value)) is None:
                number = "whole number" if table[key].kind == "integer" else "number"
                raise ValueError(f"{key} is {value!r}: must be a {number}.")
    try:
        return config(**given[ALGORITHM], **given[FEATURE_TRANSFORMATION])
    except ValidationError as error:
        raise ValueError(" ".join(map(_describe_mistake, error.errors()))) from None


def config_strings(config: RecipeConfig) -> dict[str, str]:
    """Return a config as the strings that the service shows; the config class reads them back."""
    return {name: wire_string(value) for name, value in config.model_dump(mode="python").items()}


def wire_string(value: Any) -> str:
    """Return a hyperparameter's value as the service writes it: ``true``, ``32``, ``0.99``."""
    return str(value).lower() if isinstance(value, bool) else str(value)


_RULES = {
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


def _describe_mistake(mistake: Any) -> str:
    """Return one mistake of pydantic's: which key, which value, what is allowed."""
    key = ".".join(str(part) for part in mistake["loc"])
    rule = _RULES.get(mistake["type"])
    message = mistake["msg"].removeprefix("Value error, ")
    reason = message if rule is None else rule.format(**mistake.get("ctx", {}))
    return f"{key} is {mistake['input']!r}: {reason}." if key else f"{reason}."


def _misplaced_key(recipe: str, group: str, key: str, table: Mapping[str, Hyperparameter]) -> str:
    allowed = [name for name, row in table.items() if row.group == group]
    choices = f"allowed: {', '.join(allowed)}" if allowed else "none is allowed"
    hint = f" It belongs in {_MAPS[table[key].group]}." if key in table else ""
    return f"{recipe} has no parameter {key!r} in {_MAPS[group]} ({choices}).{hint}"


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


def within_percentiles(counts: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return which counts lie between two percentiles (0..1), both included, as booleans.

    Between two counts the wider one is taken, so that never more than the stated share is left out
    and ties at the edge stay in.

    Amazon Personalize: ``min_``/``max_user_history_length_percentile`` and
    ``min_``/``max_item_interaction_count_percentile``, featureTransformationParameters that keep
    the edge cases (a user with one event, a robot with a million) out of training.

    Examples
    --------
    >>> import numpy as np
    >>> within_percentiles(np.array([1, 2, 2, 3, 50]), 0.25, 0.75).tolist()
    [False, True, True, True, False]
    """
    import numpy as np

    if not len(counts):
        return np.zeros(0, bool)
    floor = np.quantile(counts, low, method="lower")
    ceiling = np.quantile(counts, high, method="higher")
    return (counts >= floor) & (counts <= ceiling)


def percentile(default: float, description: str) -> Any:
    """Declare a hyperparameter that is one of the percentiles."""
    return hyperparameter(default, description, group=FEATURE_TRANSFORMATION, ge=0.0, le=1.0)


def check_order(config: RecipeConfig, kind: str) -> None:
    """Refuse a config whose lower percentile of a kind of counts is above the higher one."""
    low, high = f"min_{kind}_percentile", f"max_{kind}_percentile"
    if getattr(config, low) > getattr(config, high):
        raise ValueError(f"{low} {getattr(config, low)} is above {high} {getattr(config, high)}")


class HistoryLengths(RecipeConfig):
    """Which users train, by the length of their histories.

    Amazon Personalize: the featureTransformationParameters of HRNN and its relatives.
    """

    min_user_history_length_percentile: float = percentile(
        0.0, "Users with histories shorter than this percentile do not train."
    )
    max_user_history_length_percentile: float = percentile(
        0.99, "Users with histories longer than this percentile do not train."
    )

    @model_validator(mode="after")
    def _percentiles_in_order(self) -> Self:
        check_order(self, "user_history_length")
        return self

    def training_events(self, interactions: Interactions) -> Interactions:
        """Return the events of the users who train."""
        import numpy as np

        kept = within_percentiles(
            np.diff(interactions.offsets),
            self.min_user_history_length_percentile,
            self.max_user_history_length_percentile,
        )
        return interactions.select(kept[interactions.user_codes])
