"""HPO and AutoML through the service: what is tried, what is chosen, what is told of it."""

from __future__ import annotations

import json

import pytest

from personalens.activation import register
from personalens.control.work.search import AUTOML_JOBS, OBJECTIVE
from personalens.control.work.train import SEED, train
from personalens.datasets.interactions import Interactions
from personalens.jobs.job_runner import run_jobs
from personalens.notebook.training_log import search_log
from personalens.recipes.popularity_count import PopularityCount
from personalens.recipes.sims import SIMS
from personalens.service_errors import InvalidInputException
from personalens.storage.model_folders import load_model, read_outcome, version_folder
from personalens.training.tuning import COMPLETE
from tests.recipes.examples.ease import EASE

RECIPE = "arn:aws:personalize:::recipe/"
RANGES = "algorithmHyperParameterRanges"


def jobs(count, parallel=2):
    return {"maxNumberOfTrainingJobs": str(count), "maxParallelTrainingJobs": str(parallel)}


def ranges(**kinds):
    names = ("integer", "continuous", "categorical")
    return {f"{kind}HyperParameterRanges": kinds.get(kind, []) for kind in names}


@pytest.fixture
def create(service, films):
    def create(recipe="aws-sims", config=None, **members):
        if recipe is not None:
            members["recipeArn"] = RECIPE + recipe
        return service.create_solution(
            name="tuned", datasetGroupArn=films.group, solutionConfig=config or {}, **members
        )["solutionArn"]

    return create


@pytest.fixture
def describe(service):
    def describe(solution):
        arn = service.create_solution_version(solutionArn=solution)["solutionVersionArn"]
        described = service.describe_solution_version(solutionVersionArn=arn)["solutionVersion"]
        assert described["status"] == "ACTIVE", described
        return described

    return describe


def trials_of(service, version):
    return read_outcome(version_folder(service.home, version["solutionVersionArn"])).trials


# -- HPO ------------------------------------------------------------------------------------------


def test_the_version_is_trained_with_the_best_of_what_was_tried(service, create, describe, world):
    config = {"hpoConfig": {"hpoResourceConfig": jobs(6)}}
    solution = create(performHPO=True, config=config)
    version = describe(solution)
    trials = trials_of(service, version)
    assert [trial["number"] for trial in trials] == [1, 2, 3, 4, 5, 6]
    log = search_log(version["solutionVersionArn"], home=service.home)
    assert log["value"].tolist() == [trial["value"] for trial in trials]
    assert list(log.columns) == [
        "trial",
        "popularity_discount_factor",
        "min_cointeraction_count",
        "value",
        "state",
        "epochs",
        "seconds",
    ]
    best = max(trials, key=lambda trial: trial["value"])
    tuned = version["tunedHPOParams"]["algorithmHyperParameters"]
    assert tuned == {name: str(value) for name, value in best["params"].items()}
    model = load_model(version_folder(service.home, version["solutionVersionArn"]))
    assert model.config.min_cointeraction_count == best["params"]["min_cointeraction_count"]
    assert len(model.interactions_.users) == 60, "the model behind it has learned from everybody"
    assert service.describe_solution(solutionArn=solution)["solution"]["solutionConfig"] == config


def test_trials_are_measured_on_users_whom_the_metrics_are_not_taken_from(
    service, create, describe, world
):
    config = {"hpoConfig": {"hpoResourceConfig": jobs(1)}}
    version = describe(create(performHPO=True, config=config))
    (trial,) = trials_of(service, version)
    assert trial["params"] == {"popularity_discount_factor": 0.5, "min_cointeraction_count": 3}
    metrics = service.get_solution_metrics(solutionVersionArn=version["solutionVersionArn"])
    outer = SIMS.hold_out(Interactions.from_frame(world), seed=SEED)
    inner = SIMS.hold_out(outer.train, seed=SEED + 1)
    assert not set(inner.user_ids) & set(outer.user_ids)
    own = SIMS().fit(inner.train).measure(inner, catalogue_size=40)
    final = SIMS().fit(outer.train).measure(outer, catalogue_size=40)
    assert trial["value"] == pytest.approx(own[OBJECTIVE])
    assert metrics["metrics"] == pytest.approx(final)


def test_only_the_given_ranges_are_searched_and_the_rest_stays_as_set(service, create, describe):
    config = {
        "algorithmHyperParameters": {"popularity_discount_factor": "0.25"},
        "hpoConfig": {
            "hpoObjective": {"type": "Maximize", "metricName": "whatever"},
            "hpoResourceConfig": jobs(4),
            "algorithmHyperParameterRanges": ranges(
                integer=[{"name": "min_cointeraction_count", "minValue": 5, "maxValue": 6}]
            ),
        },
    }
    version = describe(create(performHPO=True, config=config))
    tried = {trial["params"]["min_cointeraction_count"] for trial in trials_of(service, version)}
    assert tried == {5, 6}
    tuned = version["tunedHPOParams"]["algorithmHyperParameters"]
    assert tuned["popularity_discount_factor"] == "0.25"
    assert tuned["min_cointeraction_count"] in ("5", "6")


def test_without_ranges_a_parameter_that_is_set_is_not_varied(service, create, describe):
    config = {
        "algorithmHyperParameters": {"min_cointeraction_count": "1"},
        "hpoConfig": {"hpoResourceConfig": jobs(3), "algorithmHyperParameterRanges": ranges()},
    }
    trials = trials_of(service, describe(create(performHPO=True, config=config)))
    assert all(list(trial["params"]) == ["popularity_discount_factor"] for trial in trials)


def test_epochs_are_compared_and_progress_tells_the_best(service, create, waiting, monkeypatch):
    monkeypatch.setenv("PERSONALENS_TRAINING_MAX_EPOCHS", "2")
    config = {
        "hpoConfig": {
            "hpoResourceConfig": jobs(2),
            "algorithmHyperParameterRanges": ranges(
                integer=[{"name": "hidden_dimension", "minValue": 32, "maxValue": 34}],
                categorical=[{"name": "recency_mask", "values": ["true", "false"]}],
            ),
        }
    }
    solution = create("aws-hrnn", performHPO=True, config=config)
    arn = service.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    events = []
    train(waiting, waiting.jobs.claim(), events.append)
    outcome = read_outcome(version_folder(service.home, arn))
    assert all(list(trial["figures"]) == ["1", "2"] for trial in outcome.trials)
    stages = {event.stage for event in events}
    assert {"trial 1 of 2", "trial 2 of 2"} <= {stage.split(",")[0] for stage in stages}
    fractions = [event.fraction for event in events if event.fraction is not None]
    assert fractions == sorted(fractions)
    assert list(outcome.tuned) == ["hidden_dimension", "bptt", "recency_mask"]


@pytest.mark.parametrize(
    ("recipe", "name", "high"),
    [("aws-sims", "min_cointeraction_count", 9), ("aws-hrnn", "hidden_dimension", 36)],
)
def test_the_same_data_give_the_same_search_twice(
    service, create, describe, recipe, name, high, monkeypatch
):
    monkeypatch.setenv("PERSONALENS_TRAINING_MAX_EPOCHS", "1")
    varied = ranges(integer=[{"name": name, "maxValue": high}])
    config = {"hpoConfig": {"hpoResourceConfig": jobs(4), RANGES: varied}}
    solution = create(recipe, performHPO=True, config=config)
    first, second = (trials_of(service, describe(solution)) for _ in range(2))
    for trial in first + second:
        del trial["seconds"]
    assert first == second


def test_an_interrupted_search_goes_on_where_it_was(service, create, waiting, monkeypatch):
    config = {"hpoConfig": {"hpoResourceConfig": jobs(4, parallel=1)}}
    arn = service.create_solution_version(solutionArn=create(performHPO=True, config=config))[
        "solutionVersionArn"
    ]
    fits, fit = [], SIMS._fit

    def counted(model, *arguments):
        fits.append(model.config)
        if len(fits) == 3:
            raise SystemExit  # the worker is told to leave
        fit(model, *arguments)

    monkeypatch.setattr(SIMS, "_fit", counted)
    with pytest.raises(SystemExit):
        run_jobs(waiting)
    folder = version_folder(service.home, arn)
    (kept,) = folder.parent.rglob("*.json")
    assert len(json.loads(kept.read_text())["trials"]) == 2
    run_jobs(waiting)
    described = service.describe_solution_version(solutionVersionArn=arn)["solutionVersion"]
    assert described["status"] == "ACTIVE", described
    assert len(fits) == 3 + 2 + 2, "two trials were left, then the hold-out's model and the final"
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_search_that_fails_leaves_nothing(service, create, monkeypatch):
    def broken(*_):
        raise RuntimeError("the matrix is singular")

    monkeypatch.setattr(SIMS, "_fit", broken)
    config = {"hpoConfig": {"hpoResourceConfig": jobs(2)}}
    arn = service.create_solution_version(solutionArn=create(performHPO=True, config=config))
    version = service.describe_solution_version(**arn)["solutionVersion"]
    assert version["status"] == "CREATE FAILED"
    assert "the matrix is singular" in version["failureReason"]
    assert [path for path in service.home.models.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("recipe", "hpo", "message"),
    [
        ("aws-popularity-count", {}, "no hyperparameter that can be tuned"),
        ("aws-sims", {"hpoResourceConfig": jobs(41)}, '\'41\'; give "1" to "40"'),
        ("aws-sims", {"hpoResourceConfig": jobs(40, 11)}, '\'11\'; give "1" to "10"'),
        ("aws-sims", {"hpoResourceConfig": jobs("many")}, "'many'"),
        (
            "aws-sims",
            {RANGES: ranges(integer=[{"name": "bptt", "minValue": 2, "maxValue": 3}])},
            "'bptt'; aws-sims can tune popularity_discount_factor",
        ),
        (
            "aws-hrnn",
            {
                RANGES: ranges(
                    continuous=[{"name": "max_user_history_length_percentile", "maxValue": 1.0}]
                )
            },
            "aws-hrnn can tune hidden_dimension, bptt, recency_mask",
        ),
        (
            "aws-hrnn",
            {RANGES: ranges(continuous=[{"name": "bptt", "minValue": 2.0, "maxValue": 3.0}])},
            "bptt, which belongs in integerHyperParameterRanges",
        ),
        (
            "aws-hrnn",
            {RANGES: ranges(integer=[{"name": "bptt", "minValue": 2, "maxValue": 33}])},
            "bptt from 2 to 33; .* between 2 and 32",
        ),
        (
            "aws-hrnn",
            {RANGES: ranges(integer=[{"name": "bptt", "minValue": 9, "maxValue": 8}])},
            "bptt from 9 to 8",
        ),
        (
            "aws-hrnn",
            {RANGES: ranges(integer=[{"name": "bptt"}, {"name": "bptt"}])},
            "two ranges for bptt",
        ),
        (
            "aws-hrnn",
            {RANGES: ranges(categorical=[{"name": "recency_mask", "values": ["true", "maybe"]}])},
            "recency_mask are .*choose among true, false",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused(create, recipe, hpo, message):
    with pytest.raises(InvalidInputException, match=message):
        create(recipe, performHPO=True, config={"hpoConfig": hpo})


def test_setting_everything_leaves_nothing_to_search(create):
    everything = {"popularity_discount_factor": "0.5", "min_cointeraction_count": "3"}
    with pytest.raises(InvalidInputException, match="sets every hyperparameter"):
        create(performHPO=True, config={"algorithmHyperParameters": everything})


# -- AutoML ---------------------------------------------------------------------------------------


@pytest.fixture
def ease(service):
    return register(EASE, home=service.home)


def test_the_recipe_that_does_best_is_chosen_tuned_and_reported(service, create, describe, ease):
    recipes = [RECIPE + "aws-popularity-count", ease]
    solution = create(
        None,
        performAutoML=True,
        config={"autoMLConfig": {"metricName": "precision_at_10", "recipeList": recipes}},
    )
    assert "recipeArn" not in service.describe_solution(solutionArn=solution)["solution"]
    version = describe(solution)
    trials = trials_of(service, version)
    compared = {trial["params"]["recipe"]: trial["value"] for trial in trials[:2]}
    assert compared["my-ease"] > compared["aws-popularity-count"]
    assert [list(trial["params"]) for trial in trials[2:]] == [["penalty"]] * AUTOML_JOBS
    assert version["recipeArn"] == ease
    described = service.describe_solution(solutionArn=solution)["solution"]
    assert described["autoMLResult"] == {"bestRecipeArn": ease}
    assert "recipeArn" not in described
    best = max(trials[2:], key=lambda trial: trial["value"] or 0)
    tuned = version["tunedHPOParams"]["algorithmHyperParameters"]
    assert float(tuned["penalty"]) == best["params"]["penalty"]
    campaign = service.create_campaign(name="c", solutionVersionArn=version["solutionVersionArn"])[
        "campaignArn"
    ]
    answer = service.get_recommendations(campaignArn=campaign, userId="viewer-1", numResults=3)
    assert len(answer["itemList"]) == 3


def test_a_recipe_without_anything_to_tune_may_win(service, create, describe, ease, monkeypatch):
    monkeypatch.setattr(EASE, "measure", lambda model, holdout, **_: {OBJECTIVE: 0.0})
    recipes = [RECIPE + "aws-popularity-count", ease]
    version = describe(
        create(None, performAutoML=True, config={"autoMLConfig": {"recipeList": recipes}})
    )
    assert version["recipeArn"] == RECIPE + PopularityCount.name
    assert "tunedHPOParams" not in version
    assert search_log(version["solutionVersionArn"], service.home).state.tolist() == [COMPLETE] * 2
    assert [trial["state"] for trial in trials_of(service, version)] == [COMPLETE] * 2


def test_automl_heeds_nothing_else(service, create, describe):
    config = {
        "autoMLConfig": {"recipeList": [RECIPE + "aws-popularity-count"]},
        "eventValueThreshold": "1000",
        "algorithmHyperParameters": {"no_such_thing": "1"},
    }
    solution = create(None, performAutoML=True, config=config)
    assert describe(solution)["recipeArn"] == RECIPE + "aws-popularity-count"
    assert service.describe_solution(solutionArn=solution)["solution"]["solutionConfig"] == config


def test_without_a_list_the_hrnn_recipes_are_compared(service, create):
    solution = create(None, performAutoML=True)
    row = service.context.store.require(solution)
    names = [arn.removeprefix(RECIPE) for arn in row.body["_automlRecipes"]]
    assert names[0] == "aws-hrnn"
    assert set(names) <= {"aws-hrnn", "aws-hrnn-metadata"}, "coldstart needs an Items dataset"


@pytest.mark.parametrize(
    ("automl", "message"),
    [
        ({"metricName": "accuracy"}, "metricName is 'accuracy'; choose mean_reciprocal_rank_at_25"),
        ({"recipeList": [RECIPE + "aws-nothing"]}, "aws-nothing; AutoML compares"),
        ({"recipeList": [RECIPE + "aws-sims"]}, "aws-sims; AutoML compares recipes that recommend"),
    ],
)
def test_what_automl_cannot_compare_is_refused(create, automl, message):
    with pytest.raises(InvalidInputException, match=message):
        create(None, performAutoML=True, config={"autoMLConfig": automl})


def test_automl_and_a_recipe_contradict_each_other(create):
    with pytest.raises(InvalidInputException, match="leave out recipeArn"):
        create("aws-sims", performAutoML=True)
    with pytest.raises(InvalidInputException, match="Name the recipe"):
        create(None)
    with pytest.raises(InvalidInputException, match="autoMLConfig is for solutions with"):
        create("aws-sims", config={"autoMLConfig": {"metricName": "precision_at_25"}})


def test_the_ranges_are_shown_with_their_stage_and_may_be_asked_for_so(service, films):
    given = {
        "integerHyperParameterRanges": [{"name": "bptt", "minValue": 2, "maxValue": 8}],
        "categoricalHyperParameterRanges": [{"name": "recency_mask", "values": ["true"]}],
    }
    shown = given
    for name in ("first", "again"):
        arn = service.create_solution(
            name=name,
            datasetGroupArn=films.group,
            recipeArn="arn:aws:personalize:::recipe/aws-hrnn",
            performHPO=True,
            solutionConfig={"hpoConfig": {"algorithmHyperParameterRanges": shown}},
        )["solutionArn"]
        described = service.describe_solution(solutionArn=arn)["solution"]["solutionConfig"]
        shown = described["hpoConfig"]["algorithmHyperParameterRanges"]
        names = [one["name"] for ranges in shown.values() for one in ranges]
        assert names == ["training.bptt", "data.recency_mask"]
