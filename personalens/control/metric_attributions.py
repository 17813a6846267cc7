"""Metric attributions: what recommendations have brought about, counted by where they came from.

Amazon Personalize: CreateMetricAttribution, DescribeMetricAttribution, ListMetricAttributions,
ListMetricAttributionMetrics, UpdateMetricAttribution, DeleteMetricAttribution. The reports are in
:mod:`personalens.control.attribution_reports`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from personalens import arns
from personalens.control.kinds import KindOperations
from personalens.control.object_storage import (
    KEPT_FOLDERS,
    DataLocationError,
    allowed_folders,
    kept_folders,
)
from personalens.control.output_folders import check_output
from personalens.control.page_tokens import make_token, read_token
from personalens.control.resource_states import ACTIVE, require_active, require_settled
from personalens.control.resource_store import Resource, ResourceReader
from personalens.control.solution_config import NUMBERS
from personalens.control.solutions import dataset_schemas
from personalens.datasets.avro_schemas import DatasetSchema
from personalens.service_errors import InvalidInputException, ResourceAlreadyExistsException

KIND = "metric-attribution"
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


class MetricAttributionOperations(KindOperations):
    """Operations on metric attributions."""

    def create_metric_attribution(
        self,
        *,
        name: str,
        datasetGroupArn: str,
        metrics: Sequence[Mapping[str, str]],
        metricsOutputConfig: dict[str, Any],
    ) -> dict[str, Any]:
        """Say what is counted from now on, and where reports go; a group has one of these.

        Raises
        ------
        InvalidInputException
            For an expression that cannot be read or names a column that is no number, a metric name
            that comes twice, an Interactions dataset without EVENT_TYPE, or a destination that
            cannot be written to.
        ResourceAlreadyExistsException
            If the group has one.
        """
        context = self.context
        arn = arns.build(KIND, name, region=context.region, account=context.account)
        with context.store.transaction() as tx:
            group = require_active(tx.require(datasetGroupArn, "dataset-group"))
            if others := tx.list(KIND, parent_arn=group.arn, also_deleted=True):
                raise ResourceAlreadyExistsException(
                    f"Another resource with Arn {others[0].arn} already exists. A dataset group "
                    "has one metric attribution: update that one, or delete it first."
                )
            read_metrics(metrics, dataset_schemas(tx, group.arn))
            self._check_destination(metricsOutputConfig)
            body = {
                "datasetGroupArn": group.arn,
                "metricsOutputConfig": metricsOutputConfig,
                "_metrics": list(metrics),
                **kept_folders(),
            }
            tx.insert(Resource(arn, KIND, name, group.arn, ACTIVE, body=body))
        return {"metricAttributionArn": arn}

    def list_metric_attribution_metrics(
        self,
        *,
        metricAttributionArn: str | None = None,
        nextToken: str | None = None,
        maxResults: int = MAX_RESULTS,
    ) -> dict[str, Any]:
        """List the metrics of a metric attribution, or of all."""
        found = [
            each
            for each in self.context.store.list(KIND)
            if metricAttributionArn in (None, each.arn)
        ]
        metrics = [metric for each in found for metric in _metrics(each)]
        listing = f"metrics/{metricAttributionArn}"
        first = 0 if nextToken is None else read_token(nextToken, listing)
        answer: dict[str, Any] = {"metrics": metrics[first : first + maxResults]}
        if first + maxResults < len(metrics):
            answer["nextToken"] = make_token(first + maxResults, listing)
        return answer

    def update_metric_attribution(
        self,
        *,
        metricAttributionArn: str | None = None,
        addMetrics: Sequence[Mapping[str, str]] = (),
        removeMetrics: Sequence[str] = (),
        metricsOutputConfig: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Add metrics, remove some by name, or send the reports elsewhere; it counts at once.

        Raises
        ------
        ResourceAlreadyExistsException
            If a metric of an added one's name stays.
        """
        if metricAttributionArn is None:
            raise InvalidInputException("Give the metricAttributionArn of what is to be updated.")
        with self.context.store.transaction() as tx:
            before = require_settled(tx.require(metricAttributionArn, KIND))
            names = [metric["metricName"] for metric in _metrics(before)]
            if unknown := [name for name in removeMetrics if name not in names]:
                raise InvalidInputException(
                    f"removeMetrics names {unknown[0]!r}; the metrics are {', '.join(names)}."
                )
            kept = [each for each in _metrics(before) if each["metricName"] not in removeMetrics]
            for added in addMetrics:
                if any(each["metricName"] == added["metricName"] for each in kept):
                    raise ResourceAlreadyExistsException(
                        f"Another metric has the name {added['metricName']}: remove it first."
                    )
            metrics = [*kept, *addMetrics]
            read_metrics(metrics, dataset_schemas(tx, str(before.parent_arn)))
            changes: dict[str, Any] = {"_metrics": metrics}
            if metricsOutputConfig is not None:
                self._check_destination(metricsOutputConfig)
                changes["metricsOutputConfig"] = metricsOutputConfig
                changes[KEPT_FOLDERS] = allowed_folders()  # None takes an earlier rule away
            tx.update(metricAttributionArn, **changes)
        return {"metricAttributionArn": metricAttributionArn}

    def _check_destination(self, config: Mapping[str, Any]) -> None:
        if path := config.get("s3DataDestination", {}).get("path"):
            try:
                check_output(path, self.context.home)
            except DataLocationError as error:
                raise InvalidInputException(str(error)) from None


def read_metrics(
    metrics: Sequence[Mapping[str, str]], schemas: Mapping[str, DatasetSchema]
) -> list[Metric]:
    """Return the metrics of a request or a resource, held against the schemas of the group.

    Raises
    ------
    InvalidInputException
        If they do not fit.
    """
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
    for found in reader.list(KIND, parent_arn=dataset_group_arn):
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


def _metrics(attribution: Resource) -> list[dict[str, str]]:
    return attribution.body["_metrics"]
