"""Solutions: which recipe learns from which dataset group, and how; and their versions, the models.

Amazon Personalize: Create-, Describe-, List-, Update- and DeleteSolution; Create-, Describe- and
ListSolutionVersion(s), StopSolutionVersionCreation, GetSolutionMetrics.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from personalens import arns
from personalens.control.operations.kinds import KINDS, KindOperations, check_quota, put_tags
from personalens.control.operations.recipes import require_recipe
from personalens.control.work.deploy import CAMPAIGN
from personalens.control.work.schedule import AUTOMATIC_SINCE, begin_training
from personalens.service_errors import (
    InvalidInputException,
    ResourceAlreadyExistsException,
    ResourceInUseException,
)
from personalens.settings.solution_config import (
    check_solution_config,
    check_way_of_training,
    training_days,
)
from personalens.storage.datasets import dataset_schemas
from personalens.storage.model_folders import (
    read_outcome,
    remove_artifact,
    serving_folder,
    version_folder,
)
from personalens.storage.resource_store import (
    ACTIVE,
    CREATE_STOPPED,
    CREATE_STOPPING,
    SOLUTION,
    SOLUTION_VERSION,
    UNFINISHED,
    Resource,
    Transaction,
    new_update,
    require_active,
    require_settled,
    solution_of,
    unfinished_update,
)


class SolutionOperations(KindOperations):
    """Operations on solutions: configurations, whose versions are the models."""

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
        body = {
            "datasetGroupArn": datasetGroupArn,
            "recipeArn": recipeArn,
            "performHPO": performHPO,
            "performAutoML": performAutoML,
            "performAutoTraining": performAutoTraining,
            "performIncrementalUpdate": performIncrementalUpdate,
            "eventType": eventType,
            "solutionConfig": solutionConfig or {},
        }
        self.context.recipes()  # pandas loads with them: not while others wait for the transaction
        with self.context.store.transaction() as tx:
            require_active(tx.require(datasetGroupArn, "dataset-group"))
            body |= self._checked(tx, body)
            made = self._create(tx, SOLUTION, name, body, tags=tags)
        return {"solutionArn": made.arn}

    def describe_solution(self, *, solutionArn: str) -> dict[str, Any]:
        """Describe a solution, with a summary of its newest version."""
        described = self._describe(SOLUTION, solutionArn)
        described["solutionConfig"] = _shown(described["solutionConfig"])
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

        It counts at once, and ``latestSolutionUpdate`` shows it.
        """
        asked = {
            "performAutoTraining": performAutoTraining,
            "performIncrementalUpdate": performIncrementalUpdate,
        }
        asked = {name: value for name, value in asked.items() if value is not None}
        self.context.recipes()  # as in create_solution
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
        """Delete a solution with all its versions and their models, unless a campaign uses it or a
        version is being trained."""

        def forget_models(tx: Transaction, solution: Resource) -> None:
            versions, home = tx.list(SOLUTION_VERSION, parent_arn=solutionArn), self.context.home
            _refuse_deployed(tx, solutionArn, versions)
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
            from personalens.settings.hpo_config import (
                automl_recipes,  # as in check_solution_config
            )

            training_days(config)
            return {"_automlRecipes": automl_recipes(config, self.context.recipes(), schemas)}
        check_solution_config(
            entry, config, schemas, perform_hpo=body["performHPO"], event_type=body.get("eventType")
        )
        return {"recipeArn": arns.recipe_arn(entry.name, region=self.context.region)}


class SolutionVersionOperations(KindOperations):
    """Operations on solution versions."""

    def create_solution_version(
        self,
        *,
        solutionArn: str,
        name: str | None = None,
        trainingMode: str = "FULL",
        tags: list[dict[str, str]] | None = None,
    ) -> dict[str, Any]:
        """Ask for a training; a worker does it."""
        if trainingMode == "AUTOTRAIN":
            raise InvalidInputException("trainingMode AUTOTRAIN cannot be asked for. Use FULL.")
        if trainingMode == "UPDATE":
            self.context.recipes()  # as in create_solution
        with self.context.store.transaction() as tx:
            solution = require_active(tx.require(solutionArn, SOLUTION))
            check_quota(tx, SOLUTION_VERSION, {})
            base = None
            if trainingMode == "UPDATE":
                base = self._updatable_version(tx, solution)
            _require_interactions(tx, solution.body["datasetGroupArn"])
            _require_new_name(tx, solutionArn, name)
            members = {"trainingMode": trainingMode, "trainingType": "MANUAL"}
            if base is not None:
                members["_baseVersionArn"] = base.arn
            arn = begin_training(tx, self.context.jobs, solution, members, name=name or "")
            put_tags(tx, arn, tags)
        return {"solutionVersionArn": arn}

    def describe_solution_version(self, *, solutionVersionArn: str) -> dict[str, Any]:
        """Describe a version; ``trainingHours`` is there once it is ACTIVE, and is real."""
        described = self._describe(SOLUTION_VERSION, solutionVersionArn)
        described["solutionArn"] = solution_of(solutionVersionArn)
        described["solutionConfig"] = _shown(described["solutionConfig"])
        return {"solutionVersion": described}

    def list_solution_versions(
        self, *, solutionArn: str | None = None, **page: Any
    ) -> dict[str, Any]:
        """List versions, oldest first; of one solution, which must exist, if asked."""
        if solutionArn is None:
            return self._list(SOLUTION_VERSION, **page)
        self.context.store.require(solutionArn, SOLUTION)
        return self._list(SOLUTION_VERSION, solutionArn=solutionArn, **page)

    def stop_solution_version_creation(self, *, solutionVersionArn: str) -> dict[str, Any]:
        """Stop a training: at once when it has not begun, else within a batch or two."""
        with self.context.store.transaction() as tx:
            version = tx.require(solutionVersionArn, SOLUTION_VERSION)
            if version.status == CREATE_STOPPING:
                raise ResourceInUseException(f"{solutionVersionArn} is stopping already.")
            if version.status not in UNFINISHED:
                raise InvalidInputException(
                    f"{solutionVersionArn} is {version.status}; only a version that is "
                    f"{' or '.join(UNFINISHED)} can be stopped."
                )
            has_begun = self.context.jobs.request_stop(solutionVersionArn, tx) == "RUNNING"
            tx.update(solutionVersionArn, status=CREATE_STOPPING if has_begun else CREATE_STOPPED)
        return {}

    def get_solution_metrics(self, *, solutionVersionArn: str) -> dict[str, Any]:
        """Return the figures that were measured on the users held out from training."""
        require_active(self.context.store.require(solutionVersionArn, SOLUTION_VERSION))
        outcome = read_outcome(version_folder(self.context.home, solutionVersionArn))
        return {"solutionVersionArn": solutionVersionArn, "metrics": outcome.metrics}

    def _updatable_version(self, tx: Transaction, solution: Resource) -> Resource:
        """Return the newest ACTIVE version, to which trainingMode UPDATE adds new items."""
        arn = solution.body.get("recipeArn")
        recipe = None if arn is None else require_recipe(self.context, arn).recipe
        if recipe is None or not recipe.takes_updates:
            from personalens.recipes.registry import names_with

            name = "performAutoML" if recipe is None else recipe.name
            names = " and ".join(names_with("takes_updates"))
            raise InvalidInputException(
                f"trainingMode UPDATE is for the recipes {names}, and {solution.arn} uses {name}. "
                "Use FULL."
            )
        versions = tx.list(SOLUTION_VERSION, parent_arn=solution.arn, status_in=["ACTIVE"])
        if not versions:
            raise InvalidInputException(
                f"trainingMode UPDATE adds new items to a trained version, and {solution.arn} has "
                "none that is ACTIVE. Create one with trainingMode FULL first."
            )
        return versions[-1]


def _shown(config: Mapping[str, Any]) -> Mapping[str, Any]:
    if "hpoConfig" not in config:
        return config
    from personalens.settings.hpo_config import shown_config  # pandas loads with it

    return shown_config(config)


def _refuse_deployed(tx: Transaction, solution_arn: str, versions: list[Resource]) -> None:
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


def _require_interactions(tx: Transaction, dataset_group_arn: str) -> None:
    types = [
        d.body["datasetType"].upper() for d in tx.list("dataset", parent_arn=dataset_group_arn)
    ]
    if "INTERACTIONS" not in types:
        raise InvalidInputException(
            f"The dataset group {dataset_group_arn} has no Interactions dataset, and there is "
            "nothing else to learn from. Create one with CreateDataset and import data into it."
        )


def _require_new_name(tx: Transaction, solution_arn: str, name: str | None) -> None:
    for version in tx.list(SOLUTION_VERSION, parent_arn=solution_arn):
        if name is not None and version.name == name:
            raise ResourceAlreadyExistsException(
                f"Another solution version of {solution_arn} has the name {name}: {version.arn}."
            )
