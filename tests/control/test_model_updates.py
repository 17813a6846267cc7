"""Automatic updates: new items reach what serves, by a clock of the test's own."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest

from personalens import durable_files
from personalens.cli.home_examination import examine_home
from personalens.control.work import train
from personalens.jobs.job_runner import JobFailed, run_jobs
from personalens.storage.job_queue import JobQueue
from personalens.storage.model_folders import load_model, serving_folder
from personalens.storage.resource_store import ResourceStore
from tests.control.test_recommenders import Cinema
from tests.dataset_tables import import_rows, import_table, schema_of
from tests.runtime.test_action_recommendations import import_kind

RECIPE = "arn:aws:personalize:::recipe/"
ITEMS = "arn:aws:personalize:us-east-1:123456789012:dataset/films/ITEMS"
HOUR = 3600.0
NEW = "film-new"


@pytest.fixture(autouse=True)
def _short_trainings(monkeypatch):
    monkeypatch.setenv("PERSONALENS_TRAINING_MAX_EPOCHS", "1")


@pytest.fixture
def put_film(service):
    def put(item=NEW, dataset=ITEMS, genre="noir"):
        told = {"title": "A new one", "genre": genre, "plot": f"A story of the {genre} kind"}
        service.put_items(
            datasetArn=dataset, items=[{"itemId": item, "properties": json.dumps(told)}]
        )

    return put


def is_in_order(home):
    """Whether ``personalens doctor --deep`` finds nothing."""
    return not any(finding.remedy for finding in examine_home(home))


class Served:
    """A campaign, and what it knows."""

    def __init__(self, service, films, recipe, **solution):
        self._service, self.recipe = service, recipe
        self.solution = service.create_solution(
            name="s", datasetGroupArn=films.group, recipeArn=RECIPE + recipe, **solution
        )["solutionArn"]
        self.version = self.train()
        config = {}
        if recipe == "aws-user-personalization":  # the same list every time
            config = {"itemExplorationConfig": {"explorationWeight": "0"}}
        self.campaign = service.create_campaign(
            name="c", solutionVersionArn=self.version, campaignConfig=config
        )["campaignArn"]

    def train(self, mode="FULL"):
        return self._service.create_solution_version(solutionArn=self.solution, trainingMode=mode)[
            "solutionVersionArn"
        ]

    def asked(self, **request):
        """Return what is listed, everything there is, to whoever looks at the campaign first."""
        self._service.describe_campaign(campaignArn=self.campaign)
        request = request or {"userId": "viewer-1"}
        answer = self._service.get_recommendations(
            campaignArn=self.campaign, numResults=100, **request
        )
        return [item["itemId"] for item in answer["itemList"]]

    @property
    def resource(self):
        return self._service.context.store.require(self.version)

    @property
    def folder(self):
        return serving_folder(self._service.home, self.resource)


@pytest.fixture
def serve(service, described_films):
    return lambda recipe, **solution: Served(service, described_films, recipe, **solution)


@pytest.mark.parametrize("recipe", ["aws-user-personalization", "aws-user-personalization-v2"])
def test_a_new_film_is_listed_two_hours_later_by_the_same_version(
    service, serve, clock, put_film, recipe
):
    served = serve(recipe)
    figures = service.get_solution_metrics(solutionVersionArn=served.version)
    before = served.asked()
    put_film()
    clock.advance(2 * HOUR - 100)
    assert served.asked() == before
    clock.advance(200)
    assert sorted(served.asked()) == sorted([*before, NEW])
    described = service.describe_campaign(campaignArn=served.campaign)["campaign"]
    assert described["solutionVersionArn"] == served.version
    assert len(service.list_solution_versions()["solutionVersions"]) == 1
    assert service.get_solution_metrics(solutionVersionArn=served.version) == figures
    assert is_in_order(service.home)


def test_who_asks_for_recommendations_looks_too(service, serve, clock, put_film):
    served = serve("aws-user-personalization")
    put_film()
    clock.advance(2 * HOUR + 100)
    asked = {"campaignArn": served.campaign, "userId": "viewer-1", "numResults": 100}
    answer = service.get_recommendations(**asked)
    assert NEW in [item["itemId"] for item in answer["itemList"]]


def test_without_new_items_nothing_happens(service, serve, clock):
    served = serve("aws-user-personalization")
    clock.advance(5 * HOUR)
    served.asked()
    assert served.folder.name == served.version.rpartition("/")[2]


def test_an_import_of_items_is_news(service, serve, clock, tmp_path):
    served = serve("aws-user-personalization")
    rows = [(f"film-{n}", f"Film {n}", "noir", "A story") for n in range(45)]
    frame = pd.DataFrame(rows, columns=["ITEM_ID", "TITLE", "GENRE", "PLOT"])
    import_rows(service, ITEMS, tmp_path / "more.csv", frame)
    clock.advance(2 * HOUR + 100)
    assert "film-44" in served.asked()


@pytest.mark.usefixtures("quick_deletions")
def test_the_next_update_takes_the_place_of_the_last(service, serve, clock, put_film):
    served = serve("aws-user-personalization")
    folders = [served.folder]
    for number in range(2):
        put_film(f"film-new-{number}")
        clock.advance(2 * HOUR + 100)
        assert f"film-new-{number}" in served.asked()
        folders.append(served.folder)
    assert [folder.is_dir() for folder in folders] == [True, False, True]
    assert "film-new-0" in served.asked()
    service.delete_campaign(campaignArn=served.campaign)
    service.delete_solution(solutionArn=served.solution)
    assert not any(service.home.models.glob("*/*"))


def test_live_events_count_once(service, films, serve, clock, put_film):
    served = serve("aws-user-personalization")
    tracker = service.create_event_tracker(name="t", datasetGroupArn=films.group)["trackingId"]
    clicks = [
        {"eventType": "click", "itemId": f"film-{n}", "sentAt": 1_700_000_000 + n}
        for n in (3, 7, 11)
    ]
    service.put_events(trackingId=tracker, sessionId="s", userId="viewer-1", eventList=clicks)
    before = served.asked()
    put_film()
    clock.advance(2 * HOUR + 100)
    after = served.asked()
    assert [item for item in after if item != NEW] == before
    model = load_model(served.folder)
    assert len(model.history("viewer-1")) == 25  # of the import; the clicks come from the log


def test_what_was_had_and_shown_meanwhile_is_explored_less(service, films, serve, clock):
    served = serve("aws-user-personalization")
    trained = load_model(served.folder)
    tracker = service.create_event_tracker(name="t", datasetGroupArn=films.group)["trackingId"]
    click = {"eventType": "click", "itemId": "film-40", "sentAt": 1_700_000_000}
    click["impression"] = ["film-40", "film-41"]
    service.put_events(trackingId=tracker, sessionId="s", userId="viewer-1", eventList=[click])
    clock.advance(2 * HOUR + 100)
    served.asked()
    updated = load_model(served.folder)
    gained = updated.exposure_.exposures - trained.exposure_.exposures
    assert dict(zip(updated.items_.ids[gained > 0], gained[gained > 0].tolist(), strict=True)) == {
        "film-40": 2.0,  # shown and clicked
        "film-41": 1.0,  # shown
    }
    assert len(updated.history("viewer-1")) == 25


def test_the_update_of_a_version_ends_automatic_updates(service, serve, clock, put_film):
    served = serve("aws-user-personalization")
    newer = served.train("UPDATE")
    put_film()
    clock.advance(2 * HOUR + 100)
    assert NEW not in served.asked()  # it has a newer version beside it
    service.update_campaign(campaignArn=served.campaign, solutionVersionArn=newer)
    clock.advance(2 * HOUR + 100)
    assert NEW not in served.asked()  # which was not trained in full


def test_only_what_a_campaign_serves_is_updated(service, serve, clock, put_film):
    served = serve("aws-user-personalization")
    service.delete_campaign(campaignArn=served.campaign)
    put_film()
    clock.advance(2 * HOUR + 100)
    service.describe_solution(solutionArn=served.solution)
    assert NEW not in load_model(served.folder).items_


def test_recipes_without_automatic_updates_have_none(serve, clock, put_film):
    served = serve("aws-similar-items")
    put_film()
    clock.advance(5 * HOUR)
    assert NEW not in served.asked(itemId="film-0")


@pytest.mark.parametrize("wanted", [True, False])
def test_texts_are_read_again_within_half_an_hour_where_the_solution_wants_it(
    serve, clock, put_film, wanted
):
    served = serve("aws-semantic-similarity", performIncrementalUpdate=wanted)
    put_film()
    clock.advance(HOUR / 2 + 100)
    assert (NEW in served.asked(itemId="film-0")) is wanted


def test_incremental_updates_can_be_turned_on_later(service, serve, clock, put_film):
    served = serve("aws-semantic-similarity")
    put_film()
    service.update_solution(solutionArn=served.solution, performIncrementalUpdate=True)
    clock.advance(HOUR / 2 + 100)
    assert NEW in served.asked(itemId="film-0")


def test_an_update_that_fails_leaves_what_served(
    service, serve, clock, put_film, monkeypatch, caplog
):
    served = serve("aws-user-personalization")
    before = served.asked()
    put_film()

    def fail(*arguments):
        raise JobFailed("there is no room")

    with monkeypatch.context() as patch:
        patch.setattr(train, "make_artifact", fail)
        clock.advance(2 * HOUR + 100)
        assert served.asked() == before
    assert "there is no room" in caplog.text
    assert served.resource.status == "ACTIVE"
    clock.advance(100)
    assert served.asked() == before  # it waits for its next time
    clock.advance(2 * HOUR)
    assert NEW in served.asked()


def test_an_update_that_a_crash_cut_short_is_made_whole(
    service, serve, clock, put_film, monkeypatch
):
    served = serve("aws-user-personalization")
    put_film()
    patient = JobQueue(service.home, ResourceStore(service.home))
    context = replace(service.context, jobs=patient)
    service.use(context)
    clock.advance(2 * HOUR + 100)
    assert NEW not in served.asked()  # it waits for a worker

    def die(*_):
        raise SystemExit

    for place, name in ((durable_files, "write_json"), (patient, "finishing")):
        with monkeypatch.context() as patch:
            if place is durable_files:  # and cannot tidy
                patch.setattr(durable_files.shutil, "rmtree", lambda *_, **__: None)
            patch.setattr(place, name, die)
            with pytest.raises(SystemExit):
                run_jobs(context)
        assert NEW not in served.asked()
    run_jobs(context)
    assert NEW in served.asked()
    assert len(list(served.folder.parent.iterdir())) == 2
    assert is_in_order(service.home)


def test_deleted_users_leave_an_updated_model_too(service, films, serve, clock, put_film, tmp_path):
    served = serve("aws-user-personalization")
    put_film()
    clock.advance(2 * HOUR + 100)
    served.asked()
    assert len(load_model(served.folder).history("viewer-1")) == 25
    path = tmp_path / "users.csv"
    path.write_text("USER_ID\nviewer-1\n")
    service.create_data_deletion_job(
        jobName="gone",
        datasetGroupArn=films.group,
        dataSource={"dataLocation": str(path)},
        roleArn="arn:aws:iam::123456789012:role/personalize",
    )
    assert len(load_model(served.folder).history("viewer-1")) == 0


def test_an_objective_stays(service, films, clock, tmp_path):
    fields = [{"name": "ITEM_ID", "type": "string"}, {"name": "PRICE", "type": "float"}]
    prices = {"ITEM_ID": [f"film-{n}" for n in range(40)], "PRICE": [float(n) for n in range(40)]}
    import_table(service, films.group, tmp_path, "Items", fields, pd.DataFrame(prices))
    objective = {"itemAttribute": "PRICE", "objectiveSensitivity": "HIGH"}
    served = Served(
        service,
        films,
        "aws-user-personalization",
        solutionConfig={"optimizationObjective": objective},
    )
    service.put_items(
        datasetArn=ITEMS, items=[{"itemId": "dear", "properties": json.dumps({"price": 1000.0})}]
    )
    clock.advance(2 * HOUR + 100)
    assert "dear" in served.asked()
    bonus = load_model(served.folder).objective_.bonus
    assert len(bonus) == 41
    assert bonus.argmax() == load_model(served.folder).items_.code("dear")


def test_new_actions_come_after_two_hours(service, films, clock, tmp_path):
    actions = pd.DataFrame({"ACTION_ID": ["join"], "VALUE": [1], "EXPIRATION_TIMESTAMP": [None]})
    import_kind(service, films, tmp_path, "Actions", actions)
    served = Served(service, films, "aws-next-best-action")
    actions_arn = ITEMS.replace("ITEMS", "ACTIONS")
    service.put_actions(
        datasetArn=actions_arn,
        actions=[{"actionId": "card", "properties": json.dumps({"value": 2})}],
    )

    def listed():
        service.describe_campaign(campaignArn=served.campaign)
        answer = service.get_action_recommendations(campaignArn=served.campaign, userId="viewer-1")
        return sorted(action["actionId"] for action in answer["actionList"])

    assert listed() == ["join"]
    clock.advance(2 * HOUR + 100)
    assert listed() == ["card", "join"]


def test_a_recommender_of_a_domain_gets_new_films_too(service, clock, tmp_path):
    cinema = Cinema(service, tmp_path)
    fields = [
        {"name": "ITEM_ID", "type": "string"},
        {"name": "GENRES", "type": "string", "categorical": True},
        {"name": "CREATION_TIMESTAMP", "type": "long"},
    ]
    items = cinema.add("Items", schema_of("Items", fields))

    def put(item):
        told = json.dumps({"genres": "noir", "creationTimestamp": 1_600_000_000})
        service.put_items(datasetArn=items, items=[{"itemId": item, "properties": told}])

    put("film-0")
    arn = cinema.recommender("aws-vod-top-picks")
    trained = cinema.describe(arn)
    put(NEW)

    def listed():
        cinema.describe(arn)
        answer = service.get_recommendations(recommenderArn=arn, userId="viewer-1", numResults=100)
        return [item["itemId"] for item in answer["itemList"]]

    clock.advance(2 * HOUR - 100)
    before = listed()
    assert NEW not in before
    clock.advance(200)
    assert sorted(listed()) == sorted([*before, NEW])
    described = cinema.describe(arn)
    assert described["status"] == "ACTIVE"
    assert described["modelMetrics"] == trained["modelMetrics"]
    assert is_in_order(service.home)
