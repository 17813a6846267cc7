"""The reports of a metric attribution: CSV files of what was counted.

Amazon Personalize: "Publishing and viewing results" of the developer guide. A report is written by
an import with ``publishAttributionMetricsToS3``, and counts the rows of that import. The events of
PutEvents go to CloudWatch in AWS; here, without CloudWatch, the same import reports those that came
since the last report, in a file of their own.
"""

from __future__ import annotations

import csv
import io
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from personalens.control.work.metric_expressions import Metric, attribution_of, read_metrics
from personalens.jobs.output_folders import OutputFolder, claim_outputs
from personalens.storage.dataset_rows import DatasetRows, event_table
from personalens.storage.datasets import dataset_schemas
from personalens.storage.job_queue import Job
from personalens.storage.object_storage import KEPT_FOLDERS
from personalens.storage.resource_store import Resource
from personalens.storage.service_context import ServiceContext

logger = logging.getLogger(__name__)

HEADER = (
    "METRIC_NAME",
    "EVENT_TYPE",
    "VALUE",
    "MATH_FUNCTION",
    "EVENT_ATTRIBUTION_SOURCE",
    "TIMESTAMP",
)
WINDOW_SECONDS = 900
MAX_SOURCES = 100
NO_SOURCE = "SOURCE_NAME_UNDEFINED"
REPORTED_UNTIL = "_reportedUntil"
"""Member of a metric attribution: up to when the events of PutEvents have been reported."""
_SOURCE, _RECOMMENDATION = "EVENT_ATTRIBUTION_SOURCE", "RECOMMENDATION_ID"

Totals = Counter[tuple[Metric, str, int]]
"""What was counted, by metric, source and the second at which a window of 15 minutes begins."""


def write_reports(
    context: ServiceContext, job: Job, dataset: Resource, imported: Path, *, stamp: int, now: float
) -> Resource | None:
    """Write the reports of an import into an Interactions dataset, whose rows are in the Parquet
    file ``imported``. Return the attribution that has reported; None if there is none.

    ``stamp`` is part of the files' names: an import that is done again takes the same, and replaces
    them. Events that came after ``now`` are for the next report.
    """
    attribution = attribution_of(context.store, dataset.body["datasetGroupArn"])
    if attribution is None or dataset.body["datasetType"] != "INTERACTIONS":
        return None
    schemas = dataset_schemas(context.store, dataset.body["datasetGroupArn"])
    metrics = read_metrics(attribution.body["_metrics"], schemas)
    folder = OutputFolder(
        attribution.body["metricsOutputConfig"]["s3DataDestination"]["path"],
        region=context.region,
        home=context.home,
        folders=attribution.body.get(KEPT_FOLDERS),
    )
    names = {
        method: f"AggregatedAttributionMetrics - {method} - {stamp}.csv"
        for method in ("BULK", "PUT")
    }
    claim_outputs(context, job, folder, list(names.values()))
    counting = _Counting(context, attribution, metrics)
    since = attribution.body.get(REPORTED_UNTIL, attribution.created_at)
    for method, tables in {
        "BULK": _imported_rows(imported, [m.column for m in metrics if m.dataset != "ITEMS"]),
        "PUT": _live_rows(context, dataset, since, now),
    }.items():
        totals = counting.total(tables)
        if totals or method == "BULK":
            with folder.writing(names[method]) as file:
                file.write(_to_csv(totals).encode())
    return attribution


class _Counting:
    """Counts events by the metrics of an attribution."""

    def __init__(self, context: ServiceContext, attribution: Resource, metrics: Sequence[Metric]):
        self._context = context
        self._metrics = metrics
        self._items = self._read_items(str(attribution.parent_arn))
        self._sources: dict[str, str] = {}

    def total(self, tables: Iterable[pd.DataFrame]) -> Totals:
        """Return the totals of events in tables, with the columns of the dataset and, where it is
        known, RECOMMENDED_BY."""
        totals: Totals = Counter()
        for events in tables:
            events = events.assign(
                source=self._source(events),
                window=events["TIMESTAMP"] // WINDOW_SECONDS * WINDOW_SECONDS,
            )
            for metric in self._metrics:
                chosen = events[events["EVENT_TYPE"] == metric.event_type]
                values = self._values(metric, chosen)
                sums = values.groupby([chosen["source"], chosen["window"]]).sum()
                for (source, window), value in sums.items():
                    totals[metric, source, int(window)] += float(value)
        return _with_few_sources(totals)

    def _values(self, metric: Metric, events: pd.DataFrame) -> pd.Series:
        if metric.column is None:
            return pd.Series(1.0, events.index)
        if metric.dataset == "ITEMS":
            values = events["ITEM_ID"].map(self._items[metric.column])
        else:
            values = events[metric.column]
        return values.astype(float).fillna(0.0)

    def _source(self, events: pd.DataFrame) -> pd.Series:
        """Return where each event came from: the source that it names, else the campaign or
        recommender that gave the recommendation."""
        found = pd.Series(None, events.index, dtype=object)
        if _SOURCE in events:
            found = events[_SOURCE].astype(object)
        if "RECOMMENDED_BY" in events:
            found = found.where(found.notna(), events["RECOMMENDED_BY"])
        elif _RECOMMENDATION in events:
            ids = events.loc[found.isna(), _RECOMMENDATION].dropna().unique()
            found = found.where(
                found.notna(), events[_RECOMMENDATION].map(dict(self._recommenders(ids)))
            )
        return found.where(found.notna(), NO_SOURCE)

    def _recommenders(self, ids: Iterable[str]) -> Iterator[tuple[str, str]]:
        for recommendation_id in ids:
            if known := self._context.recommendations.find(recommendation_id):
                yield recommendation_id, known.source_arn

    def _read_items(self, group_arn: str) -> pd.DataFrame:
        columns = sorted({str(m.column) for m in self._metrics if m.dataset == "ITEMS"})
        for dataset in self._context.store.list("dataset", parent_arn=group_arn) if columns else ():
            if dataset.body["datasetType"] == "ITEMS":
                rows = DatasetRows(self._context, dataset)
                if not rows.is_empty:
                    return rows.read(["ITEM_ID", *columns]).to_pandas().set_index("ITEM_ID")
        return pd.DataFrame(columns=columns)


def _imported_rows(path: Path, summed: Sequence[str | None]) -> Iterator[pd.DataFrame]:
    wanted = {"ITEM_ID", "TIMESTAMP", "EVENT_TYPE", _SOURCE, _RECOMMENDATION, *summed}
    with pq.ParquetFile(path) as file:
        columns = [name for name in file.schema_arrow.names if name in wanted]
        for batch in file.iter_batches(columns=columns):
            yield batch.to_pandas()


def _live_rows(
    context: ServiceContext, dataset: Resource, since: float, until: float
) -> Iterator[pd.DataFrame]:
    """Yield the events that were put between two times, anonymous ones too."""
    schema = DatasetRows(context, dataset).schema
    for batch in context.events.batches(dataset.arn, known_only=False):
        arrived = batch["RECEIVED_AT"].to_numpy()
        chosen = batch.filter(pa.array((arrived > since) & (arrived <= until)))
        events = event_table(schema, chosen).to_pandas()
        events[[_SOURCE, "RECOMMENDED_BY"]] = chosen.select([_SOURCE, "RECOMMENDED_BY"]).to_pandas()
        yield events


def _with_few_sources(totals: Totals) -> Totals:
    """Return what is counted of the sources that have most rows of the report, 100 at most."""
    rows = Counter(source for _, source, _ in totals)
    kept = {source for source, _ in rows.most_common(MAX_SOURCES)}
    if len(rows) > len(kept):
        logger.warning("%s attribution sources; %s are reported", len(rows), MAX_SOURCES)
    return Counter({key: value for key, value in totals.items() if key[1] in kept})


def _to_csv(totals: Totals) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for (metric, source, window), value in sorted(totals.items(), key=lambda each: repr(each[0])):
        function = "samplecount" if metric.column is None else "sum"
        writer.writerow([metric.name, metric.event_type, value, function, source, window])
    return text.getvalue()
