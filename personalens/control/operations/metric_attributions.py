"""Metric attributions: what recommendations have brought about, counted by where they came from.

Amazon Personalize: CreateMetricAttribution, DescribeMetricAttribution, ListMetricAttributions,
ListMetricAttributionMetrics, UpdateMetricAttribution, DeleteMetricAttribution. The reports are in
:mod:`personalens.control.work.attribution_reports`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from personalens.control.operations.kinds import KindOperations
from personalens.control.work.metric_expressions import (
    MAX_RESULTS,
    METRIC_ATTRIBUTION,
    read_metrics,
)
from personalens.jobs.output_folders import check_output
from personalens.service_errors import (
    InvalidInputException,
    ResourceAlreadyExistsException,
    as_invalid_input,
)
from personalens.storage.datasets import dataset_schemas
from personalens.storage.object_storage import (
    KEPT_FOLDERS,
    DataLocationError,
    allowed_folders,
    kept_folders,
)
from personalens.storage.resource_store import (
    Resource,
    make_token,
    read_token,
    require_active,
    require_settled,
)


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
        """Say what is counted from now on, and where reports go; a group has one of these."""
        with self.context.store.transaction() as tx:
            group = require_active(tx.require(datasetGroupArn, "dataset-group"))
            if others := tx.list(METRIC_ATTRIBUTION, parent_arn=group.arn, also_deleted=True):
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
            made = self._create(tx, METRIC_ATTRIBUTION, name, body)
        return {"metricAttributionArn": made.arn}

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
            for each in self.context.store.list(METRIC_ATTRIBUTION)
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
        """Add metrics, remove some by name, or send the reports elsewhere; it counts at once."""
        if metricAttributionArn is None:
            raise InvalidInputException("Give the metricAttributionArn of what is to be updated.")
        with self.context.store.transaction() as tx:
            before = require_settled(tx.require(metricAttributionArn, METRIC_ATTRIBUTION))
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
            with as_invalid_input(DataLocationError):
                check_output(path, self.context.home)


def _metrics(attribution: Resource) -> list[dict[str, str]]:
    return attribution.body["_metrics"]
