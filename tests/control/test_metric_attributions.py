"""Metric attributions: what may be counted, and the reports that imports write."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from personalens.service_errors import InvalidInputException, ResourceAlreadyExistsException
from personalens.storage.event_log import Event
from tests.conftest import INTERACTIONS_SCHEMA

ROLE = "arn:aws:iam::123456789012:role/personalize"
ARN = "arn:aws:personalize:us-east-1:123456789012:metric-attribution/impact"
WATCHES = {"eventType": "watch", "metricName": "watches", "expression": "SAMPLECOUNT()"}
VALUE = {"eventType": "watch", "metricName": "value", "expression": "SUM(Interactions.EVENT_VALUE)"}
PRICE = {"eventType": "click", "metricName": "price", "expression": "SUM(Items.PRICE)"}
HEADER = "METRIC_NAME,EVENT_TYPE,VALUE,MATH_FUNCTION,EVENT_ATTRIBUTION_SOURCE,TIMESTAMP"


class Shop:
    """A group with prices of items, and events that say where they came from."""

    def __init__(self, service, folder):
        self._service, self._folder = service, folder
        self.out = folder / "reports"
        self.group = service.create_dataset_group(name="shop")["datasetGroupArn"]
        fields = INTERACTIONS_SCHEMA["fields"] + [
            {"name": name, "type": ["string", "null"]}
            for name in ("EVENT_ATTRIBUTION_SOURCE", "RECOMMENDATION_ID")
        ]
        self.events = self.add("Interactions", fields)
        items = self.add(
            "Items",
            [{"name": "ITEM_ID", "type": "string"}, {"name": "PRICE", "type": ["null", "float"]}],
        )
        self.load(items, "prices", pd.DataFrame({"ITEM_ID": ["i1", "i2"], "PRICE": [2.5, None]}))

    def add(self, kind, fields):
        schema = json.dumps({**INTERACTIONS_SCHEMA, "name": kind, "fields": fields})
        arn = self._service.create_schema(name=f"shop-{kind}", schema=schema)["schemaArn"]
        return self._service.create_dataset(
            name=kind, schemaArn=arn, datasetGroupArn=self.group, datasetType=kind
        )["datasetArn"]

    def load(self, dataset, name, frame, **options):
        path = self._folder / f"{name}.csv"
        frame.to_csv(path, index=False)
        job = self._service.create_dataset_import_job(
            jobName=name, datasetArn=dataset, dataSource={"dataLocation": str(path)}, **options
        )["datasetImportJobArn"]
        return self._service.describe_dataset_import_job(datasetImportJobArn=job)[
            "datasetImportJob"
        ]

    def attribute(self, *metrics, name="impact", out=None):
        config = {"roleArn": ROLE, "s3DataDestination": {"path": str(out or self.out) + "/"}}
        return self._service.create_metric_attribution(
            name=name, datasetGroupArn=self.group, metrics=list(metrics), metricsOutputConfig=config
        )["metricAttributionArn"]

    def report(self, name, *rows):
        """Import these rows, among many that no metric counts, and return the report of each
        method as lines."""
        columns = ("EVENT_TYPE", "TIMESTAMP", "EVENT_VALUE", "EVENT_ATTRIBUTION_SOURCE")
        asked = [
            {"USER_ID": "u", "ITEM_ID": f"i{1 + n % 2}", **dict(zip(columns, row, strict=False))}
            for n, row in enumerate(rows)
        ]
        rest = [
            {"USER_ID": f"v{n % 50}", "ITEM_ID": "i1", "TIMESTAMP": n, "EVENT_TYPE": "other"}
            for n in range(1000)
        ]
        frame = pd.DataFrame([*asked, *rest], columns=["USER_ID", "ITEM_ID", "DEVICE", *columns])
        frame["RECOMMENDATION_ID"] = [*self.recommendations, *[None] * len(frame)][: len(frame)]
        before = set(self.out.iterdir()) if self.out.exists() else set()
        job = self.load(self.events, name, frame, publishAttributionMetricsToS3=True)
        assert job["status"] == "ACTIVE", job
        written = sorted(set(self.out.iterdir()) - before)
        return {path.name.split(" - ")[1]: path.read_text().splitlines() for path in written}

    recommendations = ()
    """Of the first rows that a report is asked for."""


@pytest.fixture
def shop(service, tmp_path):
    return Shop(service, tmp_path)


def names(service, arn=ARN, **page):
    answer = service.list_metric_attribution_metrics(metricAttributionArn=arn, **page)
    return [metric["metricName"] for metric in answer["metrics"]]


def test_it_is_active_and_described(service, shop):
    assert shop.attribute(WATCHES, VALUE, PRICE) == ARN
    found = service.describe_metric_attribution(metricAttributionArn=ARN)["metricAttribution"]
    assert found.pop("creationDateTime") == found.pop("lastUpdatedDateTime")
    assert found == {
        "name": "impact",
        "metricAttributionArn": ARN,
        "datasetGroupArn": shop.group,
        "metricsOutputConfig": {"roleArn": ROLE, "s3DataDestination": {"path": f"{shop.out}/"}},
        "status": "ACTIVE",
    }
    [summary] = service.list_metric_attributions(datasetGroupArn=shop.group)["metricAttributions"]
    assert (summary["metricAttributionArn"], summary["status"]) == (ARN, "ACTIVE")


def test_metrics_are_listed_in_pages(service, shop):
    shop.attribute(WATCHES, VALUE, PRICE)
    answer = service.list_metric_attribution_metrics(metricAttributionArn=ARN, maxResults=2)
    assert answer["metrics"] == [WATCHES, VALUE]
    assert names(service, maxResults=2, nextToken=answer["nextToken"]) == ["price"]
    assert service.list_metric_attribution_metrics()["metrics"] == [WATCHES, VALUE, PRICE]
    assert names(service, ARN + "-none") == []


@pytest.mark.usefixtures("quick_deletions")
def test_a_group_has_one(service, shop):
    shop.attribute(WATCHES)
    with pytest.raises(ResourceAlreadyExistsException, match="has one metric attribution"):
        shop.attribute(WATCHES, name="another")
    service.delete_metric_attribution(metricAttributionArn=ARN)
    shop.attribute(WATCHES, name="another")


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("AVG(Items.PRICE)", "cannot be read"),
        ("SUM(Users.AGE)", "cannot be read"),
        ("SUM(Items.WEIGHT)", "names no numeric column; ITEMS has PRICE"),
        ("SUM(Interactions.DEVICE)", "no numeric column; INTERACTIONS has TIMESTAMP, EVENT_V"),
    ],
)
def test_expressions_are_checked(service, shop, expression, reason):
    with pytest.raises(InvalidInputException) as caught:
        shop.attribute({**WATCHES, "expression": expression})
    assert reason in str(caught.value)
    assert service.list_metric_attributions()["metricAttributions"] == []


def test_what_else_does_not_fit_is_refused(service, shop):
    with pytest.raises(InvalidInputException, match="'watches' is given twice"):
        shop.attribute(WATCHES, {**VALUE, "metricName": "watches"})
    with pytest.raises(InvalidInputException, match="inside the home"):
        shop.attribute(WATCHES, out=service.home.path / "reports")
    empty = service.create_dataset_group(name="empty")["datasetGroupArn"]
    with pytest.raises(InvalidInputException, match="Interactions dataset with EVENT_TYPE"):
        service.create_metric_attribution(
            name="a",
            datasetGroupArn=empty,
            metrics=[WATCHES],
            metricsOutputConfig={"roleArn": ROLE},
        )


def test_metrics_come_and_go(service, shop):
    shop.attribute(WATCHES, VALUE)
    service.update_metric_attribution(
        metricAttributionArn=ARN, addMetrics=[PRICE], removeMetrics=["watches"]
    )
    assert names(service) == ["value", "price"]
    with pytest.raises(ResourceAlreadyExistsException, match="has the name value"):
        service.update_metric_attribution(metricAttributionArn=ARN, addMetrics=[VALUE])
    with pytest.raises(InvalidInputException, match="the metrics are value, price"):
        service.update_metric_attribution(metricAttributionArn=ARN, removeMetrics=["watches"])
    many = [{**WATCHES, "metricName": f"m{n}"} for n in range(9)]
    with pytest.raises(InvalidInputException, match="these are 11"):
        service.update_metric_attribution(metricAttributionArn=ARN, addMetrics=many)
    with pytest.raises(InvalidInputException, match="metricAttributionArn"):
        service.update_metric_attribution(addMetrics=[WATCHES])
    assert names(service) == ["value", "price"]
    config = {"roleArn": ROLE}
    service.update_metric_attribution(metricAttributionArn=ARN, metricsOutputConfig=config)
    found = service.describe_metric_attribution(metricAttributionArn=ARN)["metricAttribution"]
    assert found["metricsOutputConfig"] == config


# -- reports --------------------------------------------------------------------------------------


def test_an_import_reports_its_rows_by_source_and_quarter_of_an_hour(shop):
    shop.attribute(WATCHES, VALUE, PRICE)
    reports = shop.report(
        "events",
        ("watch", 1800, 3.0, "mail"),  # of i1
        ("watch", 2699, 4.5, "mail"),
        ("watch", 2700, 1.0, "mail"),
        ("watch", 1800, None, None),
        ("click", 1801, None, "mail"),  # of i1, whose price is 2.5
        ("click", 1802, None, "mail"),  # of i2, whose price is not known
    )
    assert reports == {
        "BULK": [
            HEADER,
            "price,click,2.5,sum,mail,1800",
            "value,watch,0.0,sum,SOURCE_NAME_UNDEFINED,1800",
            "value,watch,7.5,sum,mail,1800",
            "value,watch,1.0,sum,mail,2700",
            "watches,watch,1.0,samplecount,SOURCE_NAME_UNDEFINED,1800",
            "watches,watch,2.0,samplecount,mail,1800",
            "watches,watch,1.0,samplecount,mail,2700",
        ]
    }


def test_without_a_source_the_recommendation_tells(service, shop):
    campaign = "arn:aws:personalize:us-east-1:123456789012:campaign/films"
    known_as = service.context.recommendations.remember(campaign, ["i1"])
    shop.attribute(WATCHES)
    shop.recommendations = (known_as, known_as, "RID-2")
    reports = shop.report(
        "events", ("watch", 900, 1.0, "mail"), ("watch", 901, 1.0), ("watch", 902, 1.0)
    )
    assert reports["BULK"][1:] == [
        "watches,watch,1.0,samplecount,SOURCE_NAME_UNDEFINED,900",
        f"watches,watch,1.0,samplecount,{campaign},900",
        "watches,watch,1.0,samplecount,mail,900",
    ]


def test_live_events_are_reported_once_and_from_the_attribution_on(service, shop):
    def watch(second, **origin):
        event = Event("i1", second, "watch", 2.0, **origin)
        service.context.events.append(shop.events, "session", None, [event])

    watch(900)
    shop.attribute(WATCHES)
    watch(901, attribution_source="mail")
    watch(902, recommended_by="arn:x")
    assert shop.report("first")["PUT"] == [
        HEADER,
        "watches,watch,1.0,samplecount,arn:x,900",
        "watches,watch,1.0,samplecount,mail,900",
    ]
    assert set(shop.report("second")) == {"BULK"}
    watch(1800)
    assert shop.report("third")["PUT"][1:] == [
        "watches,watch,1.0,samplecount,SOURCE_NAME_UNDEFINED,1800"
    ]


def test_a_report_needs_somewhere_to_go(service, shop):
    frame = pd.DataFrame({"ITEM_ID": ["i1"], "PRICE": [1.0]})
    with pytest.raises(InvalidInputException, match="s3DataDestination"):
        shop.load(shop.events, "events", frame, publishAttributionMetricsToS3=True)
    assert len(service.list_dataset_import_jobs(datasetArn=shop.events)["datasetImportJobs"]) == 0


def test_an_import_whose_report_cannot_be_written_fails(service, shop, tmp_path):
    (tmp_path / "reports").write_text("a file where the folder should be")
    shop.attribute(WATCHES)
    frame = pd.DataFrame(
        {
            "USER_ID": "u",
            "ITEM_ID": "i1",
            "TIMESTAMP": range(1000),
            "EVENT_TYPE": "watch",
            "EVENT_VALUE": 1.0,
            "DEVICE": None,
            "EVENT_ATTRIBUTION_SOURCE": None,
            "RECOMMENDATION_ID": None,
        }
    )
    job = shop.load(shop.events, "events", frame, publishAttributionMetricsToS3=True)
    assert job["status"] == "CREATE FAILED"
    assert "The data location provided is invalid" in job["failureReason"]
    from personalens.storage.dataset_rows import rows_of_group

    assert set(rows_of_group(service.context, shop.group)) == {"ITEMS"}
