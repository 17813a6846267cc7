"""Recipes that are no sequence models, trained as solutions: what they read and how they are
measured."""

import pytest

RECIPE = "arn:aws:personalize:::recipe/"
FIGURES = ["coverage", "mean_reciprocal_rank_at_25"]
SEGMENTS = ["coverage", "hits_at_1_percent", "recall_at_1_percent"]


def metrics_of(service, films, recipe, **solution):
    arn = service.create_solution(
        name=recipe, datasetGroupArn=films.group, recipeArn=RECIPE + recipe, **solution
    )["solutionArn"]
    version = service.create_solution_version(solutionArn=arn)["solutionVersionArn"]
    described = service.describe_solution_version(solutionVersionArn=version)["solutionVersion"]
    assert described["status"] == "ACTIVE", described.get("failureReason")
    return version, service.get_solution_metrics(solutionVersionArn=version)["metrics"]


@pytest.mark.parametrize(
    ("recipe", "names"),
    [
        ("aws-similar-items", FIGURES),
        ("aws-semantic-similarity", [*FIGURES, "item_similarity", "item_freshness"]),
        ("aws-trending-now", [*FIGURES, "trend_prediction_accuracy"]),
        ("aws-item-affinity", SEGMENTS),
        ("aws-item-attribute-affinity", SEGMENTS),
    ],
)
def test_they_train_and_are_measured_by_their_own_figures(service, described_films, recipe, names):
    _, metrics = metrics_of(service, described_films, recipe)
    assert set(names) <= set(metrics)
    assert metrics["coverage"] > 0


def test_a_film_that_nobody_saw_is_related_by_its_text(service, described_films):
    version, _ = metrics_of(service, described_films, "aws-semantic-similarity")
    campaign = service.create_campaign(name="texts", solutionVersionArn=version)["campaignArn"]
    answer = service.get_recommendations(campaignArn=campaign, itemId="film-40", numResults=10)
    assert {int(item["itemId"].removeprefix("film-")) % 4 for item in answer["itemList"]} == {0}


def test_a_campaign_lets_popularity_influence_the_order(service, described_films):
    version, _ = metrics_of(service, described_films, "aws-semantic-similarity")

    def listed(name, **config):
        arn = service.create_campaign(name=name, solutionVersionArn=version, campaignConfig=config)[
            "campaignArn"
        ]
        answer = service.get_recommendations(campaignArn=arn, itemId="film-0", numResults=10)
        return [item["itemId"] for item in answer["itemList"]]

    viewers = described_films.frame.groupby("ITEM_ID").USER_ID.nunique()

    def mean_viewers(films):
        return viewers.reindex(films, fill_value=0).mean()

    influenced = listed("influenced", rankingInfluence={"POPULARITY": 1.0})
    assert mean_viewers(influenced) > mean_viewers(listed("plain"))


def test_a_trend_is_looked_for_at_the_frequency_of_the_solution(service, films):
    config = {"featureTransformationParameters": {"trend_discovery_frequency": "1 day"}}
    version, _ = metrics_of(service, films, "aws-trending-now", solutionConfig=config)
    campaign = service.create_campaign(name="trend", solutionVersionArn=version)["campaignArn"]
    newest = films.frame.TIMESTAMP.max()
    age = (newest - films.frame.TIMESTAMP) // 86_400
    now, before = (films.frame.ITEM_ID[age == day].value_counts() for day in (0, 1))
    rise = now.sub(before, fill_value=0)
    answer = service.get_recommendations(campaignArn=campaign, numResults=3)
    assert [rise[item["itemId"]] for item in answer["itemList"]] == sorted(rise)[:-4:-1]
