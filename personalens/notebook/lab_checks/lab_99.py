"""The self-checks of lab 99."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from personalens.home import default_home
from personalens.notebook.checks import NotYet, check
from personalens.notebook.progress import WaitFailed, wait

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


@check("99a", hint="run section 2 only after section 1; the setup makes everything anew.")
def _refused(lab: LabSession, group_arn: str, solution_arn: str, schema_arn: str) -> str:
    lab.client.describe_dataset_group(datasetGroupArn=group_arn)
    lab.client.describe_solution(solutionArn=solution_arn)
    lab.client.describe_schema(schemaArn=schema_arn)
    return "three calls were refused, and everything is still there."


@check("99b", hint="run the cells of section 2 again, from the top.")
def _gone(lab: LabSession, deleted: list[str]) -> str:
    for arn in deleted:
        _require_gone(lab, arn)
    return f"{len(deleted)} resources are gone."


@check("99c", hint="run the cells of section 3 again.")
def _nothing_left(lab: LabSession, prefix: str) -> str:
    if found := next(_of_the_labs(lab, prefix), None):
        raise NotYet(f"{found} is still there.")
    return f"the service knows nothing that begins with {prefix}."


@check("99d", hint="run the cells of sections 3 and 4 again.")
def _no_files(lab: LabSession, prefix: str) -> str:
    home = default_home()
    left = [*home.datasets.glob(f"{prefix}*"), *home.models.glob(f"{prefix}*")]
    left += [path for path in [home.path / "labs" / lab.dataset] if path.exists()]
    if left:
        raise NotYet(f"{left[0].relative_to(home.path)} is still there.")
    return "no rows, models or CSV files of the labs are left."


@check("99.1", hint="the campaign goes first, the schema last.")
def _order(lab: LabSession, order: Any) -> str:
    if sorted(order) != sorted({kind for pair in _BEFORE for kind in pair}):
        raise NotYet("each of the five kinds belongs into the list once.")
    for first, second in _BEFORE:
        if order.index(first) > order.index(second):
            raise NotYet(f"a {second} cannot go while there is a {first}.")
    return "nothing stands on what goes before it."


@check("99.2", hint="create_dataset_group, wait, delete_dataset_group.")
def _practice(lab: LabSession, arn: Any) -> str:
    if not str(arn).endswith(":dataset-group/practice"):
        raise NotYet("that is not the ARN of a dataset group named practice.")
    _require_gone(lab, arn)
    return "there was a group, and now there is none."


def _require_gone(lab: LabSession, arn: str) -> None:
    try:
        wait(lab.client, arn, until="deleted", timeout=5, quiet=True)
    except (TimeoutError, WaitFailed):
        raise NotYet(f"{arn} is still there.") from None


def _of_the_labs(lab: LabSession, prefix: str) -> Iterator[str]:
    for member, operation in _LISTS.items():
        for page in lab.client.get_paginator(operation).paginate():
            for each in page[member]:
                if each["name"].startswith(prefix):
                    yield each["name"]
