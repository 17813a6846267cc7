"""How what serves is configured: the strings of ``itemExplorationConfig``, read and checked.

Amazon Personalize: CampaignConfig, RecommenderConfig and BatchInferenceJobConfig.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from personalens.datasets.schema_rules import number_in
from personalens.service_errors import InvalidInputException

if TYPE_CHECKING:
    from personalens.recipes.registry import RecipeEntry

BATCH_INFERENCE, THEME_GENERATION = "BATCH_INFERENCE", "THEME_GENERATION"
EXPLORATION = "itemExplorationConfig"
TAKEN_BY = {EXPLORATION: "takes_exploration", "rankingInfluence": "takes_influence"}
"""Members that not every recipe takes, and the attributes of those that do."""

_RANGES = {
    "explorationWeight": (0.0, 1.0, "0 to 1"),
    "explorationItemAgeCutOff": (1.0, float("inf"), "days, at least 1"),
}


@dataclass(frozen=True)
class ExplorationSettings:
    """``weight`` 0 (none) to 1; items of ``cutoff_days`` and older are not explored."""

    weight: float = 0.3
    cutoff_days: float = 30.0

    @classmethod
    def from_campaign(cls, config: Mapping[str, Any]) -> Self:
        """Read a ``campaignConfig``.

        >>> asked = {"itemExplorationConfig": {"explorationWeight": "0.8"}}
        >>> ExplorationSettings.from_campaign(asked)
        ExplorationSettings(weight=0.8, cutoff_days=30.0)
        """
        given = config.get(EXPLORATION) or {}
        for key in given:
            if key not in _RANGES:
                raise InvalidInputException(
                    f"{EXPLORATION} has no key {key!r}; it takes {' and '.join(_RANGES)}."
                )
        return cls(
            _number(given, "explorationWeight", cls.weight),
            _number(given, "explorationItemAgeCutOff", cls.cutoff_days),
        )


def _number(given: Mapping[str, str], key: str, default: float) -> float:
    least, most, allowed = _RANGES[key]
    value = number_in(given[key]) if key in given else default
    if value is None or not least <= value <= most:
        raise InvalidInputException(
            f"{EXPLORATION}.{key} is {given[key]!r}; allowed: a number, {allowed}."
        )
    return value


def check_serving_config(
    where: str, config: Mapping[str, Any], entry: Callable[[], RecipeEntry]
) -> None:
    """Refuse members of a configuration that the recipe does not take, and values out of range.

    ``where`` is the member of the request; the recipe is looked up only if that matters.
    """
    for member, attribute in TAKEN_BY.items():
        if member in config and not getattr(entry().recipe, attribute):
            raise InvalidInputException(
                f"{where}.{member} does not apply to the recipe {entry().name}; leave it out."
            )
    ExplorationSettings.from_campaign(config)
