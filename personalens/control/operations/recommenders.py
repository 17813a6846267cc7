"""Recommenders: the use cases of a domain, which train by themselves and answer requests.

Amazon Personalize: CreateRecommender, DescribeRecommender, ListRecommenders, UpdateRecommender,
StopRecommender, StartRecommender, DeleteRecommender.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from personalens import arns
from personalens.control.operations.kinds import KindOperations
from personalens.control.operations.recipes import require_recipe
from personalens.control.work.recommenders import (
    CREATING,
    RECOMMENDER,
    STARTING,
    STOPPING,
    UPDATE,
    UPDATING,
    begin,
)
from personalens.service_errors import InvalidInputException, ResourceInUseException
from personalens.settings.serving_config import check_serving_config
from personalens.settings.solution_config import check_columns
from personalens.storage.datasets import dataset_schemas
from personalens.storage.model_folders import MODEL, NEXT_MODEL, recommender_folder, remove_artifact
from personalens.storage.resource_store import (
    ACTIVE,
    CREATE_FAILED,
    CREATE_PENDING,
    INACTIVE,
    Resource,
    Transaction,
    new_update,
    require_active,
    require_settled,
)

if TYPE_CHECKING:
    from personalens.recipes.registry import RecipeEntry


class RecommenderOperations(KindOperations):
    """Operations on recommenders."""

    def create_recommender(
        self,
        *,
        name: str,
        datasetGroupArn: str,
        recipeArn: str,
        recommenderConfig: dict[str, Any] | None = None,
        tags: Sequence[dict[str, str]] | None = None,
    ) -> dict[str, Any]:
        """Ask for a recommender of a domain dataset group; a worker trains it."""
        context = self.context
        entry = require_recipe(context, recipeArn)
        config = {"minRecommendationRequestsPerSecond": 1, **(recommenderConfig or {})}
        with context.store.transaction() as tx:
            group = require_active(tx.require(datasetGroupArn, "dataset-group"))
            _check_domain(entry, group)
            _check_config(tx, entry, group.arn, config)
            body = {
                "datasetGroupArn": group.arn,
                "recipeArn": arns.recipe_arn(entry.name, region=context.region),
                "recommenderConfig": config,
            }
            made = self._create(tx, RECOMMENDER, name, body, status=CREATE_PENDING, tags=tags)
            begin(tx, context.jobs, made, CREATING, trains=True)
        return {"recommenderArn": made.arn}

    def update_recommender(
        self, *, recommenderArn: str, recommenderConfig: dict[str, Any]
    ) -> dict[str, Any]:
        """Change the configuration; members that are left out stay.

        Other training columns mean a new training. The recommender answers as before until
        ``latestRecommenderUpdate.status`` is ACTIVE.
        """
        with self.context.store.transaction() as tx:
            recommender = require_settled(tx.require(recommenderArn, RECOMMENDER))
            before = recommender.body["recommenderConfig"]
            config = {**before, **recommenderConfig}
            entry = require_recipe(self.context, recommender.body["recipeArn"])
            _check_config(tx, entry, recommender.body["datasetGroupArn"], config)
            columns = [each.get("trainingDataConfig") for each in (before, config)]
            trains = columns[0] != columns[1] or recommender.status == CREATE_FAILED
            if trains and NEXT_MODEL in recommender.body:
                raise ResourceInUseException(
                    f"{recommenderArn} is being trained. Wait until that is over, then try again."
                )
            update = new_update(CREATE_PENDING, recommenderConfig=config)
            tx.update(recommenderArn, **{UPDATE: update})
            begin(tx, self.context.jobs, recommender, UPDATING, trains=trains)
        return {"recommenderArn": recommenderArn}

    def stop_recommender(self, *, recommenderArn: str) -> dict[str, Any]:
        """Let an ACTIVE recommender rest: it answers nothing and is not trained again."""
        return self._switch(recommenderArn, ACTIVE, STOPPING)

    def start_recommender(self, *, recommenderArn: str) -> dict[str, Any]:
        """Let an INACTIVE recommender answer again, with the model that it had."""
        return self._switch(recommenderArn, INACTIVE, STARTING)

    def delete_recommender(self, *, recommenderArn: str) -> dict[str, Any]:
        """Delete a recommender and its model."""

        def forget_model(tx: Transaction, recommender: Resource) -> None:
            if model := recommender.body.get(MODEL):
                folder = recommender_folder(self.context.home, recommenderArn, model)
                tx.after_commit.append(partial(remove_artifact, folder))

        return self._delete(RECOMMENDER, recommenderArn, forget_model)

    def _switch(self, arn: str, status: str, purpose: str) -> dict[str, Any]:
        with self.context.store.transaction() as tx:
            recommender = require_settled(tx.require(arn, RECOMMENDER))
            if recommender.status != status:
                raise InvalidInputException(
                    f"{arn} is {recommender.status}; only a recommender that is {status} can "
                    f"{purpose}."
                )
            tx.update(arn, status=f"{purpose.upper()} PENDING")
            begin(tx, self.context.jobs, recommender, purpose)
        return {"recommenderArn": arn}


def _check_domain(entry: RecipeEntry, group: Resource) -> None:
    domain = group.body.get("domain")
    if domain is None:
        raise InvalidInputException(
            f"{group.arn} is a custom dataset group, and recommenders are for those of a domain: "
            "create a solution and a campaign, or a dataset group with a domain."
        )
    if entry.domain != domain:
        raise InvalidInputException(
            f"{entry.name} is not a use case of the domain {domain}; ListRecipes with "
            f"domain={domain!r} shows those that are."
        )


def _check_config(
    tx: Transaction, entry: RecipeEntry, group_arn: str, config: dict[str, Any]
) -> None:
    schemas = dataset_schemas(tx, group_arn)
    needed = ["INTERACTIONS", *(["ITEMS"] if entry.recipe.needs_items else [])]
    if missing := [kind for kind in needed if kind not in schemas]:
        raise InvalidInputException(
            f"{entry.name} needs the dataset {missing[0]}, which {group_arn} does not have. Create "
            "it and import data into it."
        )
    check_serving_config("recommenderConfig", config, lambda: entry)
    check_columns(config.get("trainingDataConfig", {}), schemas)
