"""The beginning of a training: a version, and the job that trains it."""

from __future__ import annotations

from collections.abc import Mapping

from personalens import arns
from personalens.settings.solution_config import LATER_COLUMNS
from personalens.storage.job_queue import JobQueue
from personalens.storage.resource_states import (
    CREATE_PENDING,
    SOLUTION_VERSION,
)
from personalens.storage.resource_store import Resource, Transaction

TRAIN_JOB = "train"


AUTOMATIC_SINCE = "_automaticSince"
"""Member of a solution: when automatic training was turned on by UpdateSolution."""


_COPIED = (
    "recipeArn",
    "datasetGroupArn",
    "performHPO",
    "performAutoML",
    "performIncrementalUpdate",
    "eventType",
    "solutionConfig",
    "_automlRecipes",
    LATER_COLUMNS,
)
"""Members that a version takes from its solution as it was when training was asked for."""


def begin_training(
    tx: Transaction,
    jobs: JobQueue,
    solution: Resource,
    members: Mapping[str, str],
    *,
    name: str = "",
) -> str:
    """Add a version with these members beside those of the solution, ask for its training, and
    return its ARN."""
    arn = arns.solution_version_arn(solution.arn)
    copied = {member: solution.body[member] for member in _COPIED if member in solution.body}
    body = {**copied, **members}
    tx.insert(Resource(arn, SOLUTION_VERSION, name, solution.arn, CREATE_PENDING, body=body))
    jobs.enqueue(tx, TRAIN_JOB, arn)
    return arn
