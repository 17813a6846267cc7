"""Solutions: every rule of their configuration, and what keeps one from being deleted."""

import pytest

from personalens.service_errors import (
    InvalidInputException,
    ResourceInUseException,
    ResourceNotFoundException,
)
from personalens.settings.solution_config import chosen_columns

HRNN = "arn:aws:personalize:::recipe/aws-hrnn"
SIMS = "arn:aws:personalize:::recipe/aws-sims"
POPULARITY = "arn:aws:personalize:::recipe/aws-popularity-count"


@pytest.fixture
def group(service):
    return service.create_dataset_group(name="films")["datasetGroupArn"]


@pytest.fixture
def create(service, group):
    def create(name="tastes", recipeArn=SIMS, **members):
        members = {"datasetGroupArn": group, "recipeArn": recipeArn, **members}
        return service.create_solution(name=name, **members)["solutionArn"]

    return create


def test_a_solution_is_active_at_once_and_echoes_its_configuration(service, group, create):
    config = {
        "algorithmHyperParameters": {"min_cointeraction_count": "2"},
        "featureTransformationParameters": {"max_user_history_length_percentile": "0.9"},
        "eventValueThreshold": "3.5",
        "autoTrainingConfig": {"schedulingExpression": "rate(7 days)"},
    }
    arn = create(eventType="watch", solutionConfig=config)
    assert arn == "arn:aws:personalize:us-east-1:123456789012:solution/tastes"
    solution = service.describe_solution(solutionArn=arn)["solution"]
    assert 0 < solution.pop("creationDateTime") <= solution.pop("lastUpdatedDateTime")
    assert solution == {
        "name": "tastes",
        "solutionArn": arn,
        "status": "ACTIVE",
        "recipeArn": SIMS,
        "datasetGroupArn": group,
        "performHPO": False,
        "performAutoML": False,
        "performAutoTraining": True,
        "performIncrementalUpdate": False,
        "eventType": "watch",
        "solutionConfig": config,
    }


def test_a_recipe_can_be_named_as_in_the_preview_of_2018(service, create):
    arn = create(recipeArn="arn:aws:personalize:::recipe/awspersonalizesimsmodel")
    assert service.describe_solution(solutionArn=arn)["solution"]["recipeArn"] == SIMS


def test_a_use_case_of_a_domain_is_no_solutions_recipe(service, create):
    arn = "arn:aws:personalize:::recipe/aws-vod-most-popular"
    with pytest.raises(InvalidInputException, match="use case of VIDEO_ON_DEMAND"):
        create(recipeArn=arn)


def test_automatic_training_can_be_turned_off_and_trains_nothing_by_itself(service, create):
    manual, automatic = create("manual", performAutoTraining=False), create("automatic")
    described = [
        service.describe_solution(solutionArn=arn)["solution"] for arn in (manual, automatic)
    ]
    assert [one["performAutoTraining"] for one in described] == [False, True]
    assert service.list_solution_versions(solutionArn=automatic)["solutionVersions"] == []


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"recipeArn": None}, "Name the recipe to train with recipeArn"),
        ({"performAutoML": True}, "leave out recipeArn"),
        ({"performIncrementalUpdate": True}, "aws-semantic-similarity only"),
        ({"solutionConfig": {"eventsConfig": {"eventParametersList": []}}}, "aws-sims does not"),
        (
            {"solutionConfig": {"optimizationObjective": {"itemAttribute": "PRICE"}}},
            "does not take solutionConfig.optimizationObjective",
        ),
        ({"solutionConfig": {"eventValueThreshold": "high"}}, "eventValueThreshold is 'high'"),
        ({"solutionConfig": {"eventValueThreshold": "nan"}}, "eventValueThreshold is 'nan'"),
        (
            {"solutionConfig": {"autoTrainingConfig": {"schedulingExpression": "rate(31 days)"}}},
            r"give rate\(1 day\) to rate\(30 days\)",
        ),
        (
            {"solutionConfig": {"autoTrainingConfig": {"schedulingExpression": "rate(2 weeks)"}}},
            "schedulingExpression",
        ),
    ],
)
def test_what_cannot_be_configured_is_refused(service, create, members, message):
    with pytest.raises(InvalidInputException, match=message):
        create(**members)
    assert service.list_solutions()["solutions"] == []


@pytest.mark.parametrize(
    ("recipe", "maps", "message"),
    [
        (
            SIMS,
            {"algorithmHyperParameters": {"depth": "3"}},
            r"no parameter 'depth' .*allowed: popularity_discount_factor, min_cointeraction_count",
        ),
        (SIMS, {"algorithmHyperParameters": {"min_cointeraction_count": "11"}}, "at most 10"),
        (SIMS, {"algorithmHyperParameters": {"popularity_discount_factor": "x"}}, "a number"),
        (HRNN, {"algorithmHyperParameters": {"hidden_dimension": "31"}}, "must be at least 32"),
        (HRNN, {"algorithmHyperParameters": {"bptt": "12.5"}}, "must be a whole number"),
        (HRNN, {"algorithmHyperParameters": {"recency_mask": "maybe"}}, "must be true or false"),
        (
            HRNN,
            {"algorithmHyperParameters": {"max_user_history_length_percentile": "0.9"}},
            "It belongs in featureTransformationParameters",
        ),
        (POPULARITY, {"algorithmHyperParameters": {"bptt": "8"}}, "none is allowed"),
    ],
)
def test_hyperparameters_are_held_to_the_recipes_table(create, recipe, maps, message):
    with pytest.raises(InvalidInputException, match=message):
        create(recipeArn=recipe, solutionConfig=maps)


def test_the_group_and_the_recipe_must_exist(service, create, group):
    with pytest.raises(ResourceNotFoundException, match="dataset group"):
        create(datasetGroupArn=group + "-2")
    with pytest.raises(ResourceNotFoundException, match="PersonaLens has: aws-"):
        create(recipeArn="arn:aws:personalize:::recipe/aws-no-such-recipe")
    with pytest.raises(ResourceNotFoundException, match="solution"):
        service.describe_solution(solutionArn=group)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"excludedDatasetColumns": {"Films": ["A"]}}, "'Films'; allowed: INTERACTIONS"),
        ({"includedDatasetColumns": {"Items": ["GENRES"]}}, "has no such dataset"),
        ({"excludedDatasetColumns": {"Interactions": ["PLACE"]}}, "does not have: PLACE. It has"),
        ({"excludedDatasetColumns": {"INTERACTIONS": ["EVENT_TYPE"]}}, "cannot exclude EVENT_TYPE"),
    ],
)
def test_training_columns_are_those_of_the_schema(service, films, choice, message):
    with pytest.raises(InvalidInputException, match=message):
        service.create_solution(
            name="tastes",
            datasetGroupArn=films.group,
            recipeArn=SIMS,
            solutionConfig={"trainingDataConfig": choice},
        )


def test_columns_are_kept_and_left_out_as_asked():
    there = frozenset({"USER_ID", "EVENT_TYPE", "EVENT_VALUE", "DEVICE", "HOUR"})
    assert chosen_columns({}, "INTERACTIONS", there) == there
    included = {"includedDatasetColumns": {"INTERACTIONS": ["DEVICE"]}}
    assert chosen_columns(included, "INTERACTIONS", there) == {"USER_ID", "EVENT_TYPE", "DEVICE"}
    excluded = {"excludedDatasetColumns": {"Interactions": ["HOUR"], "ITEMS": ["DEVICE"]}}
    assert chosen_columns(excluded, "INTERACTIONS", there) == there - {"HOUR"}
    assert chosen_columns(excluded, "ITEMS", there) == there - {"DEVICE"}


def test_the_newest_version_is_summarised(service, films):
    arn = service.create_solution(name="p", datasetGroupArn=films.group, recipeArn=POPULARITY)[
        "solutionArn"
    ]
    assert "latestSolutionVersion" not in service.describe_solution(solutionArn=arn)["solution"]
    versions = [service.create_solution_version(solutionArn=arn) for _ in range(2)]
    latest = service.describe_solution(solutionArn=arn)["solution"]["latestSolutionVersion"]
    assert latest["solutionVersionArn"] == versions[1]["solutionVersionArn"]
    assert (latest["status"], latest["trainingMode"]) == ("ACTIVE", "FULL")


@pytest.mark.usefixtures("quick_deletions")
def test_a_solution_behind_a_campaign_is_in_use(service, films):
    arn = service.create_solution(name="p", datasetGroupArn=films.group, recipeArn=POPULARITY)[
        "solutionArn"
    ]
    version = service.create_solution_version(solutionArn=arn)["solutionVersionArn"]
    campaign = service.create_campaign(name="c", solutionVersionArn=version)["campaignArn"]
    with pytest.raises(ResourceInUseException, match=campaign):
        service.delete_solution(solutionArn=arn)
    service.delete_campaign(campaignArn=campaign)
    service.delete_solution(solutionArn=arn)
    assert service.list_solutions()["solutions"] == []
