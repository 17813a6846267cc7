"""Solution versions: the trained models of a solution.

Amazon Personalize: CreateSolutionVersion, DescribeSolutionVersion, ListSolutionVersions,
StopSolutionVersionCreation, GetSolutionMetrics.
"""

from __future__ import annotations

from typing import Any

from personalens.control.operations.kinds import KindOperations, check_quota
from personalens.control.operations.recipes import require_recipe
from personalens.control.operations.tags import put_tags
from personalens.control.work.begin_training import begin_training
from personalens.recipes.registry import names_with
from personalens.service_errors import (
    InvalidInputException,
    ResourceAlreadyExistsException,
    ResourceInUseException,
)
from personalens.settings.hpo_config import shown_config
from personalens.storage.model_folders import read_outcome, version_folder
from personalens.storage.resource_states import (
    CREATE_STOPPED,
    CREATE_STOPPING,
    SOLUTION,
    SOLUTION_VERSION,
    UNFINISHED,
    require_active,
    solution_of,
)
from personalens.storage.resource_store import Resource, Transaction


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
        """Ask for a training; a worker does it.

        Raises
        ------
        InvalidInputException
            For a training mode that the recipe does not have, or without an Interactions dataset.
        ResourceAlreadyExistsException
            If the solution has a version of this name.
        """
        if trainingMode == "AUTOTRAIN":
            raise InvalidInputException("trainingMode AUTOTRAIN cannot be asked for. Use FULL.")
        with self.context.store.transaction() as tx:
            solution = require_active(tx.require(solutionArn, SOLUTION))
            check_quota(tx, SOLUTION_VERSION)
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

    def describe_solution_version(
        self,
        *,
        solutionVersionArn: str,
    ) -> dict[str, Any]:
        """Describe a version; ``trainingHours`` is there once it is ACTIVE, and is real."""
        described = self._describe(SOLUTION_VERSION, solutionVersionArn)
        described["solutionArn"] = solution_of(solutionVersionArn)
        described["solutionConfig"] = shown_config(described["solutionConfig"])
        return {"solutionVersion": described}

    def list_solution_versions(
        self, *, solutionArn: str | None = None, **page: Any
    ) -> dict[str, Any]:
        """List versions, oldest first; of one solution if asked.

        Raises
        ------
        ResourceNotFoundException
            If that solution does not exist.
        """
        if solutionArn is None:
            return self._list(SOLUTION_VERSION, **page)
        self.context.store.require(solutionArn, SOLUTION)
        return self._list(SOLUTION_VERSION, solutionArn=solutionArn, **page)

    def stop_solution_version_creation(
        self,
        *,
        solutionVersionArn: str,
    ) -> dict[str, Any]:
        """Stop a training: at once when it has not begun, else within a batch or two.

        Raises
        ------
        InvalidInputException
            If it is over.
        ResourceInUseException
            If it is stopping already.
        """
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
