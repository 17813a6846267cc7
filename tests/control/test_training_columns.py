"""What of the datasets trains: columns by schema, completeness and choice; events by weight."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from personalens.control.work.training_data import load_training_data, trainable_context
from personalens.datasets.avro_schemas import parse_schema
from personalens.datasets.interactions import Interactions
from personalens.jobs.job_runner import JobFailed
from personalens.recipes import registry
from personalens.service_errors import InvalidInputException
from personalens.settings.event_selection import event_weights, select_interactions
from personalens.storage.model_folders import load_model, version_folder

RECIPE = "arn:aws:personalize:::recipe/"
NULLABLE = {"string": ["string", "null"], "float": ["float", "null"], "long": ["long", "null"]}
ITEM_FIELDS = [
    {"name": "ITEM_ID", "type": "string"},
    {"name": "CREATION_TIMESTAMP", "type": NULLABLE["long"]},
    {"name": "GENRES", "type": NULLABLE["string"], "categorical": True},
    {"name": "DESCRIPTION", "type": NULLABLE["string"], "textual": True},
    {"name": "COLOUR", "type": "string"},
    {"name": "ADULT", "type": "boolean"},
    {"name": "PRICE", "type": "float"},
    {"name": "RATING", "type": NULLABLE["float"]},
]


def record(name, fields):
    namespace = "com.amazonaws.personalize.schema"
    members = {"type": "record", "name": name, "namespace": namespace, "version": "1.0"}
    return json.dumps({**members, "fields": fields})


def film_table(count=40):
    """Films of four genres; dear ones are those with a high number; every fifth has no rating."""
    numbers = np.arange(count)
    return pd.DataFrame(
        {
            "ITEM_ID": [f"film-{number}" for number in numbers],
            "CREATION_TIMESTAMP": [None if n % 2 else 1_500_000_000 + n for n in numbers],
            "GENRES": [f"genre-{n % 4}|film" for n in numbers],
            "DESCRIPTION": [f"A film about the number {n}" for n in numbers],
            "COLOUR": "red",
            "ADULT": "false",
            "PRICE": np.linspace(1.0, 5.0, count),
            "RATING": [None if n % 5 == 0 else 3.5 for n in numbers],
        }
    ).astype({"CREATION_TIMESTAMP": "Int64"})


@pytest.fixture
def import_items(service, films, tmp_path):
    """Return a function that makes a table the content of the group's Items dataset."""
    schema = service.create_schema(name="items", schema=record("Items", ITEM_FIELDS))["schemaArn"]
    dataset = service.create_dataset(
        name="items", schemaArn=schema, datasetGroupArn=films.group, datasetType="Items"
    )["datasetArn"]

    def put(table: pd.DataFrame) -> None:
        path = tmp_path / f"items-{len(table)}.csv"
        table.to_csv(path, index=False)
        job = service.create_dataset_import_job(
            jobName=path.stem, datasetArn=dataset, dataSource={"dataLocation": str(path)}
        )["datasetImportJobArn"]
        described = service.describe_dataset_import_job(datasetImportJobArn=job)
        assert described["datasetImportJob"]["status"] == "ACTIVE", described

    put(film_table())
    return put


def load(service, films, **config):
    return load_training_data(
        service.context, {"datasetGroupArn": films.group, "solutionConfig": config}
    )


def version_of(service, films, recipe, config=None, name="tastes", **members):
    listed = [s["name"] for s in service.list_solutions()["solutions"]]
    arn = f"arn:aws:personalize:us-east-1:123456789012:solution/{name}"
    if name not in listed:
        arn = service.create_solution(
            name=name,
            datasetGroupArn=films.group,
            recipeArn=RECIPE + recipe,
            solutionConfig=config or {},
        )["solutionArn"]
    version = service.create_solution_version(solutionArn=arn, **members)["solutionVersionArn"]
    described = service.describe_solution_version(solutionVersionArn=version)["solutionVersion"]
    assert described["status"] == "ACTIVE", described
    metrics = service.get_solution_metrics(solutionVersionArn=version)["metrics"]
    model = load_model(version_folder(service.home, version))
    return described, metrics, model


# -- columns --------------------------------------------------------------------------------------


def test_the_schema_says_what_a_column_trains_as(service, films, import_items):
    items = load(service, films).items
    assert {name: field.kind for name, field in items.fields.items()} == {
        "CREATION_TIMESTAMP": "numeric",  # half of it is missing, which has a meaning
        "GENRES": "categorical",
        "DESCRIPTION": "text",
        "PRICE": "numeric",
        # COLOUR is a plain string, ADULT a boolean, and RATING is 80 % complete.
    }
    assert len(items) == 40


@pytest.mark.parametrize(
    ("choice", "left"),
    [
        ({"excludedDatasetColumns": {"Items": ["GENRES", "PRICE"]}}, ["DESCRIPTION"]),
        ({"includedDatasetColumns": {"ITEMS": ["PRICE"]}}, ["PRICE"]),
        (
            {"excludedDatasetColumns": {"Interactions": ["DEVICE"]}},
            ["GENRES", "DESCRIPTION", "PRICE"],
        ),
    ],
)
def test_a_solution_chooses_columns_of_every_dataset(service, films, import_items, choice, left):
    data = load(service, films, trainingDataConfig=choice)
    assert [name for name in data.items.fields if name != "CREATION_TIMESTAMP"] == left
    named = choice.get("excludedDatasetColumns", {}).get("Interactions", [])
    assert ("DEVICE" in data.interactions.context) is ("DEVICE" not in named)


def test_a_recipe_is_given_the_tables_that_it_reads(service, films, import_items):
    data = load(service, films)
    assert data.users is None
    assert data.tables(registry.get("aws-hrnn")) == {"items": None, "users": None}
    assert data.tables(registry.get("aws-hrnn-metadata"))["items"] is data.items


def test_context_trains_by_the_same_rules():
    fields = [
        {"name": name, "type": kind, **more}
        for name, kind, more in (
            ("USER_ID", "string", {}),
            ("ITEM_ID", "string", {}),
            ("TIMESTAMP", "long", {}),
            ("DEVICE", NULLABLE["string"], {"categorical": True}),
            ("PLACE", NULLABLE["string"], {"categorical": True}),
            ("NOTE", NULLABLE["string"], {}),
            ("HOUR", "int", {}),
            ("IMPRESSION", NULLABLE["string"], {}),
        )
    ]
    frame = pd.DataFrame({"USER_ID": "u", "ITEM_ID": list("abcdefgh"), "TIMESTAMP": range(8)})
    frame["DEVICE"] = ["tv"] * 7 + [None]  # 87.5 %
    frame["PLACE"] = ["home"] * 6 + [None] * 2  # 75 %
    frame["NOTE"], frame["HOUR"], frame["IMPRESSION"] = "x", 7, None
    schema = parse_schema(record("Interactions", fields))
    kept = trainable_context(schema, Interactions.from_frame(frame))
    assert kept == ["DEVICE", "HOUR", "IMPRESSION"]


# -- events ---------------------------------------------------------------------------------------

EVENTS = Interactions.from_frame(
    pd.DataFrame(
        {
            "USER_ID": "u",
            "ITEM_ID": list("abcd"),
            "TIMESTAMP": range(4),
            "EVENT_TYPE": ["click", "buy", "buy", "like"],
            "EVENT_VALUE": [1.0, 2.0, 9.0, np.nan],
        }
    )
)


def test_events_weigh_by_type_and_value_and_the_heavier_entry_counts():
    parameters = [
        {"eventType": "click", "weight": 0.25},
        {"eventType": "buy", "weight": 0.5},
        {"eventType": "buy", "eventValueThreshold": 5.0, "weight": 1.0},
    ]
    weights = event_weights(EVENTS, parameters)
    np.testing.assert_array_equal(weights, np.array([0.25, 0.5, 1.0, np.nan], np.float32))
    selected = select_interactions(
        EVENTS, None, {"eventsConfig": {"eventParametersList": parameters}}
    )
    assert selected.items.decode(selected.item_codes).tolist() == ["a", "b", "c"]
    assert selected.event_weights.tolist() == [0.25, 0.5, 1.0]


def test_an_entry_without_a_weight_has_one_and_a_threshold_needs_values():
    assert event_weights(EVENTS, [{"eventType": "like"}])[3] == 1.0
    above = event_weights(EVENTS, [{"eventType": "like", "eventValueThreshold": 0.0}])
    assert np.isnan(above).all()


def test_weighted_events_train_v2_and_are_measured(service, films, monkeypatch):
    monkeypatch.setenv("PERSONALENS_TRAINING_MAX_EPOCHS", "1")
    frame = pd.concat([films.frame, films.frame.assign(EVENT_TYPE="like", EVENT_VALUE=None)])
    films.import_again(frame)
    parameters = [{"eventType": "watch", "weight": 1.0}, {"eventType": "click", "weight": 0.1}]
    config = {"eventsConfig": {"eventParametersList": parameters}}
    _, metrics, model = version_of(service, films, "aws-user-personalization-v2", config)
    assert set(model.interactions_.event_types) == {"watch", "click"}, "likes are not listed"
    weighted = metrics["normalized_discounted_cumulative_gain_with_event_weights_at_k"]
    assert 0 < weighted < 1
    assert weighted != metrics["normalized_discounted_cumulative_gain_at_25"]


@pytest.mark.parametrize(
    ("recipe", "config", "message"),
    [
        ("aws-hrnn", {"eventParametersList": [{"eventType": "x"}]}, "aws-hrnn does not take"),
        ("v2", {"eventParametersList": []}, "one entry or more"),
        ("v2", {"eventParametersList": [{"weight": 1.0}]}, "each with an eventType"),
        ("v2", {"eventParametersList": [{"eventType": "x", "weight": 0.0}]}, "above 0"),
    ],
)
def test_what_events_cannot_be_is_refused(service, films, recipe, config, message):
    recipe = "aws-user-personalization-v2" if recipe == "v2" else recipe
    with pytest.raises(InvalidInputException, match=message):
        version_of(service, films, recipe, {"eventsConfig": config})


def test_two_ways_to_choose_events_are_refused(service, films):
    events = {"eventParametersList": [{"eventType": "watch"}]}
    with pytest.raises(InvalidInputException, match="not both"):
        service.create_solution(
            name="t",
            datasetGroupArn=films.group,
            recipeArn=RECIPE + "aws-user-personalization-v2",
            eventType="watch",
            solutionConfig={"eventsConfig": events},
        )


# -- the objective --------------------------------------------------------------------------------


def test_an_objective_lifts_dear_items_and_is_measured(service, films, import_items, monkeypatch):
    monkeypatch.setenv("PERSONALENS_TRAINING_MAX_EPOCHS", "1")
    price = dict(zip(film_table().ITEM_ID, film_table().PRICE, strict=True))
    worth = {}
    for sensitivity in ("OFF", "HIGH"):
        objective = {"itemAttribute": "PRICE", "objectiveSensitivity": sensitivity}
        _, metrics, model = version_of(
            service,
            films,
            "aws-user-personalization",
            {"optimizationObjective": objective},
            name=sensitivity.lower(),
        )
        assert 0 < metrics["average_rewards_at_k"] <= 1
        table = model.recommend(films.frame.USER_ID.unique(), k=5)
        worth[sensitivity] = table.ITEM_ID.map(price).mean()
    assert worth["HIGH"] > worth["OFF"] + 0.5


@pytest.mark.parametrize(
    ("recipe", "attribute", "message"),
    [
        ("aws-hrnn", "PRICE", "aws-hrnn does not take"),
        ("aws-user-personalization", "RATING", "'RATING'; it must be .* cannot be null: PRICE"),
        ("aws-user-personalization", "GENRES", "'GENRES'; it must be a numeric column"),
    ],
)
def test_what_cannot_be_an_objective_is_refused(
    service, films, import_items, recipe, attribute, message
):
    with pytest.raises(InvalidInputException, match=message):
        version_of(service, films, recipe, {"optimizationObjective": {"itemAttribute": attribute}})


def test_an_objective_that_few_items_have_says_how_many_do(service, films, import_items):
    table = film_table(50)
    table.loc[:9, "PRICE"] = None
    import_items(table)
    solution = service.create_solution(
        name="t",
        datasetGroupArn=films.group,
        recipeArn=RECIPE + "aws-user-personalization",
        solutionConfig={"optimizationObjective": {"itemAttribute": "PRICE"}},
    )["solutionArn"]
    version = service.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    described = service.describe_solution_version(solutionVersionArn=version)["solutionVersion"]
    assert "PRICE: it has a value for 80 % of the items" in described["failureReason"]
    assert "needs one for 85 % of them" in described["failureReason"]


# -- updates --------------------------------------------------------------------------------------


def test_an_update_knows_new_items_and_keeps_the_figures(service, films, import_items, monkeypatch):
    monkeypatch.setenv("PERSONALENS_TRAINING_MAX_EPOCHS", "1")
    _, figures, trained = version_of(service, films, "aws-user-personalization")
    import_items(film_table(41))
    described, metrics, model = version_of(
        service, films, "aws-user-personalization", trainingMode="UPDATE"
    )
    assert described["trainingMode"] == "UPDATE"
    assert "film-40" in model.items_
    assert "film-40" not in trained.items_
    assert metrics == figures


def test_an_update_needs_a_trained_version(service, films, import_items):
    arn = service.create_solution(
        name="t", datasetGroupArn=films.group, recipeArn=RECIPE + "aws-user-personalization"
    )["solutionArn"]
    with pytest.raises(InvalidInputException, match="none that is ACTIVE"):
        service.create_solution_version(solutionArn=arn, trainingMode="UPDATE")


# -- actions --------------------------------------------------------------------------------------


def test_a_recipe_of_actions_learns_from_actions(service, films, tmp_path):
    data = {
        "Actions": (
            pd.DataFrame({"ACTION_ID": ["join", "renew", "gift"], "VALUE": [1, 5, 9]}),
            [{"name": "ACTION_ID", "type": "string"}, {"name": "VALUE", "type": "long"}],
        ),
        "Action_Interactions": (
            pd.DataFrame(
                {
                    "USER_ID": [f"viewer-{n % 60}" for n in range(1000)],
                    "ACTION_ID": ["join" if n % 3 else "renew" for n in range(1000)],
                    "EVENT_TYPE": "Taken",
                    "TIMESTAMP": range(1_600_000_000, 1_600_001_000),
                }
            ),
            [
                {"name": name, "type": "long" if name == "TIMESTAMP" else "string"}
                for name in ("USER_ID", "ACTION_ID", "EVENT_TYPE", "TIMESTAMP")
            ],
        ),
    }
    version = {"datasetGroupArn": films.group, "solutionConfig": {}}
    with pytest.raises(JobFailed, match="nto the Actions dataset"):
        load_training_data(service.context, version, of_actions=True)
    for name, (table, fields) in data.items():
        text = record(name.replace("_", ""), fields)
        dataset = service.create_dataset(
            name=name,
            schemaArn=service.create_schema(name=name, schema=text)["schemaArn"],
            datasetGroupArn=films.group,
            datasetType=name,
        )["datasetArn"]
        path = tmp_path / f"{name}.csv"
        table.to_csv(path, index=False)
        service.create_dataset_import_job(
            jobName=name, datasetArn=dataset, dataSource={"dataLocation": str(path)}
        )
    found = load_training_data(service.context, version, of_actions=True)
    assert found.interactions.items.ids.tolist() == ["join", "renew"]
    assert len(found.interactions) == 1000
    assert found.items.fields["VALUE"].values.tolist() == [1, 5, 9]
    assert found.catalogue_size == 3
