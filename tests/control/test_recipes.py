"""What the service says about its recipes."""

import pytest

from personalens.control.operations.recipes import AVAILABLE_SINCE
from personalens.recipes import registry
from personalens.recipes.registry import PREVIEW_NAMES
from personalens.service_errors import (
    InvalidInputException,
    InvalidNextTokenException,
    ResourceNotFoundException,
)

RECIPES = sorted(registry.RECIPES)


def names(answer):
    return [recipe["name"] for recipe in answer["recipes"]]


def test_the_recipes_are_listed(service):
    answer = service.list_recipes(maxResults=100)
    assert names(answer) == RECIPES
    assert {"aws-hrnn", "aws-popularity-count", "aws-sims"} <= set(RECIPES)
    assert answer["recipes"][RECIPES.index("aws-hrnn")] == {
        "name": "aws-hrnn",
        "recipeArn": "arn:aws:personalize:::recipe/aws-hrnn",
        "status": "ACTIVE",
        "creationDateTime": AVAILABLE_SINCE,
        "lastUpdatedDateTime": AVAILABLE_SINCE,
    }
    assert "nextToken" not in answer


def test_a_page_holds_twenty_unless_the_request_says_otherwise(service):
    first = service.list_recipes()
    assert len(first["recipes"]) == 20
    second = service.list_recipes(nextToken=first["nextToken"])
    assert names(first) + names(second) == RECIPES
    assert "nextToken" not in second


@pytest.mark.parametrize(
    ("domain", "prefix"), [("ECOMMERCE", "aws-ecomm-"), ("VIDEO_ON_DEMAND", "aws-vod-")]
)
def test_a_domain_lists_its_own_recipes(service, domain, prefix):
    first = service.list_recipes(domain=domain)
    second = service.list_recipes(domain=domain, nextToken=first["nextToken"])
    assert names(first) + names(second) == [name for name in RECIPES if name.startswith(prefix)]
    assert "nextToken" not in second


def test_a_domain_is_kept_of_each_page_and_not_of_the_whole(service):
    pages, token = [], {}
    for _ in RECIPES:
        page = service.list_recipes(domain="ECOMMERCE", maxResults=1, **token)
        pages.append(names(page))
        token = {"nextToken": page.get("nextToken")}
    assert token == {"nextToken": None}
    assert pages == [[name] if name.startswith("aws-ecomm-") else [] for name in RECIPES]


def test_a_token_of_another_listing_is_refused(service):
    token = service.list_recipes(maxResults=1)["nextToken"]
    with pytest.raises(InvalidNextTokenException, match="nextToken of the previous"):
        service.list_recipes(domain="ECOMMERCE", nextToken=token)


def test_a_provider_other_than_the_service_is_refused(service):
    with pytest.raises(InvalidInputException, match="SERVICE"):
        service.list_recipes(recipeProvider="MYSELF")


@pytest.mark.parametrize(
    ("name", "recipe_type", "transformation"),
    [
        ("aws-hrnn", "USER_PERSONALIZATION", "JSON-percentile-filtering"),
        ("aws-sims", "RELATED_ITEMS", "sims"),
        ("aws-popularity-count", "POPULAR_ITEMS", "sims"),
    ],
)
def test_a_recipe_names_its_type_and_what_is_behind_it(service, name, recipe_type, transformation):
    arn = f"arn:aws:personalize:::recipe/{name}"
    recipe = service.describe_recipe(recipeArn=arn)["recipe"]
    assert recipe["recipeType"] == recipe_type
    assert recipe["algorithmArn"] == f"arn:aws:personalize:::algorithm/{name}"
    transformation_arn = f"arn:aws:personalize:::feature-transformation/{transformation}"
    assert recipe["featureTransformationArn"] == transformation_arn
    assert recipe["description"]


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:personalize:::recipe/aws-no-such-recipe",
        "arn:aws:personalize:us-east-1:123456789012:recipe/aws-sims",
        "arn:aws:personalize:::algorithm/aws-sims",
    ],
)
def test_a_recipe_that_does_not_exist_is_not_found(service, arn):
    with pytest.raises(ResourceNotFoundException, match="aws-hrnn"):
        service.describe_recipe(recipeArn=arn)


@pytest.mark.parametrize(("old", "name"), PREVIEW_NAMES.items())
def test_arns_of_the_preview_lead_to_the_recipes_of_today(service, old, name):
    recipe = service.describe_recipe(recipeArn=f"arn:aws:personalize:::recipe/{old}")["recipe"]
    assert recipe["recipeArn"] == f"arn:aws:personalize:::recipe/{name}"
    assert old not in names(service.list_recipes(maxResults=100))


def test_something_that_is_no_arn_is_invalid(service):
    with pytest.raises(InvalidInputException, match="aws-sims"):
        service.describe_recipe(recipeArn="aws-sims")


def test_an_algorithm_shows_defaults_as_strings_and_ranges_as_numbers(service):
    answer = service.describe_algorithm(algorithmArn="arn:aws:personalize:::algorithm/aws-sims")
    algorithm = answer["algorithm"]
    assert algorithm["defaultHyperParameters"] == {
        "popularity_discount_factor": "0.5",
        "min_cointeraction_count": "3",
    }
    assert algorithm["defaultHyperParameterRanges"] == {
        "integerHyperParameterRanges": [
            {"name": "min_cointeraction_count", "minValue": 0, "maxValue": 10, "isTunable": True}
        ],
        "continuousHyperParameterRanges": [
            {
                "name": "popularity_discount_factor",
                "minValue": 0.0,
                "maxValue": 1.0,
                "isTunable": True,
            }
        ],
        "categoricalHyperParameterRanges": [],
    }


def test_hrnn_has_a_categorical_hyperparameter(service):
    answer = service.describe_algorithm(algorithmArn="arn:aws:personalize:::algorithm/aws-hrnn")
    algorithm = answer["algorithm"]
    assert algorithm["defaultHyperParameters"] == {
        "hidden_dimension": "43",
        "bptt": "32",
        "recency_mask": "true",
    }
    assert algorithm["defaultHyperParameterRanges"]["categoricalHyperParameterRanges"] == [
        {"name": "recency_mask", "values": ["true", "false"], "isTunable": True}
    ]


def test_a_transformation_shows_its_default_parameters(service):
    arn = "arn:aws:personalize:::feature-transformation/sims"
    answer = service.describe_feature_transformation(featureTransformationArn=arn)
    transformation = answer["featureTransformation"]
    assert transformation["defaultParameters"] == {
        "min_user_history_length_percentile": "0.005",
        "max_user_history_length_percentile": "0.995",
        "min_item_interaction_count_percentile": "0.01",
        "max_item_interaction_count_percentile": "0.9",
    }
    assert transformation["status"] == "ACTIVE"


def test_unknown_algorithms_and_transformations_are_not_found(service):
    with pytest.raises(ResourceNotFoundException, match="PersonaLens has: aws-"):
        service.describe_algorithm(algorithmArn="arn:aws:personalize:::algorithm/deepfm")
    with pytest.raises(ResourceNotFoundException, match="JSON-percentile-filtering, "):
        service.describe_feature_transformation(
            featureTransformationArn="arn:aws:personalize:::feature-transformation/nothing"
        )
