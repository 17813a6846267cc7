"""How much a campaign explores: the strings of ``itemExplorationConfig``, read and checked.

Amazon Personalize: CampaignConfig.itemExplorationConfig of aws-user-personalization.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from personalens.datasets.schema_rules import number_in
from personalens.service_errors import InvalidInputException

EXPLORATION, EXPLORING_RECIPES = "itemExplorationConfig", ("aws-user-personalization",)
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

        Raises
        ------
        InvalidInputException
            For an unknown key, a value that is not a number, or one out of range.

        Examples
        --------
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


BATCH_INFERENCE, THEME_GENERATION = "BATCH_INFERENCE", "THEME_GENERATION"
