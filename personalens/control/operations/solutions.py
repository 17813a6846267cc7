"""Solutions: which recipe learns from which dataset group, and how.

A solution is a configuration; its versions are the models. Amazon Personalize: CreateSolution,
DescribeSolution, ListSolutions, UpdateSolution, DeleteSolution.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from personalens import arns
from personalens.control.operations.kinds import KINDS, KindOperations, check_quota
from personalens.control.operations.recipes import require_recipe
from personalens.control.operations.tags import put_tags
from personalens.control.work.begin_training import AUTOMATIC_SINCE
from personalens.control.work.deploy import CAMPAIGN
from personalens.service_errors import ResourceInUseException
from personalens.settings.hpo_config import automl_recipes, shown_config
from personalens.settings.solution_config import (
    check_solution_config,
    check_way_of_training,
    training_days,
)
from personalens.storage.dataset_rows import dataset_schemas
from personalens.storage.model_folders import remove_artifact, serving_folder, version_folder
from personalens.storage.resource_states import (
    ACTIVE,
    SOLUTION,
    SOLUTION_VERSION,
    new_update,
    require_active,
    require_settled,
    solution_of,
    unfinished_update,
)
from personalens.storage.resource_store import Resource, Transaction


class SolutionOperations(KindOperations):
    """Operations on solutions."""

    def create_solution(
        self,
        *,
        name: str,
        datasetGroupArn: str,
        recipeArn: str | None = None,
        performHPO: bool = False,
        performAutoML: bool = False,
        performAutoTraining: bool = True,
        performIncrementalUpdate: bool = False,
        eventType: str | None = None,
        solutionConfig: dict[str, Any] | None = None,
        tags: list[dict[str, str]] | None = None,
    ) -> dict[str, Any]:
        """Store a configuration; it is ACTIVE at once."""
        asked = {
            "datasetGroupArn": datasetGroupArn,
            "recipeArn": recipeArn,
            "performHPO": performHPO,
            "performAutoML": performAutoML,
            "performAutoTraining": performAutoTraining,
            "performIncrementalUpdate": performIncrementalUpdate,
            "eventType": eventType,
            "solutionConfig": solutionConfig or {},
        }
        body = {name: value for name, value in asked.items() if value is not None}
        arn = arns.build(SOLUTION, name, region=self.context.region, account=self.context.account)
        with self.context.store.transaction() as tx:
            require_active(tx.require(datasetGroupArn, "dataset-group"))
            check_quota(tx, SOLUTION, existing=len(tx.list(SOLUTION, parent_arn=datasetGroupArn)))
            body |= self._checked(tx, body)
            tx.insert(Resource(arn, SOLUTION, name, datasetGroupArn, ACTIVE, body=body))
            put_tags(tx, arn, tags)
        return {"solutionArn": arn}

    def describe_solution(self, *, solutionArn: str) -> dict[str, Any]:
        """Describe a solution, with a summary of its newest version."""
        described = self._describe(SOLUTION, solutionArn)
        described["solutionConfig"] = shown_config(described["solutionConfig"])
        if versions := self.context.store.list(SOLUTION_VERSION, parent_arn=solutionArn):
            described["latestSolutionVersion"] = KINDS[SOLUTION_VERSION].summarize(versions[-1])
        return {"solution": described}

    def update_solution(
        self,
        *,
        solutionArn: str,
        performAutoTraining: bool | None = None,
        performIncrementalUpdate: bool | None = None,
        solutionUpdateConfig: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Change what later versions learn from and when they are trained; the rest stays.

        It counts at once; ``latestSolutionUpdate`` tells of it.
        """
        asked = {
            "performAutoTraining": performAutoTraining,
            "performIncrementalUpdate": performIncrementalUpdate,
        }
        asked = {name: value for name, value in asked.items() if value is not None}
        with self.context.store.transaction() as tx:
            before = require_settled(tx.require(solutionArn, SOLUTION))
            body = {**before.body, **asked}
            body["solutionConfig"] = {**body["solutionConfig"], **(solutionUpdateConfig or {})}
            body |= self._checked(tx, body)
            body["latestSolutionUpdate"] = new_update(
                ACTIVE,
                solutionUpdateConfig=solutionUpdateConfig,
                performAutoTraining=body["performAutoTraining"],
                performIncrementalUpdate=body["performIncrementalUpdate"],
            )
            if body["performAutoTraining"] and not before.body["performAutoTraining"]:
                body[AUTOMATIC_SINCE] = time.time()
            tx.update(solutionArn, **body)
        return {"solutionArn": solutionArn}

    def delete_solution(self, *, solutionArn: str) -> dict[str, Any]:
        """Delete a solution with all its versions and their models.

        Raises
        ------
        ResourceInUseException
            While a campaign uses it or a version is being trained.
        """

        def forget_models(tx: Transaction, solution: Resource) -> None:
            versions, home = tx.list(SOLUTION_VERSION, parent_arn=solutionArn), self.context.home
            _refuse_used(tx, solutionArn, versions)
            for version in versions:
                for folder in {serving_folder(home, version), version_folder(home, version.arn)}:
                    tx.after_commit.append(partial(remove_artifact, folder))

        return self._delete(SOLUTION, solutionArn, forget_models)

    def _checked(self, tx: Transaction, body: dict[str, Any]) -> dict[str, Any]:
        """Check the members of a solution, and return which recipe, or recipes, they stand for."""
        arn, config = body.get("recipeArn"), body["solutionConfig"]
        entry = None if arn is None else require_recipe(self.context, arn)
        check_way_of_training(
            entry,
            perform_automl=body["performAutoML"],
            incremental=body["performIncrementalUpdate"],
        )
        schemas = dataset_schemas(tx, body["datasetGroupArn"])
        if entry is None:
            training_days(config)
            return {"_automlRecipes": automl_recipes(config, self.context.recipes(), schemas)}
        check_solution_config(
            entry,
            config,
            schemas,
            perform_hpo=body["performHPO"],
            event_type=body.get("eventType"),
        )
        return {"recipeArn": arns.recipe_arn(entry.name, region=self.context.region)}


def _refuse_used(tx: Transaction, solution_arn: str, versions: list[Resource]) -> None:
    for campaign in tx.list(CAMPAIGN, also_deleted=True):
        versions_in_use = [campaign.body["solutionVersionArn"]]
        if unfinished_update(campaign):
            versions_in_use.append(campaign.body["latestCampaignUpdate"]["solutionVersionArn"])
        if solution_arn in map(solution_of, versions_in_use):
            raise ResourceInUseException(
                f"The solution {solution_arn} is used by the campaign {campaign.arn}. Delete the "
                "campaign first, and wait until it is gone."
            )
    for version in versions:
        require_settled(version)
