"""Solution versions: their creation, their states, their metrics."""

import pytest

from personalens.control.work.train import TRAIN_HANDLER, train
from personalens.jobs.job_runner import run_jobs
from personalens.progress import ProgressEvent
from personalens.recipes.popularity_count import PopularityCount
from personalens.service_errors import (
    InvalidInputException,
    ResourceInUseException,
    ResourceNotFoundException,
)

POPULARITY = "arn:aws:personalize:::recipe/aws-popularity-count"


@pytest.fixture
def solution(service, films):
    return service.create_solution(
        name="tastes", datasetGroupArn=films.group, recipeArn=POPULARITY, eventType=None
    )["solutionArn"]


def status_of(service, version):
    return describe(service, version)["status"]


def describe(service, version):
    return service.describe_solution_version(solutionVersionArn=version)["solutionVersion"]


def create(service, solution, **members):
    return service.create_solution_version(solutionArn=solution, **members)["solutionVersionArn"]


def test_a_version_is_trained_measured_and_described(service, films, solution):
    arn = create(service, solution, name="first")
    assert arn.startswith(f"{solution}/")
    assert len(arn.rpartition("/")[2]) == 8
    version = describe(service, arn)
    assert version["trainingHours"] > 0
    assert version["creationDateTime"] < version["lastUpdatedDateTime"]
    for member in ("trainingHours", "creationDateTime", "lastUpdatedDateTime"):
        del version[member]
    assert version == {
        "name": "first",
        "solutionVersionArn": arn,
        "solutionArn": solution,
        "status": "ACTIVE",
        "recipeArn": POPULARITY,
        "datasetGroupArn": films.group,
        "performHPO": False,
        "performAutoML": False,
        "performIncrementalUpdate": False,
        "solutionConfig": {},
        "trainingMode": "FULL",
        "trainingType": "MANUAL",
    }


def test_a_version_without_a_name_shows_none(service, solution):
    assert "name" not in describe(service, create(service, solution))


def test_the_eight_metrics(service, solution):
    arn = create(service, solution)
    answer = service.get_solution_metrics(solutionVersionArn=arn)
    assert answer["solutionVersionArn"] == arn
    assert sorted(answer["metrics"]) == [
        "coverage",
        "mean_reciprocal_rank_at_25",
        "normalized_discounted_cumulative_gain_at_10",
        "normalized_discounted_cumulative_gain_at_25",
        "normalized_discounted_cumulative_gain_at_5",
        "precision_at_10",
        "precision_at_25",
        "precision_at_5",
    ]
    assert all(0 <= figure <= 1 for figure in answer["metrics"].values())


def test_versions_of_no_solution_are_not_found(service, solution):
    with pytest.raises(ResourceNotFoundException):
        service.list_solution_versions(solutionArn=f"{solution}-2")


@pytest.mark.parametrize(
    ("mode", "message"),
    [("UPDATE", "uses aws-popularity-count. Use FULL"), ("AUTOTRAIN", "cannot be asked for")],
)
def test_only_a_full_training_can_be_asked_for(service, solution, mode, message):
    with pytest.raises(InvalidInputException, match=message):
        create(service, solution, trainingMode=mode)
    assert service.list_solution_versions()["solutionVersions"] == []


def test_without_an_interactions_dataset_there_is_nothing_to_train(service):
    group = service.create_dataset_group(name="empty")["datasetGroupArn"]
    solution = service.create_solution(name="s", datasetGroupArn=group, recipeArn=POPULARITY)
    with pytest.raises(InvalidInputException, match="has no Interactions dataset"):
        create(service, solution["solutionArn"])


def test_a_version_keeps_the_configuration_it_was_trained_with(service, films):
    config = {"eventValueThreshold": "2"}
    solution = service.create_solution(
        name="liked", datasetGroupArn=films.group, recipeArn=POPULARITY, solutionConfig=config
    )["solutionArn"]
    version = describe(service, create(service, solution))
    assert version["solutionConfig"] == config
    assert version["status"] == "CREATE FAILED", "780 events have a value, fewer than 1000"
    assert "trainingHours" not in version


def test_metrics_before_and_without_success(service, films, solution, waiting):
    pending = create(service, solution)
    with pytest.raises(ResourceInUseException, match="CREATE PENDING"):
        service.get_solution_metrics(solutionVersionArn=pending)
    service.stop_solution_version_creation(solutionVersionArn=pending)
    with pytest.raises(InvalidInputException, match="CREATE STOPPED"):
        service.get_solution_metrics(solutionVersionArn=pending)
    with pytest.raises(ResourceNotFoundException):
        service.get_solution_metrics(solutionVersionArn=f"{solution}/00000000")


def test_a_version_that_has_not_begun_is_stopped_at_once(service, solution, waiting):
    arn = create(service, solution)
    assert status_of(service, arn) == "CREATE PENDING"
    service.stop_solution_version_creation(solutionVersionArn=arn)
    assert status_of(service, arn) == "CREATE STOPPED"
    assert run_jobs(waiting) == 0
    assert status_of(service, arn) == "CREATE STOPPED"
    with pytest.raises(InvalidInputException, match="only a version that is CREATE PENDING"):
        service.stop_solution_version_creation(solutionVersionArn=arn)


def test_a_training_stops_within_a_few_batches(service, solution, waiting, monkeypatch):
    arn = create(service, solution)
    seen = []

    def endless_fit(model, interactions, items, users, progress, refit):
        seen.append(status_of(service, arn))
        service.stop_solution_version_creation(solutionVersionArn=arn)
        seen.append(status_of(service, arn))
        with pytest.raises(ResourceInUseException, match="stopping already"):
            service.stop_solution_version_creation(solutionVersionArn=arn)
        while True:
            progress(ProgressEvent("training", 0.5))

    monkeypatch.setattr(PopularityCount, "_fit", endless_fit)
    assert run_jobs(waiting) == 1
    assert seen == ["CREATE IN_PROGRESS", "CREATE STOPPING"]
    assert status_of(service, arn) == "CREATE STOPPED"
    assert list(service.home.models.iterdir()) == []


def test_a_stop_that_comes_after_the_last_batch_still_counts(service, solution, waiting):
    arn = create(service, solution)
    job = waiting.jobs.claim()

    def stop_at_the_end(event):
        if event.stage == "saving the model":
            service.stop_solution_version_creation(solutionVersionArn=arn)

    with pytest.raises(Exception, match="had just been saved"):
        train(waiting, job, stop_at_the_end)
    with waiting.jobs.finishing(job, "STOPPED") as tx:
        TRAIN_HANDLER.on_stopped(tx, job)
    assert status_of(service, arn) == "CREATE STOPPED"
    assert list(service.home.models.iterdir()) == []


@pytest.mark.usefixtures("quick_deletions")
def test_a_solution_cannot_be_deleted_while_a_version_trains(service, solution, waiting):
    create(service, solution)
    with pytest.raises(ResourceInUseException, match="CREATE PENDING"):
        service.delete_solution(solutionArn=solution)
    run_jobs(waiting)
    service.delete_solution(solutionArn=solution)
    assert service.list_solution_versions()["solutionVersions"] == []
