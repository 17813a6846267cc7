"""What a metric attribution counts.

Amazon Personalize: ``metrics`` of CreateMetricAttribution.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from personalens.service_errors import InvalidInputException
from personalens.settings.solution_config import NUMBERS
from personalens.storage.resource_store import Resource, ResourceReader

if TYPE_CHECKING:
    from personalens.datasets.avro_schemas import DatasetSchema

METRIC_ATTRIBUTION = "metric-attribution"
MAX_METRICS, MAX_RESULTS = 10, 100
_EXPRESSION = re.compile(r"SAMPLECOUNT\(\)|SUM\((ITEMS|INTERACTIONS)\.(\w+)\)", re.IGNORECASE)


class Metric(NamedTuple):
    """What is counted: events of a type, or the sum of a column over them.

    ``dataset`` is ITEMS or INTERACTIONS and ``column`` as the schema writes it; both are None for
    SAMPLECOUNT().
    """

    name: str
    event_type: str
    dataset: str | None = None
    column: str | None = None


def read_metrics(
    metrics: Sequence[Mapping[str, str]], schemas: Mapping[str, DatasetSchema]
) -> list[Metric]:
    """Return the metrics of a request or a resource, held against the schemas of the group."""
    if "INTERACTIONS" not in schemas or "EVENT_TYPE" not in schemas["INTERACTIONS"].names:
        raise InvalidInputException(
            "A metric attribution counts events by their type: the dataset group needs an "
            "Interactions dataset with EVENT_TYPE."
        )
    if not 1 <= len(metrics) <= MAX_METRICS:
        raise InvalidInputException(
            f"A metric attribution has 1 to {MAX_METRICS} metrics; these are {len(metrics)}."
        )
    found = [_read_metric(metric, schemas) for metric in metrics]
    names = [metric.name for metric in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidInputException(f"The metric name {twice[0]!r} is given twice.")
    return found


def attribution_of(reader: ResourceReader, dataset_group_arn: str) -> Resource | None:
    """Return the metric attribution of a group if it has a destination for reports; else None."""
    for found in reader.list(METRIC_ATTRIBUTION, parent_arn=dataset_group_arn):
        if "s3DataDestination" in found.body["metricsOutputConfig"]:
            return found
    return None


def _read_metric(metric: Mapping[str, str], schemas: Mapping[str, DatasetSchema]) -> Metric:
    expression = metric["expression"]
    match = _EXPRESSION.fullmatch(expression.replace(" ", ""))
    if match is None:
        raise InvalidInputException(
            f"The expression {expression!r} cannot be read; give SAMPLECOUNT(), SUM(Items.COLUMN) "
            "or SUM(Interactions.COLUMN)."
        )
    name, event_type = metric["metricName"], metric["eventType"]
    if match[1] is None:
        return Metric(name, event_type)
    dataset, wanted = match[1].upper(), match[2].upper()
    fields = schemas[dataset].fields if dataset in schemas else ()
    numeric = [field.name for field in fields if field.value_type in NUMBERS]
    for column in numeric:
        if column.upper() == wanted:
            return Metric(name, event_type, dataset, column)
    raise InvalidInputException(
        f"The expression {expression!r} names no numeric column; {dataset} has "
        f"{', '.join(numeric) or 'none'}."
    )
