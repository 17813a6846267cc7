"""Batch jobs: recommendations for a file of users or items, segments of users for a file of items.

Amazon Personalize: Create-, Describe- and List- of BatchInferenceJob and BatchSegmentJob. The work
itself is done in ``personalens.runtime``, by what also answers GetRecommendations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from personalens.control.operations.kinds import KindOperations
from personalens.control.operations.recipes import require_recipe
from personalens.jobs.output_folders import check_output
from personalens.service_errors import InvalidInputException, as_invalid_input
from personalens.settings.serving_config import (
    BATCH_INFERENCE,
    THEME_GENERATION,
    check_serving_config,
)
from personalens.storage.datasets import group_schemas
from personalens.storage.object_storage import DataLocationError, check_location, kept_folders
from personalens.storage.resource_store import (
    SOLUTION_VERSION,
    Resource,
    Transaction,
    require_active,
)

if TYPE_CHECKING:
    from personalens.recipes.base import Recipe

INFERENCE, SEGMENT = "batch-inference-job", "batch-segment-job"
SEGMENTATION = "USER_SEGMENTATION"
DEFAULT_RESULTS = 25
MOST_RESULTS = {INFERENCE: 500, SEGMENT: 5_000_000}


class BatchJobOperations(KindOperations):
    """Operations on batch inference jobs and batch segment jobs."""

    def create_batch_inference_job(
        self,
        *,
        batchInferenceJobMode: str = BATCH_INFERENCE,
        batchInferenceJobConfig: Mapping[str, Any] | None = None,
        themeGenerationConfig: Mapping[str, Any] | None = None,
        **request: Any,
    ) -> dict[str, Any]:
        """Ask for recommendations: one line of JSON out for each line of JSON in. In the mode
        THEME_GENERATION each list has a theme, made of the catalogue's words (the service's is
        written by a large language model)."""
        if (batchInferenceJobMode == THEME_GENERATION) != (themeGenerationConfig is not None):
            raise InvalidInputException(
                f"batchInferenceJobMode is {batchInferenceJobMode}; give themeGenerationConfig "
                f"with {THEME_GENERATION}, and with it alone."
            )
        body = {
            "batchInferenceJobMode": batchInferenceJobMode,
            "themeGenerationConfig": themeGenerationConfig,
            "batchInferenceJobConfig": batchInferenceJobConfig,
        }
        return {"batchInferenceJobArn": self._create_job(INFERENCE, body, **request)}

    def create_batch_segment_job(self, **request: Any) -> dict[str, Any]:
        """Ask for user segments: one line with users out for each line with an item, or with item
        attributes, in."""
        return {"batchSegmentJobArn": self._create_job(SEGMENT, {}, **request)}

    def _create_job(
        self,
        kind: str,
        body: dict[str, Any],
        *,
        jobName: str,
        solutionVersionArn: str,
        jobInput: Mapping[str, Any],
        jobOutput: Mapping[str, Any],
        roleArn: str,
        filterArn: str | None = None,
        numResults: int = DEFAULT_RESULTS,
        tags: Sequence[dict[str, str]] | None = None,
    ) -> str:
        if not 1 <= numResults <= MOST_RESULTS[kind]:
            raise InvalidInputException(
                f"numResults is {numResults}; allowed: 1 to {MOST_RESULTS[kind]}."
            )
        self._check_places(jobInput["s3DataSource"]["path"], jobOutput["s3DataDestination"]["path"])
        body = body | {
            "solutionVersionArn": solutionVersionArn,
            "numResults": numResults,
            "jobInput": jobInput,
            "jobOutput": jobOutput,
            "roleArn": roleArn,
            "filterArn": filterArn,
            **kept_folders(),
        }
        self.context.recipes()  # pandas loads with them: not while others wait for the transaction
        with self.context.store.transaction() as tx:
            version = require_active(tx.require(solutionVersionArn, SOLUTION_VERSION))
            recipe = self._check_recipe(kind, version, body.get("batchInferenceJobConfig") or {})
            if themes := body.get("themeGenerationConfig"):
                _check_themes(tx, version, recipe, themes)
            if filterArn is not None:
                _check_filter(tx, kind, filterArn, version, recipe)
            made = self._create(tx, kind, jobName, body, tags=tags, job=kind)
        return made.arn

    def _check_places(self, source: str, target: str) -> None:
        with as_invalid_input(DataLocationError):
            check_location(source)
            check_output(target, self.context.home)
        if source == target:
            raise InvalidInputException(
                f"The input and output locations are both {source}; they must differ."
            )

    def _check_recipe(
        self, kind: str, version: Resource, config: Mapping[str, Any]
    ) -> type[Recipe]:
        entry = require_recipe(self.context, version.body["recipeArn"])
        name, recipe_type = entry.name, entry.recipe_type
        if recipe_type == "PERSONALIZED_ACTIONS":
            raise InvalidInputException(f"{name} recommends actions; no batch job does.")
        if (recipe_type == SEGMENTATION) != (kind == SEGMENT):
            operation = "CreateBatchSegmentJob" if kind == INFERENCE else "CreateBatchInferenceJob"
            raise InvalidInputException(f"{name} is a {recipe_type} recipe: call {operation}.")
        check_serving_config("batchInferenceJobConfig", config, lambda: entry)
        return entry.recipe


def _check_themes(
    tx: Transaction, version: Resource, recipe: type[Recipe], config: Mapping[str, Any]
) -> None:
    if not recipe.has_themes:
        from personalens.recipes.registry import names_with

        raise InvalidInputException(
            f"Themes are generated for the recipe {' or '.join(names_with('has_themes'))}; this "
            f"version is of {recipe.name}."
        )
    schema = group_schemas(tx, version.body["datasetGroupArn"]).get("Items")
    fields = () if schema is None else schema.fields
    if not any(field.textual for field in fields):
        raise InvalidInputException(
            "Themes need an Items dataset with a textual field, such as DESCRIPTION: add one by "
            "UpdateDataset."
        )
    name = config["fieldsForThemeGeneration"]["itemName"]
    strings = [field.name for field in fields if field.value_type == "string"]
    if name not in strings:
        raise InvalidInputException(
            f"themeGenerationConfig.fieldsForThemeGeneration.itemName is {name}; the string "
            f"columns of the Items dataset are {', '.join(strings)}."
        )


def _check_filter(
    tx: Transaction, kind: str, arn: str, version: Resource, recipe: type[Recipe]
) -> None:
    found = require_active(tx.require(arn, "filter"))
    if found.parent_arn != version.body["datasetGroupArn"]:
        raise InvalidInputException(
            f"The filter {arn} belongs to {found.parent_arn}, but the solution version to "
            f"{version.body['datasetGroupArn']}: create the filter in that group."
        )
    from personalens.filters.expressions import parse_filter  # lark loads with it

    asked, wanted = parse_filter(found.body["filterExpression"]), "ItemID"
    if kind == SEGMENT:
        wanted = "UserID"
        of_events = any(c.field.dataset == "Interactions" for c in asked.conditions)
        if of_events and recipe.segments_by == "itemAttributes":
            raise InvalidInputException(
                f"The filter {arn} asks about Interactions, which {recipe.name} cannot be filtered "
                "by: ask about Users."
            )
    if asked.target != wanted:
        raise InvalidInputException(
            f"The filter {arn} is about {asked.target}; this job takes one about {wanted}."
        )
