"""From imported interactions to a measured and saved model, and what can go wrong on the way."""

import json

import numpy as np
import pandas as pd
import pytest

from personalens import durable_files
from personalens.control.work import train as training_work
from personalens.control.work.train import SEED, train
from personalens.control.work.training_data import check_minimums
from personalens.datasets.interactions import Interactions
from personalens.evaluation.holdouts import service_holdout
from personalens.evaluation.offline_report import solution_metrics
from personalens.jobs.job_runner import JobFailed, run_jobs
from personalens.notebook.training_log import training_log
from personalens.progress import Cancelled, ignore_progress
from personalens.recipes.popularity_count import PopularityCount
from personalens.recipes.training_tables import CannotLearn
from personalens.service_errors import InvalidInputException, ResourceNotFoundException
from personalens.settings.event_selection import select_interactions
from personalens.storage.model_folders import checkpoint_folder, load_model, version_folder

RECIPE = "arn:aws:personalize:::recipe/"
EVENTS = pd.DataFrame(
    {
        "USER_ID": ["u", "u", "v", "v"],
        "ITEM_ID": ["a", "b", "c", "d"],
        "TIMESTAMP": [1, 2, 3, 4],
        "EVENT_TYPE": ["watch", "click", "watch", "Watch"],
        "EVENT_VALUE": [1.0, np.nan, 3.0, 4.0],
        "DEVICE": ["tv", "tv", "phone", "phone"],
    }
)


def solution_for(service, films, recipe="aws-popularity-count", name="tastes", **members):
    return service.create_solution(
        name=name, datasetGroupArn=films.group, recipeArn=RECIPE + recipe, **members
    )["solutionArn"]


def version_of(service, solution):
    arn = service.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    return service.describe_solution_version(solutionVersionArn=arn)["solutionVersion"]


# -- selection and minimums ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event_type", "config", "left"),
    [
        (None, {}, ["a", "b", "c", "d"]),
        ("watch", {}, ["a", "c"]),
        (None, {"eventValueThreshold": "3"}, ["c", "d"]),
        ("watch", {"eventValueThreshold": "3.0"}, ["c"]),
        ("buy", {}, []),
    ],
)
def test_events_are_selected_by_type_and_value(event_type, config, left):
    selected = select_interactions(Interactions.from_frame(EVENTS), event_type, config)
    assert selected.items.decode(selected.item_codes).tolist() == left


def test_without_the_column_nothing_passes():
    bare = Interactions.from_frame(EVENTS[["USER_ID", "ITEM_ID", "TIMESTAMP"]])
    assert len(select_interactions(bare, "watch", {})) == 0
    assert len(select_interactions(bare, None, {"eventValueThreshold": "0"})) == 0
    assert len(select_interactions(bare, None, {})) == 4


def test_columns_that_shall_not_train_are_dropped_after_the_threshold():
    config = {
        "eventValueThreshold": "3",
        "trainingDataConfig": {"excludedDatasetColumns": {"Interactions": ["EVENT_VALUE"]}},
    }
    selected = select_interactions(Interactions.from_frame(EVENTS), None, config)
    assert (len(selected), selected.event_values) == (2, None)
    assert list(selected.context) == ["DEVICE"]
    assert selected.event_types.tolist() == ["watch", "Watch"]


def events_of(counts):
    """Interactions of users with so many events each."""
    users = np.repeat([f"u{user}" for user in range(len(counts))], counts)
    frame = pd.DataFrame({"USER_ID": users, "ITEM_ID": "a", "TIMESTAMP": np.arange(len(users))})
    return Interactions.from_frame(frame)


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ([37] * 27, "fewer than 1000 interactions. 999 of 5000 imported"),
        ([41] * 24 + [1] * 16, "fewer than 25 users with at least 2 interactions each. It has 24"),
        ([1] * 2476 + [2] * 25, "fewer than 1% of users with at least 2 .* 25 of 2501"),
    ],
)
def test_too_thin_data_fail_in_the_services_words(counts, reason):
    with pytest.raises(JobFailed, match=reason):
        check_minimums(events_of(counts), None, 5000)


@pytest.mark.parametrize("counts", [[40] * 25, [1] * 2475 + [2] * 25])
def test_just_enough_data_pass(counts):
    assert check_minimums(events_of(counts), None, 1000) is None


# -- the job --------------------------------------------------------------------------------------


def test_too_few_events_of_a_type_fail_the_version(service, films):
    version = version_of(service, solution_for(service, films, eventType="click"))
    assert version["status"] == "CREATE FAILED"
    assert version["failureReason"].startswith(
        "Dataset has fewer than 1000 interactions after filtering by event type: click"
    )
    assert "720 of 1500" in version["failureReason"]


def test_a_dataset_without_data_fails_the_version(service, films):
    group = service.create_dataset_group(name="empty")["datasetGroupArn"]
    service.create_dataset(
        name="e", schemaArn=films.schema, datasetGroupArn=group, datasetType="Interactions"
    )
    films.group = group
    version = version_of(service, solution_for(service, films))
    assert version["status"] == "CREATE FAILED"
    assert "nothing has been imported" in version["failureReason"]


def test_the_metrics_are_those_of_the_recipe_on_the_service_holdout(service, films, world):
    version = version_of(service, solution_for(service, films))
    holdout = service_holdout(Interactions.from_frame(world), seed=SEED)
    expected = solution_metrics(PopularityCount().fit(holdout.train), holdout, catalogue_size=40)
    answer = service.get_solution_metrics(solutionVersionArn=version["solutionVersionArn"])
    assert answer["metrics"] == pytest.approx(expected)


def test_the_saved_model_has_learned_from_everybody(service, films, world):
    version = version_of(service, solution_for(service, films))
    model = load_model(version_folder(service.home, version["solutionVersionArn"]))
    everything = PopularityCount().fit(world)
    assert np.array_equal(model.popularity_, everything.popularity_)
    assert len(model.interactions_.users) == 60


def test_hyperparameters_reach_the_recipe(service, films):
    config = {"algorithmHyperParameters": {"min_cointeraction_count": "7"}}
    version = version_of(service, solution_for(service, films, "aws-sims", solutionConfig=config))
    model = load_model(version_folder(service.home, version["solutionVersionArn"]))
    assert model.config.min_cointeraction_count == 7


def test_the_same_solution_gives_the_same_model_twice(service, films):
    solution = solution_for(service, films, "aws-sims")
    folders = [
        version_folder(service.home, version_of(service, solution)["solutionVersionArn"])
        for _ in range(2)
    ]
    assert folders[0] != folders[1]
    first, second = ((folder / "weights.safetensors").read_bytes() for folder in folders)
    assert first == second


def test_hrnn_trains_with_a_log(service, films, monkeypatch):
    monkeypatch.setenv("PERSONALENS_TRAINING_MAX_EPOCHS", "2")
    config = {"algorithmHyperParameters": {"hidden_dimension": "32"}}
    version = version_of(service, solution_for(service, films, "aws-hrnn", solutionConfig=config))
    assert version["status"] == "ACTIVE", version
    log = training_log(version["solutionVersionArn"], home=service.home)
    assert list(log.columns) == ["epoch", "loss", "metric", "seconds"]
    assert log["epoch"].tolist() == [1, 2]
    assert log["loss"].between(0, np.log(40) + 1).all()
    assert log["metric"].between(0, 1).all()
    assert (log["seconds"] > 0).all()


def test_a_recipe_without_epochs_has_an_empty_log(service, films):
    version = version_of(service, solution_for(service, films))
    log = training_log(version["solutionVersionArn"], home=service.home.path)
    assert list(log.columns) == ["epoch", "loss", "metric", "seconds"]
    assert log.empty


def test_a_log_of_nothing_is_refused(service, films):
    solution = solution_for(service, films)
    with pytest.raises(ResourceNotFoundException, match="has no trained model"):
        training_log(f"{solution}/0a1b2c3d", home=service.home)
    with pytest.raises(InvalidInputException, match="is the ARN of a solution"):
        training_log(solution, home=service.home)


def test_progress_runs_through_the_stages_once(service, films, waiting):
    service.create_solution_version(solutionArn=solution_for(service, films, "aws-sims"))
    events = []
    train(waiting, waiting.jobs.claim(), events.append)
    stages = list(dict.fromkeys(event.stage for event in events))
    assert stages == [
        "reading the interactions",
        "training without the hold-out",
        "training on all data",
        "measuring on the hold-out",
        "saving the model",
    ]
    fractions = [event.fraction for event in events if event.fraction is not None]
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] < fractions[-1] <= 1


# -- crashes --------------------------------------------------------------------------------------


def test_a_crash_before_the_artifact_is_whole_leaves_nothing_that_counts(
    service, films, waiting, monkeypatch
):
    solution = solution_for(service, films)
    arn = service.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    folder = version_folder(service.home, arn)

    def die(*_):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(durable_files.shutil, "rmtree", lambda *_, **__: None)  # it cannot tidy
        patch.setattr(durable_files, "write_json", die)
        with pytest.raises(SystemExit):
            run_jobs(waiting)
    assert not folder.exists()
    assert len(list(folder.parent.iterdir())) == 1, "the half-written artifact"
    run_jobs(waiting)
    described = service.describe_solution_version(solutionVersionArn=arn)["solutionVersion"]
    assert described["status"] == "ACTIVE"
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_model_that_was_saved_is_only_announced_by_the_next_attempt(
    service, films, waiting, monkeypatch
):
    solution = solution_for(service, films)
    arn = service.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    folder = version_folder(service.home, arn)

    def die(*_):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(training_work, "_announce", die)
        with pytest.raises(SystemExit):
            run_jobs(waiting)
    saved = (folder / "metrics.json").stat().st_mtime_ns
    with monkeypatch.context() as patch:
        patch.setattr(PopularityCount, "_fit", die)  # training again would end here
        run_jobs(waiting)
    described = service.describe_solution_version(solutionVersionArn=arn)["solutionVersion"]
    assert described["status"] == "ACTIVE"
    assert (folder / "metrics.json").stat().st_mtime_ns == saved
    hours = json.loads((folder / "metrics.json").read_text())["trainingHours"]
    assert described["trainingHours"] == hours


def test_an_artifact_whose_deletion_was_cut_short_is_swept_by_the_next_training(service, films):
    solution = solution_for(service, films)
    orphan = version_folder(service.home, f"{solution}/0a1b2c3d")
    orphan.mkdir(parents=True)
    (orphan / "config.json").write_text("{}")
    kept = version_of(service, solution)["solutionVersionArn"]
    last = version_of(service, solution)["solutionVersionArn"]
    assert not orphan.exists()
    assert all(version_folder(service.home, arn).is_dir() for arn in (kept, last))


def test_checkpoints_go_when_nobody_trains_the_version_any_more(service, films, waiting):
    solution = solution_for(service, films)
    left = checkpoint_folder(version_folder(service.home, f"{solution}/0a1b2c3d"))
    arns = [service.create_solution_version(solutionArn=solution) for _ in range(2)]
    kept = checkpoint_folder(version_folder(service.home, arns[1]["solutionVersionArn"]))
    left.mkdir(parents=True)
    kept.mkdir()
    train(waiting, waiting.jobs.claim(), ignore_progress)
    assert (left.exists(), kept.exists()) == (False, True)
    train(waiting, waiting.jobs.claim(), ignore_progress)
    assert not kept.exists()


def test_a_training_that_fails_or_is_stopped_leaves_no_checkpoints(
    service, films, waiting, monkeypatch
):
    monkeypatch.setenv("PERSONALENS_TRAINING_MAX_EPOCHS", "3")
    solution = solution_for(service, films, "aws-hrnn")
    arn = service.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    folder = checkpoint_folder(version_folder(service.home, arn))
    there = []

    def stop(event):
        there.append(folder.exists())
        if event.epoch == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        train(waiting, waiting.jobs.claim(), stop)
    assert there[-1]
    assert not folder.exists()


def test_an_error_in_a_recipe_fails_the_version_with_a_reason(service, films, monkeypatch):
    def broken(*_):
        raise RuntimeError("the matrix is singular")

    monkeypatch.setattr(PopularityCount, "_fit", broken)
    version = version_of(service, solution_for(service, films))
    assert version["status"] == "CREATE FAILED"
    assert "the matrix is singular" in version["failureReason"]
    assert list(service.home.models.iterdir()) == []


def test_what_a_recipe_cannot_learn_from_is_the_reason_itself(service, films, monkeypatch):

    def refuse(self, *tables):
        raise CannotLearn("too few films are new")

    monkeypatch.setattr(PopularityCount, "_fit", refuse)
    solution = service.create_solution(
        name="popular",
        datasetGroupArn=films.group,
        recipeArn="arn:aws:personalize:::recipe/aws-popularity-count",
        performAutoTraining=False,
    )["solutionArn"]
    version = service.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    described = service.describe_solution_version(solutionVersionArn=version)["solutionVersion"]
    assert (described["status"], described["failureReason"]) == (
        "CREATE FAILED",
        "too few films are new",
    )
