"""Fixtures that several parts share: the services answered inside the test, and a small world."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from personalens.aws.operation_router import OperationRouter
from personalens.aws.service_models import SERVICES, operations
from personalens.home import Home
from personalens.jobs.opening import open_home
from personalens.recipes import registry
from personalens.storage import resource_store
from personalens.storage.job_queue import JobQueue
from personalens.storage.resource_store import ResourceStore
from personalens.storage.service_context import ServiceContext
from tests.dataset_tables import import_table, schema_of

if TYPE_CHECKING:
    from tests.contract.account import Account

INTERACTIONS_SCHEMA = schema_of(
    "Interactions",
    [
        {"name": "USER_ID", "type": "string"},
        {"name": "ITEM_ID", "type": "string"},
        {"name": "TIMESTAMP", "type": "long"},
        {"name": "EVENT_TYPE", "type": "string"},
        {"name": "EVENT_VALUE", "type": ["float", "null"]},
        {"name": "DEVICE", "type": ["string", "null"], "categorical": True},
    ],
)
SMALL_FIELDS = {
    "Interactions": [
        {"name": "USER_ID", "type": "string"},
        {"name": "ITEM_ID", "type": "string"},
        {"name": "TIMESTAMP", "type": "long"},
    ],
    "Items": [
        {"name": "ITEM_ID", "type": "string"},
        {"name": "GENRES", "type": ["null", "string"], "categorical": True},
    ],
    "Users": [{"name": "USER_ID", "type": "string"}, {"name": "AGE", "type": ["null", "int"]}],
}
USERS, EVENTS_EACH, ITEMS = 60, 25, 40


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the labs, which take longest: with several workers nobody waits for them."""
    items.sort(key=lambda item: "test_lab_runs" not in item.nodeid)


class Service:
    """The three services on one home, with jobs done inside the call.

    A method call is an operation, spelled as boto3 spells it. Every answer is held against the
    operation's output shape: no member that the model does not know, none of the wrong type.
    """

    def __init__(self, home: Home):
        self.home = home
        self._operations = {o.method: o for s in SERVICES for o in operations(s).values()}
        self.use(open_home(home, inline_jobs=True))

    def use(self, context: ServiceContext) -> None:
        """Answer from this context from now on."""
        self.context = context
        self._router = OperationRouter(self.home, open_context=lambda home, region: context)

    def __getattr__(self, method):
        operation = self._operations[method]

        def call(**params):
            answer = self._router.call(operation.service, operation.name, params)
            if operation.model.output_shape is not None:
                check_shape(answer, operation.model.output_shape, operation.name)
            return answer

        return call


def check_shape(value, shape, path):
    """Fail unless a value is what a botocore shape says."""
    if shape.type_name == "structure":
        assert set(value) <= set(shape.members), f"{path} has unknown members"
        assert set(shape.required_members) <= set(value), f"{path} lacks members"
        for name, member in value.items():
            check_shape(member, shape.members[name], f"{path}.{name}")
    elif shape.type_name == "list":
        for position, member in enumerate(value):
            check_shape(member, shape.member, f"{path}[{position}]")
    elif shape.type_name == "map":
        for key, member in value.items():
            check_shape(key, shape.key, f"{path} key")
            check_shape(member, shape.value, f"{path}[{key}]")
    else:
        types = {"string": str, "boolean": bool, "integer": int}.get(shape.type_name, (int, float))
        assert isinstance(value, types), f"{path} is {value!r}, not a {shape.type_name}"
        allowed = getattr(shape, "enum", None)
        assert not allowed or value in allowed, f"{path} is {value!r}, not in {allowed}"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def store(home: Home) -> ResourceStore:
    return ResourceStore(home)


@pytest.fixture
def context(home: Home) -> ServiceContext:
    """A service whose jobs run inside the call."""
    return open_home(home, inline_jobs=True)


@pytest.fixture
def avro() -> Callable[[str], str]:
    """Return a function that gives the schema text of a dataset type."""

    def text(dataset_type: str) -> str:
        return json.dumps(schema_of(dataset_type, SMALL_FIELDS[dataset_type]))

    return text


@pytest.fixture
def make_dataset(service, avro) -> Callable[..., str]:
    """Return a function that makes a dataset of a type, with schema and group, and its ARN."""

    def make(dataset_type: str = "Interactions", group: str = "films") -> str:
        name = f"{group}-{dataset_type.lower()}"
        groups = service.list_dataset_groups()["datasetGroups"]
        arns = {each["name"]: each["datasetGroupArn"] for each in groups}
        if group not in arns:
            arns[group] = service.create_dataset_group(name=group)["datasetGroupArn"]
        return service.create_dataset(
            name=name,
            schemaArn=service.create_schema(name=name, schema=avro(dataset_type))["schemaArn"],
            datasetGroupArn=arns[group],
            datasetType=dataset_type,
        )["datasetArn"]

    return make


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(Home(tmp_path / "home"))


def small_world(seed: int = 7) -> pd.DataFrame:
    """60 viewers with 25 events each, 40 films in four genres; a viewer keeps to two genres.

    Every second event is a "watch" with a value of 1 to 5, the others are "click" without one.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(USERS):
        genres = rng.permutation(4)[:2]
        for event in range(EVENTS_EACH):
            item = int(rng.choice(genres)) + 4 * int(rng.integers(ITEMS // 4))
            watched = event % 2 == 0
            rows.append(
                {
                    "USER_ID": f"viewer-{user}",
                    "ITEM_ID": f"film-{item}",
                    "TIMESTAMP": 1_600_000_000 + 86_400 * user + 600 * event,
                    "EVENT_TYPE": "watch" if watched else "click",
                    "EVENT_VALUE": float(1 + event % 5) if watched else None,
                    "DEVICE": "phone" if event % 3 else "tv",
                }
            )
    return pd.DataFrame(rows)


class Films:
    """A dataset group with one Interactions dataset, and what was imported into it."""

    def __init__(self, service: Service, folder: Path, frame: pd.DataFrame):
        self._service, self._folder, self._imports = service, folder, 0
        schema = json.dumps(INTERACTIONS_SCHEMA)
        self.schema = service.create_schema(name="films", schema=schema)["schemaArn"]
        self.group = service.create_dataset_group(name="films")["datasetGroupArn"]
        self.dataset = service.create_dataset(
            name="films",
            schemaArn=self.schema,
            datasetGroupArn=self.group,
            datasetType="Interactions",
        )["datasetArn"]
        self.import_again(frame)

    def import_again(self, frame: pd.DataFrame) -> None:
        """Replace the dataset by another table."""
        self._imports += 1
        self.frame = frame
        path = self._folder / f"films-{self._imports}.csv"
        frame.to_csv(path, index=False)
        job = self._service.create_dataset_import_job(
            jobName=path.stem,
            datasetArn=self.dataset,
            dataSource={"dataLocation": str(path)},
            roleArn="arn:aws:iam::123456789012:role/personalize",
        )["datasetImportJobArn"]
        described = self._service.describe_dataset_import_job(datasetImportJobArn=job)
        assert described["datasetImportJob"]["status"] == "ACTIVE", described

    def seen_by(self, user: str) -> pd.Series:
        """Return how often a user had each item, most first."""
        return self.frame.loc[self.frame["USER_ID"] == user, "ITEM_ID"].value_counts()


@pytest.fixture
def world() -> pd.DataFrame:
    """The small world as a table."""
    return small_world()


@pytest.fixture
def films(service: Service, tmp_path: Path, world: pd.DataFrame) -> Films:
    """The small world, imported into the dataset group "films"."""
    return Films(service, tmp_path, world)


@pytest.fixture
def described_films(service: Service, films: Films, tmp_path: Path) -> Films:
    """The films with a table of items: a title, a genre and a plot."""
    fields = [
        {"name": "ITEM_ID", "type": "string"},
        {"name": "TITLE", "type": "string", "itemName": True},
        {"name": "GENRE", "type": "string", "categorical": True},
        {"name": "PLOT", "type": ["null", "string"], "textual": True},
    ]
    genres = ["noir", "space", "heist", "western"]
    rows = [
        (f"film-{n}", f"Film {n}", genres[n % 4], f"A story of the {genres[n % 4]} kind")
        for n in range(44)
    ]
    frame = pd.DataFrame(rows, columns=[field["name"] for field in fields])
    import_table(service, films.group, tmp_path, "Items", fields, frame)
    return films


@pytest.fixture
def train(service: Service, films: Films) -> Callable[..., str]:
    """Return a function that trains a recipe on the films: the solution version's ARN."""

    def train(recipe: str = "aws-popularity-count", name: str | None = None, **solution) -> str:
        arn = service.create_solution(
            name=name or recipe,
            datasetGroupArn=films.group,
            recipeArn=f"arn:aws:personalize:::recipe/{recipe}",
            **solution,
        )["solutionArn"]
        return service.create_solution_version(solutionArn=arn)["solutionVersionArn"]

    return train


@pytest.fixture
def deploy(service: Service, train: Callable[..., str]) -> Callable[..., str]:
    """Return a function that trains a recipe and puts a campaign in front: its ARN."""

    def deploy(recipe: str, name: str | None = None, **solution) -> str:
        version = train(recipe, name, **solution)
        return service.create_campaign(name=name or recipe, solutionVersionArn=version)[
            "campaignArn"
        ]

    return deploy


@pytest.fixture
def taste_recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts the recipes of ``taste_recipes`` into the catalogue."""
    from tests.taste_recipes import ENTRIES

    for name, entry in ENTRIES.items():
        monkeypatch.setitem(registry.RECIPES, name, entry)


@pytest.fixture
def waiting(service: Service) -> ServiceContext:
    """Makes jobs wait until ``run_jobs(waiting)``."""
    patient = JobQueue(service.home, ResourceStore(service.home))
    context = replace(service.context, jobs=patient)
    service.use(context)
    return context


@pytest.fixture
def quick_deletions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends deletions at once, for a test that looks at what there is afterwards."""
    monkeypatch.setattr(resource_store, "DELETION_SECONDS", 0.0)


@pytest.fixture(scope="session")
def built_account(tmp_path_factory: pytest.TempPathFactory) -> Account:
    """An account with one resource of every kind, built once; change nothing of it."""
    from tests.contract.account import Account

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERSONALENS_TRAINING_MAX_EPOCHS", "1")
        return Account.build(tmp_path_factory.mktemp("account"))


@pytest.fixture
def account(built_account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    """A copy of that account for one test, which may do to it what it likes."""
    monkeypatch.setenv("PERSONALENS_TRAINING_MAX_EPOCHS", "1")
    return built_account.copy(tmp_path / "account")
