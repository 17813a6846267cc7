"""Recipes, their algorithms and feature transformations: read-only facts of the recipe catalogue.

Amazon Personalize: ListRecipes, DescribeRecipe, DescribeAlgorithm, DescribeFeatureTransformation.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from personalens.arns import build, parse, partition_of, recipe_arn
from personalens.control.operations.kinds import KindOperations
from personalens.service_errors import ResourceNotFoundException
from personalens.storage.resource_store import make_token, read_token

if TYPE_CHECKING:
    from personalens.recipes.hyperparameters import Hyperparameter
    from personalens.recipes.registry import RecipeEntry
    from personalens.storage.service_context import ServiceContext

AVAILABLE_SINCE = datetime(2019, 6, 10, tzinfo=UTC).timestamp()
"""Recipes have always been there: the day on which Amazon Personalize became available."""
_TIMES = {"creationDateTime": AVAILABLE_SINCE, "lastUpdatedDateTime": AVAILABLE_SINCE}

PAGE = 20
"""Recipes on a page where the request does not say: less than there are, so that code which reads
``nextToken`` unasked, as AWS's own notebooks do, finds it."""


class RecipeOperations(KindOperations):
    """Operations on recipes. They change nothing."""

    def list_recipes(
        self,
        *,
        recipeProvider: str = "SERVICE",
        domain: str | None = None,
        maxResults: int = PAGE,
        nextToken: str | None = None,
    ) -> dict[str, Any]:
        """List the recipes by name, those registered here too. ``domain`` keeps that domain's of
        each page, so that a page may be short, or empty, before the last one."""
        entries = self.context.recipes()
        names, listing = sorted(entries), f"recipes/{domain}"
        first = 0 if nextToken is None else read_token(nextToken, listing)
        last = first + maxResults
        page = [entries[name] for name in names[first:last]]
        kept = [entry for entry in page if domain in (None, entry.domain)]
        region = self.context.region
        answer: dict[str, Any] = {"recipes": [_summary(entry, region) for entry in kept]}
        if last < len(names):
            answer["nextToken"] = make_token(last, listing)
        return answer

    def describe_recipe(self, *, recipeArn: str) -> dict[str, Any]:
        """Describe a recipe: its type, and the algorithm and transformation behind it."""
        entry = require_recipe(self.context, recipeArn)
        region, transformation = self.context.region, entry.feature_transformation
        return {
            "recipe": {
                **_summary(entry, region),
                "algorithmArn": build("algorithm", entry.algorithm, region=region),
                "featureTransformationArn": build(
                    "feature-transformation", transformation, region=region
                ),
                "description": entry.recipe.description,
                "recipeType": entry.recipe_type,
            }
        }

    def describe_algorithm(self, *, algorithmArn: str) -> dict[str, Any]:
        """Describe an algorithm: the defaults and ranges of its hyperparameters.

        There is no container image and no training instance, so ``algorithmImage``,
        ``defaultResourceConfig``, ``trainingInputMode`` and ``roleArn`` are absent.
        """
        name = _name_in(self.context, algorithmArn, "algorithm")
        entries = self.context.recipes().values()
        entry = next((e for e in entries if e.algorithm == name), None)
        if entry is None:
            known = sorted({e.algorithm for e in entries})
            raise _not_found("algorithm", algorithmArn, known)
        rows = _rows(entry, "algorithm")
        return {
            "algorithm": {
                "name": name,
                "algorithmArn": build("algorithm", name, region=self.context.region),
                "defaultHyperParameters": {row.name: row.default for row in rows},
                "defaultHyperParameterRanges": _ranges(rows),
                **_TIMES,
            }
        }

    def describe_feature_transformation(self, *, featureTransformationArn: str) -> dict[str, Any]:
        """Describe a feature transformation: the defaults of its parameters."""
        name = _name_in(self.context, featureTransformationArn, "feature-transformation")
        known_entries = self.context.recipes().values()
        entries = [e for e in known_entries if e.feature_transformation == name]
        if not entries:
            known = sorted({e.feature_transformation for e in known_entries})
            raise _not_found("feature transformation", featureTransformationArn, known)
        rows = [row for entry in entries for row in _rows(entry, "featureTransformation")]
        return {
            "featureTransformation": {
                "name": name,
                "featureTransformationArn": build(
                    "feature-transformation", name, region=self.context.region
                ),
                "defaultParameters": {row.name: row.default for row in rows},
                **_TIMES,
                "status": "ACTIVE",
            }
        }


def require_recipe(context: ServiceContext, arn: str) -> RecipeEntry:
    """Return the entry of a recipe ARN; those of the preview of 2018 lead to their recipes."""
    from personalens.recipes.registry import PREVIEW_NAMES  # pandas and pydantic load with it

    name, entries = _name_in(context, arn, "recipe") or "", context.recipes()
    entry = entries.get(PREVIEW_NAMES.get(name, name))
    if entry is None:
        raise _not_found("recipe", arn, sorted(entries))
    try:
        _ = entry.recipe  # imported now, so that an error in it shows here
    except ImportError as error:
        raise ResourceNotFoundException(str(error)) from error
    return entry


def _summary(entry: RecipeEntry, region: str) -> dict[str, Any]:
    summary = {
        "name": entry.name,
        "recipeArn": recipe_arn(entry.name, region=region),
        "status": "ACTIVE",
        **_TIMES,
    }
    return summary if entry.domain is None else {**summary, "domain": entry.domain}


def _rows(entry: RecipeEntry, group: str) -> list[Hyperparameter]:
    return [row for row in entry.hyperparameters() if row.group == group]


def _ranges(rows: list[Hyperparameter]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows sorted into the service's three lists; a missing bound is absent."""
    ranges: dict[str, list[dict[str, Any]]] = {
        "integerHyperParameterRanges": [],
        "continuousHyperParameterRanges": [],
        "categoricalHyperParameterRanges": [],
    }
    for row in rows:
        shown: dict[str, Any] = {"name": row.name, "isTunable": row.tunable}
        if row.kind == "categorical":
            shown["values"] = list(row.values)
        else:
            number = int if row.kind == "integer" else float
            bounds = {"minValue": row.minimum, "maxValue": row.maximum}
            shown |= {name: number(bound) for name, bound in bounds.items() if bound is not None}
        ranges[f"{row.kind}HyperParameterRanges"].append(shown)
    return ranges


def _name_in(context: ServiceContext, arn: str, kind: str) -> str | None:
    """Return the name in an ARN of what AWS provides; None for any other resource's ARN. In every
    region ``arn:aws`` is understood beside the region's own partition, for code that spells it."""
    parsed = parse(arn)
    is_provided = parsed.kind == kind and not parsed.region and not parsed.account
    is_known = parsed.partition in ("aws", partition_of(context.region))
    return parsed.name if is_provided and is_known else None


def _not_found(what: str, arn: str, known: list[str]) -> ResourceNotFoundException:
    return ResourceNotFoundException(
        f"Could not find {what} with ARN {arn}. PersonaLens has: {', '.join(known)}."
    )
