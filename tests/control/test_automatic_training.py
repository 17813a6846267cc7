"""UpdateSolution and the trainings that nobody asks for, by a clock of the test's own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from personalens.control.work import schedule
from personalens.jobs.opening import open_home
from personalens.jobs.worker import Worker
from personalens.service_errors import InvalidInputException, ResourceNotFoundException
from personalens.storage.event_log import Event
from personalens.storage.job_queue import JobQueue
from tests.control.test_recommenders import Cinema

RECIPE = "arn:aws:personalize:::recipe/"
HOUR, DAY = 3600.0, 86_400.0


@pytest.fixture
def make_solution(service, films):
    def make(name="tastes", recipe="aws-popularity-count", **members):
        return service.create_solution(
            name=name, datasetGroupArn=films.group, recipeArn=RECIPE + recipe, **members
        )["solutionArn"]

    return make


def versions(service, solution):
    found = service.list_solution_versions(solutionArn=solution)["solutionVersions"]
    return [version["trainingType"] for version in found]


def describe(service, solution):
    return service.describe_solution(solutionArn=solution)["solution"]


def test_the_first_version_comes_an_hour_after_the_solution(service, clock, make_solution):
    solution = make_solution()
    clock.advance(HOUR - 100)
    assert versions(service, solution) == []
    clock.advance(200)
    newest = describe(service, solution)["latestSolutionVersion"]
    assert (newest["trainingType"], newest["trainingMode"]) == ("AUTOMATIC", "FULL")
    assert newest["status"] == "ACTIVE"
    described = service.describe_solution_version(solutionVersionArn=newest["solutionVersionArn"])
    assert described["solutionVersion"]["trainingType"] == "AUTOMATIC"


def test_a_version_that_was_asked_for_takes_the_first_one_s_place(service, clock, make_solution):
    solution = make_solution()
    service.create_solution_version(solutionArn=solution)
    clock.advance(6 * DAY)
    assert versions(service, solution) == ["MANUAL"]


def test_later_versions_need_new_interactions(service, films, clock, make_solution):
    config = {"autoTrainingConfig": {"schedulingExpression": "rate(2 days)"}}
    solution = make_solution(solutionConfig=config)
    service.create_solution_version(solutionArn=solution)
    clock.advance(3 * DAY)
    assert versions(service, solution) == ["MANUAL"]
    films.import_again(films.frame)
    clock.advance(100)
    assert versions(service, solution) == ["MANUAL", "AUTOMATIC"]
    clock.advance(100)
    assert versions(service, solution) == ["MANUAL", "AUTOMATIC"]


def test_live_events_are_new_interactions(service, films, clock, make_solution):
    solution = make_solution()
    service.create_solution_version(solutionArn=solution)
    clock.advance(8 * DAY)
    assert versions(service, solution) == ["MANUAL"]
    click = Event("film-1", 1_700_000_000, "click")
    service.context.events.append(films.dataset, "session", "viewer-1", [click])
    clock.advance(100)
    assert versions(service, solution) == ["MANUAL", "AUTOMATIC"]


def test_it_can_be_turned_off_and_on(service, films, clock, make_solution):
    solution = make_solution(performAutoTraining=False)
    clock.advance(30 * DAY)
    assert versions(service, solution) == []
    clock.ahead = 0
    service.update_solution(solutionArn=solution, performAutoTraining=True)
    clock.advance(HOUR / 2)
    assert versions(service, solution) == []
    clock.advance(HOUR)
    assert versions(service, solution) == ["AUTOMATIC"]
    service.update_solution(solutionArn=solution, performAutoTraining=False)
    films.import_again(films.frame)
    clock.advance(30 * DAY)
    assert versions(service, solution) == ["AUTOMATIC"]


def test_a_training_on_its_way_is_waited_for(service, clock, make_solution, waiting):
    solution = make_solution()
    clock.advance(2 * HOUR)
    assert versions(service, solution) == ["AUTOMATIC"]
    clock.advance(8 * DAY)
    assert versions(service, solution) == ["AUTOMATIC"]


def test_nothing_is_due_without_data(service, clock):
    group = service.create_dataset_group(name="empty")["datasetGroupArn"]
    solution = service.create_solution(
        name="s", datasetGroupArn=group, recipeArn=RECIPE + "aws-sims"
    )["solutionArn"]
    clock.advance(2 * HOUR)
    assert versions(service, solution) == []


def test_a_worker_notices_too(service, clock, make_solution, waiting):
    solution = make_solution()
    clock.advance(2 * HOUR)
    assert Worker(service.home, idle_seconds=0.0).run() == 1
    assert versions(service, solution) == ["AUTOMATIC"]
    assert describe(service, solution)["latestSolutionVersion"]["status"] == "ACTIVE"


def test_a_following_campaign_gets_the_automatic_version(service, films, clock, make_solution):
    solution = make_solution()
    first = service.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    campaign = service.create_campaign(
        name="c",
        solutionVersionArn=f"{solution}/$LATEST",
        campaignConfig={"syncWithLatestSolutionVersion": True},
    )["campaignArn"]
    films.import_again(films.frame)
    clock.advance(8 * DAY)
    described = service.describe_campaign(campaignArn=campaign)["campaign"]
    assert described["solutionVersionArn"] != first
    assert described["latestCampaignUpdate"]["status"] == "ACTIVE"


def test_a_recommender_is_trained_every_seven_days_while_it_is_active(service, clock, tmp_path):
    cinema = Cinema(service, tmp_path)
    arn = cinema.recommender()

    def model():
        service.list_recommenders()
        return service.context.store.require(arn).body["_model"]

    def come_again():
        click = Event("film-1", 1_700_000_000 + int(clock.ahead), "Watch")
        service.context.events.append(cinema.dataset, "session", "viewer-1", [click])
        clock.advance(8 * DAY)

    first = model()
    clock.advance(8 * DAY)
    assert model() == first
    come_again()
    second = model()
    assert second != first
    assert cinema.describe(arn)["status"] == "ACTIVE"
    assert "latestRecommenderUpdate" not in cinema.describe(arn)
    service.stop_recommender(recommenderArn=arn)
    come_again()
    assert model() == second


# -- UpdateSolution -------------------------------------------------------------------------------


def test_an_update_is_described(service, make_solution):
    solution = make_solution(performAutoTraining=False)
    assert "latestSolutionUpdate" not in describe(service, solution)
    config = {"autoTrainingConfig": {"schedulingExpression": "rate(3 days)"}}
    answer = service.update_solution(
        solutionArn=solution, performAutoTraining=True, solutionUpdateConfig=config
    )
    assert answer == {"solutionArn": solution}
    described = describe(service, solution)
    update = described["latestSolutionUpdate"]
    assert update.pop("creationDateTime") == update.pop("lastUpdatedDateTime")
    assert update == {
        "solutionUpdateConfig": config,
        "performAutoTraining": True,
        "performIncrementalUpdate": False,
        "status": "ACTIVE",
    }
    assert (described["performAutoTraining"], described["solutionConfig"]) == (True, config)


def test_versions_that_are_there_keep_what_they_were_trained_with(service, make_solution):
    events = {"eventsConfig": {"eventParametersList": [{"eventType": "watch", "weight": 1.0}]}}
    solution = make_solution(recipe="aws-user-personalization-v2")
    service.update_solution(solutionArn=solution, solutionUpdateConfig=events)
    assert describe(service, solution)["solutionConfig"] == events


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        (
            {
                "solutionUpdateConfig": {
                    "autoTrainingConfig": {"schedulingExpression": "rate(31 days)"}
                }
            },
            r"rate\(30 days\)",
        ),
        (
            {
                "solutionUpdateConfig": {
                    "eventsConfig": {"eventParametersList": [{"eventType": "watch"}]}
                }
            },
            "does not take solutionConfig.eventsConfig",
        ),
        ({"performIncrementalUpdate": True}, "aws-semantic-similarity only"),
    ],
)
def test_an_update_that_does_not_fit_changes_nothing(service, make_solution, members, reason):
    solution = make_solution()
    before = describe(service, solution)
    with pytest.raises(InvalidInputException, match=reason):
        service.update_solution(solutionArn=solution, **members)
    assert describe(service, solution) == before


def test_automl_takes_a_schedule_too(service, films):
    def rate(days):
        return {"autoTrainingConfig": {"schedulingExpression": f"rate({days} days)"}}

    asked = {"datasetGroupArn": films.group, "performAutoML": True}
    with pytest.raises(InvalidInputException, match="schedulingExpression"):
        service.create_solution(name="a", solutionConfig=rate(31), **asked)
    solution = service.create_solution(name="a", solutionConfig=rate(30), **asked)["solutionArn"]
    service.update_solution(solutionArn=solution, solutionUpdateConfig=rate(2))
    assert describe(service, solution)["solutionConfig"] == rate(2)


def test_two_that_look_at_once_begin_one_training(service, clock, make_solution, waiting):
    solution = make_solution()
    clock.advance(2 * HOUR)
    contexts = [open_home(service.home, inline_jobs=False) for _ in range(2)]
    for context in contexts:
        patient = replace(context, jobs=JobQueue(service.home))
        schedule.begin_due_trainings(patient)
    assert versions(service, solution) == ["AUTOMATIC"]


def test_only_a_solution_can_be_updated(service, make_solution):
    with pytest.raises(ResourceNotFoundException):
        service.update_solution(solutionArn=make_solution() + "-none", performAutoTraining=False)
