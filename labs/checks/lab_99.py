"""The self-checks of lab 99."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from personalens.home import default_home
from personalens.notebook.checks import NotYet, check
from personalens.notebook.progress import WaitFailed, wait

from .answers import as_texts, described, require_active

if TYPE_CHECKING:
    from personalens.notebook.lab_session import LabSession

_LISTS = {
    "datasetGroups": "list_dataset_groups",
    "solutions": "list_solutions",
    "campaigns": "list_campaigns",
    "Filters": "list_filters",
    "datasets": "list_datasets",
    "schemas": "list_schemas",
}
_BEFORE = [
    ("campaign", "solution"),
    ("solution", "dataset_group"),
    ("dataset", "dataset_group"),
    ("dataset", "schema"),
]
"""Which kind must be deleted before which."""
_PRACTICE = re.compile(r"arn:[a-z\d-]+:personalize:[a-z\d-]+:\d{12}:dataset-group/practice")
_PATIENCE = 30
"""Seconds that a deletion may take here once it has begun."""


@check("99a", hint="run section 2 only after section 1; the setup makes everything again.")
def _refused(lab: LabSession, group_arn: str, solution_arn: str, schema_arn: str) -> str:
    client = lab.client
    group = described(client.describe_dataset_group, "dataset group", datasetGroupArn=group_arn)
    require_active(group["datasetGroup"], "the dataset group")
    solution = described(client.describe_solution, "solution", solutionArn=solution_arn)
    require_active(solution["solution"], "the solution")
    described(client.describe_schema, "schema", schemaArn=schema_arn)
    return "three calls were refused, and everything is still there."


@check("99b", hint="run the cells of section 2 again, from the top.")
def _gone(lab: LabSession, deleted: list[str]) -> str:
    gone = as_texts(deleted, "the answer")
    if not gone or not all(lab.name("leftovers") in arn for arn in gone):
        raise NotYet("these are not the ARNs of what section 2 has deleted.")
    for arn in gone:
        _require_gone(lab, arn)
    return f"{len(gone)} resources are gone."


@check("99c", hint="run the cells of section 3 again.")
def _nothing_left(lab: LabSession, prefix: str) -> str:
    _require_prefix(lab, prefix)
    if found := next(_of_the_labs(lab, prefix), None):
        raise NotYet(f"{found} is still there.")
    return f"the service knows nothing that begins with {prefix}."


@check("99d", hint="run the cells of sections 3 and 4 again.")
def _no_files(lab: LabSession, prefix: str) -> str:
    _require_prefix(lab, prefix)
    home = default_home()
    left = [*home.datasets.glob(f"{prefix}*"), *home.models.glob(f"{prefix}*")]
    left += [path for path in [home.path / "labs" / lab.dataset] if path.exists()]
    if left:
        raise NotYet(f"{left[0].relative_to(home.path)} is still there.")
    return "no rows, models or CSV files of the labs are left."


@check("99.1", hint="the campaign goes first, the schema last.")
def _order(lab: LabSession, order: Any) -> str:
    order = as_texts(order, "the order")
    if sorted(order) != sorted({kind for pair in _BEFORE for kind in pair}):
        raise NotYet("each of the five kinds belongs into the list once.")
    for first, second in _BEFORE:
        if order.index(first) > order.index(second):
            raise NotYet(f"a {second} cannot go while there is a {first}.")
    return "nothing stands on what goes before it."


@check("99.2", hint="create_dataset_group, wait, delete_dataset_group.")
def _practice(lab: LabSession, arn: Any) -> str:
    if not isinstance(arn, str) or not _PRACTICE.fullmatch(arn):
        raise NotYet("that is not the ARN of a dataset group named practice.")
    _require_gone(lab, arn)
    return "there was a group, and now there is none."


def _require_prefix(lab: LabSession, prefix: Any) -> None:
    if not isinstance(prefix, str) or prefix != lab.name(""):
        raise NotYet(f"the names of the labs begin with {lab.name('')}.")


def _require_gone(lab: LabSession, arn: str) -> None:
    try:
        wait(lab.client, arn, until="deleted", timeout=_PATIENCE, quiet=True)
    except (TimeoutError, WaitFailed):
        raise NotYet(f"{arn} is still there.") from None


def _of_the_labs(lab: LabSession, prefix: str) -> Iterator[str]:
    for member, operation in _LISTS.items():
        for page in lab.client.get_paginator(operation).paginate():
            for each in page[member]:
                if each["name"].startswith(prefix):
                    yield each["name"]
