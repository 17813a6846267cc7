"""The self-checks of lab 02."""

from __future__ import annotations

from typing import TYPE_CHECKING

from personalens.notebook.checks import NotYet, check

from .answers import as_texts, described, require_active, schema_fields

if TYPE_CHECKING:
    from personalens.notebook.lab_session import LabSession


@check("2a", hint="run the cell with create_schema again.")
def _interactions_schema(lab: LabSession, schema_arn: str) -> str:
    fields = schema_fields(lab, schema_arn)
    if missing := {"USER_ID", "ITEM_ID", "TIMESTAMP"} - set(fields):
        raise NotYet(f"the schema lacks {', '.join(sorted(missing))}.")
    return f"the service knows a schema with {len(fields)} fields."


@check("2b", hint="run the loop again; it ends when the group is ACTIVE.")
def _dataset_group(lab: LabSession, group_arn: str) -> str:
    describe = lab.client.describe_dataset_group
    group = described(describe, "dataset group", datasetGroupArn=group_arn)["datasetGroup"]
    require_active(group, "the dataset group")
    return f"the dataset group {group['name']} is ACTIVE."


@check("2c", hint="run the two cells with create_dataset again.")
def _two_datasets(lab: LabSession, interactions_arn: str, items_arn: str) -> str:
    for arn, kind in ((interactions_arn, "INTERACTIONS"), (items_arn, "ITEMS")):
        dataset = described(lab.client.describe_dataset, "dataset", datasetArn=arn)["dataset"]
        require_active(dataset, f"the {kind} dataset")
        if dataset["datasetType"].upper() != kind:
            raise NotYet(f"a dataset of type {dataset['datasetType']} is where {kind} belongs.")
    return "both datasets are ACTIVE."


@check("2.1", hint="compare the fields with the goal: names, types, and what may be missing.")
def _users_schema(lab: LabSession, schema_arn: str) -> str:
    fields = schema_fields(lab, schema_arn)
    if set(fields) != {"USER_ID", "AGE", "PLAN"}:
        raise NotYet(f"the fields are {', '.join(fields)}.")
    name = lab.client.describe_schema(schemaArn=schema_arn)["schema"]["name"]
    if name != lab.name("users"):
        raise NotYet(f"the schema's name is {name}, not {lab.name('users')}.")
    age, plan = fields["AGE"]["type"], fields["PLAN"]
    if not isinstance(age, list) or set(age) not in ({"null", "int"}, {"null", "long"}):
        raise NotYet("AGE should be a whole number that may be missing.")
    if plan["type"] != "string" or plan.get("categorical") is not True:
        raise NotYet("PLAN should be a string, categorical, and always there.")
    return "viewers have a schema."


@check("2.2", hint="collect the names from every page, keep those that start so, sort them.")
def _own_schemas(lab: LabSession, names: list[str]) -> str:
    pages = lab.client.get_paginator("list_schemas").paginate()
    all_names = [schema["name"] for page in pages for schema in page["schemas"]]
    truth = sorted(name for name in all_names if name.startswith(lab.name("")))
    given = as_texts(names, "the answer")
    if given != truth:
        raise NotYet(f"there are {len(truth)} such schemas, sorted; these are {given}.")
    return f"{len(truth)} schemas found."
