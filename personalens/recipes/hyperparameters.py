"""How a recipe declares its hyperparameters: defaults, ranges, tunability, strings accepted."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


def hyperparameter(
    default: Any,
    description: str,
    *,
    tunable: bool = False,
    group: Literal["algorithm", "featureTransformation"] = "algorithm",
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
