"""What a filter expression may ask of which field, held against the schemas of a dataset group.

Amazon Personalize: "Filter expressions" in the developer guide; the limits of its quota page.
"""

from __future__ import annotations

from collections.abc import Mapping

from personalens.datasets.avro_schemas import DatasetSchema, SchemaField
from personalens.filters.expressions import Condition, Expression, FieldName, Filter, FilterError

MAX_FIELDS, MAX_FIELDS_OF_A_GROUP = 10, 20
EVENT_TYPE = "EVENT_TYPE"
EVENT_DATASETS = ("Interactions", "Action_Interactions")
_DATASETS_OF = {
    "ItemID": ("Interactions", "Items"),
    "UserID": ("Interactions", "Users"),
    "ActionID": ("Action_Interactions", "Actions"),
}
_SCHEMA_OF = {"CurrentUser": "Users", "CurrentItem": "Items"}
_NOT_FILTERABLE = {
    "Actions": ("EXPIRATION_TIMESTAMP", "ACTION_EXPIRATION_TIMESTAMP", "REPEAT_FREQUENCY")
}


def check_filter(asked: Filter, schemas: Mapping[str, DatasetSchema]) -> None:
    """Refuse what cannot be filtered by. ``schemas`` are by dataset type, such as "Items"."""
    for expression in asked.expressions:
        if expression.target != asked.target:
            raise FilterError(
                f"One filter is about {asked.target} and about {expression.target}; make two."
            )
        _check_expression(expression, schemas)
    fields = {(each.field.dataset, each.field.field.upper()) for each in asked.conditions}
    if len(fields) > MAX_FIELDS:
        raise FilterError(f"The filter names {len(fields)} fields; {MAX_FIELDS} at most.")


def find_field(name: FieldName, schemas: Mapping[str, DatasetSchema]) -> SchemaField:
    """Return the schema's field that a filter names, in whatever case it writes it; FilterError if
    the group has no such dataset or the dataset no such field."""
    dataset = _SCHEMA_OF.get(name.dataset, name.dataset)
    if dataset not in schemas:
        raise FilterError(
            f"The filter expression uses {name}, but the dataset group has no {dataset} dataset."
        )
    for field in schemas[dataset].fields:
        if field.name.upper() == name.field.upper():
            return field
    raise FilterError(
        f"The filter expression uses {name}, but {dataset} has no such field; it has "
        f"{', '.join(schemas[dataset].names)}."
    )


def _check_expression(expression: Expression, schemas: Mapping[str, DatasetSchema]) -> None:
    allowed = _DATASETS_OF[expression.target]
    datasets = {condition.field.dataset for condition in expression.conditions}
    if strange := sorted(datasets - set(allowed)):
        raise FilterError(
            f"A condition on {strange[0]} cannot choose a {expression.target}; use "
            f"{' or '.join(allowed)}" + ("." if "Current" not in strange[0] else " before the IF.")
        )
    if len(datasets) > 1:
        raise FilterError(
            f"One expression compares fields of {' and '.join(sorted(datasets))}. Use one dataset "
            "in an expression, and join expressions with |."
        )
    for condition in expression.conditions:
        _check_condition(condition, schemas)
    for condition in expression.user_conditions:
        if condition.field.dataset != "CurrentUser":
            raise FilterError(
                f"Behind IF stands {condition.field}; only fields of CurrentUser may."
            )
        _check_condition(condition, schemas)


def _check_condition(condition: Condition, schemas: Mapping[str, DatasetSchema]) -> None:
    name = condition.field
    field = find_field(name, schemas)
    if condition.operator == "NOT IN" and condition.parameters:
        raise FilterError(
            f"{name} NOT IN takes no placeholder (${condition.parameters[0]}). Turn it round: "
            f"EXCLUDE instead of INCLUDE, with IN."
        )
    if name.dataset in EVENT_DATASETS:
        if field.name.upper() != EVENT_TYPE:
            raise FilterError(f"{name} cannot be filtered by: of events only {EVENT_TYPE} can.")
        if condition.operator not in ("IN", "NOT IN"):
            raise FilterError(f"{name} is compared by IN or NOT IN, not by {condition.operator}.")
        return
    if condition.takes_anything:
        raise FilterError(f"{name} IN (*) is only possible for EVENT_TYPE of events.")
    _check_kind(condition, field)
    if condition.reference is not None:
        _check_reference(condition, field, schemas)


def _check_kind(condition: Condition, field: SchemaField) -> None:
    """Texts and booleans cannot be filtered by; strings take IN, numbers comparisons."""
    name, in_list = condition.field, condition.operator in ("IN", "NOT IN")
    if field.value_type == "boolean" or field.textual:
        kind = "a text" if field.textual else "boolean"
        raise FilterError(f"{name} cannot be filtered by: it is {kind}.")
    if field.name.upper() in _NOT_FILTERABLE.get(name.dataset, ()):
        raise FilterError(f"{name} cannot be filtered by: the service applies it by itself.")
    if in_list != (field.value_type == "string"):
        right = "IN or NOT IN" if field.value_type == "string" else "= != < <= > or >="
        raise FilterError(
            f"{name} is of type {field.value_type}: compare it by {right}, not by "
            f"{condition.operator}."
        )
    if in_list and any(isinstance(value, float) for value in condition.values):
        raise FilterError(f'{name} holds strings: write the values in quotation marks, ("1999").')


def _check_reference(
    condition: Condition, field: SchemaField, schemas: Mapping[str, DatasetSchema]
) -> None:
    if condition.reference.dataset != "CurrentItem":
        raise FilterError(
            f"{condition.field} is compared with {condition.reference}; only a field of "
            "CurrentItem, a value or a placeholder may stand there."
        )
    other = find_field(condition.reference, schemas)
    if (other.value_type == "string") != (field.value_type == "string"):
        raise FilterError(
            f"{condition.field} ({field.value_type}) cannot be compared with "
            f"{condition.reference} ({other.value_type})."
        )
