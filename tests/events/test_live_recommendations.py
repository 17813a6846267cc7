"""A click changes the next list of its user, everywhere on the home, and the next training."""

from __future__ import annotations

import numpy as np
import pytest

from personalens.jobs.opening import open_home
from personalens.runtime.provider import PersonalizeRuntimeProvider

QUICK = {"algorithmHyperParameters": {"hidden_dimension": "32"}}


@pytest.fixture
def deploy(deploy, monkeypatch):
    """Trains a recipe, hardly, and puts a campaign in front; returns its ARN."""
    monkeypatch.setenv("PERSONALENS_TRAINING_MAX_EPOCHS", "1")

    return deploy


def listed(service, campaign: str, user: str, **request) -> list[tuple]:
    answer = service.get_recommendations(campaignArn=campaign, userId=user, **request)
    return [(item["itemId"], item.get("score")) for item in answer["itemList"]]


def test_a_click_changes_its_users_next_list_and_nobody_elses(service, deploy, put):
    campaign = deploy("aws-hrnn", solutionConfig=QUICK)
    before = {user: listed(service, campaign, user) for user in ("viewer-1", "viewer-2", "new")}
    put(userId="viewer-1", itemId="film-3")
    after = {user: listed(service, campaign, user) for user in before}
    assert after["viewer-1"] != before["viewer-1"]
    assert {u: after[u] for u in ("viewer-2", "new")} == {u: before[u] for u in ("viewer-2", "new")}
    for second in range(3):
        put(userId="new", itemId=f"film-{4 * second}", sentAt=1_700_000_000 + second)
    assert listed(service, campaign, "new") != before["new"]


def test_other_contexts_on_the_home_see_it_at_their_next_request(service, films, deploy, put):
    campaign = deploy("aws-hrnn", solutionConfig=QUICK)
    other = PersonalizeRuntimeProvider(open_home(service.home))
    for second in range(3):
        seen = listed(other, campaign, "viewer-1")
        put(userId="viewer-1", itemId="film-3", sentAt=1_700_000_000 + 90 * second)
        now = listed(other, campaign, "viewer-1")
        assert now != seen
        here = listed(service, campaign, "viewer-1")
        assert [item for item, _ in here] == [item for item, _ in now]
        np.testing.assert_allclose([s for _, s in here], [s for _, s in now], atol=1e-6)


def test_a_session_is_asked_for_until_it_names_its_user(service, deploy, put):
    campaign = deploy("aws-hrnn", solutionConfig=QUICK)
    nobody, known = listed(service, campaign, "s1"), listed(service, campaign, "viewer-1")
    put(sessionId="s1", itemId="film-3")
    assert listed(service, campaign, "s1") != nobody
    assert listed(service, campaign, "viewer-1") == known
    put(sessionId="s1", userId="viewer-1", eventType="SignIn")
    assert listed(service, campaign, "s1") == nobody
    assert listed(service, campaign, "viewer-1") != known


def test_recipes_that_ignore_users_stay_as_they_are(service, deploy, put):
    popular, related = deploy("aws-popularity-count"), deploy("aws-sims")
    before = (
        listed(service, popular, "viewer-1"),
        listed(service, related, "viewer-1", itemId="film-1"),
    )
    for second in range(5):
        put(userId="viewer-1", itemId="film-30", sentAt=1_700_000_000 + second)
    assert before == (
        listed(service, popular, "viewer-1"),
        listed(service, related, "viewer-1", itemId="film-1"),
    )


def test_a_ranking_follows_the_events_too(service, deploy, put):
    campaign = deploy("aws-personalized-ranking", solutionConfig=QUICK)

    def ranked() -> list:
        return service.get_personalized_ranking(
            campaignArn=campaign, userId="viewer-1", inputList=["film-1", "film-2", "film-3"]
        )["personalizedRanking"]

    before = ranked()
    put(userId="viewer-1", itemId="film-3")
    assert ranked() != before


def test_a_filter_sees_the_events(service, films, deploy, put):
    campaign = deploy("aws-popularity-count")
    expression = 'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("Like")'
    arn = service.create_filter(
        name="liked", datasetGroupArn=films.group, filterExpression=expression
    )["filterArn"]

    def shown(user: str) -> set[str]:
        found = listed(service, campaign, user, filterArn=arn, numResults=100)
        return {item for item, _ in found}

    everything = shown("viewer-1")
    put(userId="viewer-1", itemId="film-3", eventType="like")
    put(sessionId="s1", itemId="film-4", eventType="Like")
    assert everything - shown("viewer-1") == {"film-3"}
    assert everything - shown("s1") == {"film-4"}
    assert shown("viewer-2") == everything


def test_filters_and_metadata_see_put_items(service, films, deploy, items):
    campaign = deploy("aws-popularity-count")
    arn = service.create_filter(
        name="war",
        datasetGroupArn=films.group,
        filterExpression='INCLUDE ItemID WHERE Items.GENRES IN ("War")',
    )["filterArn"]

    def shown() -> list:
        return [item for item, _ in listed(service, campaign, "viewer-1", filterArn=arn)]

    assert shown() == []
    put_item(service, items, "film-3", '{"genres": "War|Drama", "numRatings": 1}')
    assert shown() == ["film-3"]
    service.update_campaign(
        campaignArn=campaign, campaignConfig={"enableMetadataWithRecommendations": True}
    )
    answer = service.get_recommendations(
        campaignArn=campaign,
        userId="viewer-1",
        filterArn=arn,
        metadataColumns={"ITEMS": ["NUM_RATINGS"]},
    )
    assert answer["itemList"][0]["metadata"] == {"num_ratings": "1"}
    put_item(service, items, "film-3", '{"genres": "Drama", "numRatings": 1}')
    assert shown() == []


def put_item(service, dataset: str, item: str, properties: str) -> None:
    service.put_items(datasetArn=dataset, items=[{"itemId": item, "properties": properties}])


def test_the_next_version_learns_from_the_events(service, films, deploy, put, items):
    campaign = deploy("aws-popularity-count")
    for viewer in range(60):
        put(userId=f"guest-{viewer}", sessionId=f"s{viewer}", itemId="premiere")
    put(sessionId="nobody", itemId="unseen")
    assert "premiere" not in [item for item, _ in listed(service, campaign, "viewer-1")]
    version = service.create_solution_version(
        solutionArn=service.list_solutions()["solutions"][0]["solutionArn"]
    )["solutionVersionArn"]
    service.update_campaign(campaignArn=campaign, solutionVersionArn=version)
    found = [item for item, _ in listed(service, campaign, "viewer-1", numResults=100)]
    assert found[0] == "premiere"
    assert "unseen" not in found


def test_a_list_served_becomes_the_impression_of_a_click(service, deploy, put, logged):
    campaign = deploy("aws-popularity-count")
    answer = service.get_recommendations(campaignArn=campaign, userId="viewer-1", numResults=3)
    put(userId="viewer-1", itemId="film-1", recommendationId=answer["recommendationId"])
    (event,) = logged()
    assert event["IMPRESSION"].split("|") == [item["itemId"] for item in answer["itemList"]]
    assert event["RECOMMENDED_BY"] == campaign


def test_trending_now_takes_in_the_streamed_events_of_everybody(service, films, deploy, put, world):
    """Amazon Personalize: Trending-Now evaluates streamed interactions, too; somebody else's events
    change the list, without a training."""
    campaign = deploy("aws-trending-now")
    other = PersonalizeRuntimeProvider(open_home(service.home))
    last = listed(service, campaign, "viewer-1", numResults=500)[-1][0]
    now = int(world["TIMESTAMP"].max())
    for number in range(60):
        put(itemId=last, sentAt=now + number, userId=f"stranger-{number}")
    put(itemId="no-film", userId="stranger-1", sentAt=now)
    here, there = (listed(each, campaign, "viewer-1") for each in (service, other))
    assert here == there
    assert here[0][0] == last
    put(itemId="film-2", userId="stranger-1", sentAt=now + 7300)
    assert listed(service, campaign, "viewer-2", numResults=500)[-1][0] == last, "it is over"


def test_a_visitors_events_count_once_for_the_trend_when_they_become_a_users(
    service, films, deploy, put, world
):
    campaign = deploy("aws-trending-now")
    now = int(world["TIMESTAMP"].max())

    def lead() -> list[str]:
        return [item for item, _ in listed(service, campaign, "viewer-1", numResults=2)]

    for number in range(40):
        put(itemId="film-7", sentAt=now + number, sessionId="visit")
        put(itemId="film-9", sentAt=now + number, userId="stranger")
    assert lead()[0] == "film-9"
    put(itemId="film-9", sentAt=now + 50, sessionId="visit", userId="visitor")
    assert lead() == ["film-9", "film-7"]
    for number in range(5):
        put(itemId="film-7", sentAt=now + 60 + number, sessionId="visit", userId="visitor")
    assert lead() == ["film-7", "film-9"], "45 of the one, 41 of the other"
