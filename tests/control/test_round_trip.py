"""What was put and exported is imported and exported again: the same bytes."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from personalens.storage.dataset_rows import DatasetRows

ROLE = "arn:aws:iam::123456789012:role/personalize"
SETTINGS = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
WORDS = st.text(
    st.one_of(
        st.sampled_from("\",\\\n\r\t |<>'#=\0\u2028\u0085\ufeff\u00a0é映😀"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=30,
)
TEXTS = st.one_of(
    WORDS,
    st.sampled_from(
        ["", " ", "null", "NULL", "None", "nan", "true", "0x1F", "1e5", '"', "\\", "\r"]
    ),
    # Two of these, escaped, are within the 32,000 characters of a record's properties.
    st.builds(str.__mul__, st.sampled_from(["long ", '"', "a\n", "映"]), st.integers(200, 2000)),
)
IDS = WORDS.filter(lambda text: 0 < len(text) <= 256)
FIELDS = {
    "name": (["null", "string"], {}, TEXTS),
    "genres": (["null", "string"], {"categorical": True}, WORDS),
    "plot": (["null", "string"], {"textual": True}, TEXTS),
    "year": (["null", "int"], {}, st.integers(-(2**31), 2**31 - 1)),
    "size": (["null", "long"], {}, st.integers(-(2**63), 2**63 - 1)),
    "price": (["null", "float"], {}, st.floats(width=32, allow_nan=False, allow_infinity=False)),
    "weight": (["null", "double"], {}, st.floats(allow_nan=False, allow_infinity=False)),
    "isNew": (["null", "boolean"], {}, st.booleans()),
}
COLUMNS = {"isNew": "IS_NEW", **{name: name.upper() for name in FIELDS if name != "isNew"}}
PROPERTIES = st.fixed_dictionaries(
    {}, optional={name: st.one_of(st.none(), kind) for name, (_, _, kind) in FIELDS.items()}
)
_numbers = itertools.count()


def schema(kind, names, *fields):
    fields = [{"name": name, "type": "string"} for name in names] + [
        {"name": COLUMNS[name], "type": FIELDS[name][0], **FIELDS[name][1]} for name in fields
    ]
    if kind == "Interactions":
        fields.append({"name": "TIMESTAMP", "type": "long"})
        fields.append({"name": "EVENT_VALUE", "type": ["null", "float"]})
        fields.append({"name": "IMPRESSION", "type": ["null", "string"], "categorical": True})
    namespace = "com.amazonaws.personalize.schema"
    record = {"type": "record", "name": kind, "namespace": namespace, "fields": fields}
    return json.dumps(record | {"version": "1.0"})


@pytest.fixture
def make(service):
    """Return a function that makes a dataset in a group of its own: its ARN and the group's."""

    def make(kind, avro):
        name = f"round-{next(_numbers)}"
        arn = service.create_schema(name=name, schema=avro)["schemaArn"]
        group = service.create_dataset_group(name=name)["datasetGroupArn"]
        made = service.create_dataset(
            name=name, schemaArn=arn, datasetGroupArn=group, datasetType=kind
        )
        return made["datasetArn"], group

    return make


@pytest.fixture
def export(service, tmp_path):
    """Return a function that exports a dataset whole: the path of the file."""

    def export(dataset):
        name = f"export-{next(_numbers)}"
        service.create_dataset_export_job(
            jobName=name,
            datasetArn=dataset,
            roleArn=ROLE,
            ingestionMode="ALL",
            jobOutput={"s3DataDestination": {"path": f"{tmp_path}/out/"}},
        )
        return tmp_path / "out" / f"{name}.csv"

    return export


@pytest.fixture
def comes_back(service, make, export):
    """Return a function that holds the round trip of a dataset: the bytes and the rows."""

    def comes_back(kind, avro, dataset):
        first = export(dataset)
        again, _ = make(kind, avro)
        job = service.create_dataset_import_job(
            jobName=f"import-{next(_numbers)}",
            datasetArn=again,
            dataSource={"dataLocation": str(first)},
            roleArn=ROLE,
        )["datasetImportJobArn"]
        described = service.describe_dataset_import_job(datasetImportJobArn=job)
        assert described["datasetImportJob"]["status"] == "ACTIVE", described
        assert export(again).read_bytes() == first.read_bytes()
        rows = [
            DatasetRows(service.context, service.context.store.require(arn)).read()
            for arn in (dataset, again)
        ]
        assert rows[0].select(rows[1].column_names).to_pylist() == rows[1].to_pylist()

    return comes_back


@SETTINGS
@given(records=st.lists(st.tuples(IDS, PROPERTIES), min_size=1, max_size=8))
@pytest.mark.parametrize("kind", ["Items", "Users"])
def test_items_and_users(make, service, comes_back, kind, records):
    fields = [name for name in FIELDS if kind == "Items" or name != "plot"]
    member = kind.lower().removesuffix("s")
    avro = schema(kind, [f"{member.upper()}_ID"], *fields)
    dataset, _ = make(kind, avro)
    put = [
        {
            f"{member}Id": id,
            "properties": json.dumps({n: v for n, v in found.items() if n in fields}),
        }
        for id, found in records
    ]
    getattr(service, f"put_{kind.lower()}")(datasetArn=dataset, **{kind.lower(): put})
    comes_back(kind, avro, dataset)


EVENTS = st.fixed_dictionaries(
    {
        "eventType": IDS,
        "itemId": IDS,
        "sentAt": st.integers(0, 99_999_999_999),
        "properties": st.fixed_dictionaries(
            {}, optional={"genres": WORDS, "price": FIELDS["price"][2], "isNew": st.booleans()}
        ).map(json.dumps),
    },
    optional={
        "eventValue": st.floats(-1e38, 1e38),
        "impression": st.lists(IDS, min_size=1, max_size=25),
    },
)


@settings(SETTINGS, max_examples=8)
@given(events=st.lists(EVENTS, min_size=1, max_size=10), user=IDS)
def test_events(make, service, comes_back, events, user):
    avro = schema("Interactions", ["USER_ID", "ITEM_ID", "EVENT_TYPE"], "genres", "price", "isNew")
    dataset, group = make("Interactions", avro)
    tracker = service.create_event_tracker(name=f"t-{next(_numbers)}", datasetGroupArn=group)
    # An import takes 1,000 events or more.
    more = [
        {"eventType": "Watch", "itemId": f"i{n}", "sentAt": n, "properties": "{}"}
        for n in range(1000)
    ]
    for events_at_once in (events, *(more[n : n + 10] for n in range(0, 1000, 10))):
        service.put_events(
            trackingId=tracker["trackingId"], sessionId="s", userId=user, eventList=events_at_once
        )
    comes_back("Interactions", avro, dataset)
