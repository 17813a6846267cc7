"""What the HTTP server answers on its event loop: requests that read and compute nothing."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from personalens.aws.operation_router import OperationRouter, WireRequest, answer, is_quick
from personalens.recipes.base import Recipe
from personalens.storage import job_queue
from personalens.storage.dataset_rows import DatasetRows
from tests.dataset_tables import import_table

pytestmark = pytest.mark.usefixtures("taste_recipes")

PATHS = {
    "get_recommendations": "/recommendations",
    "get_personalized_ranking": "/personalize-ranking",
}


@pytest.fixture
def router(service):
    """As a server has it: one that has answered nothing yet."""
    return OperationRouter(service.home, open_context=lambda home, region: service.context)


@pytest.fixture
def ask(router, monkeypatch):
    """Return a function that asks as the server does: whether it was quick. What is said to be
    quick must read no model and no table, and score nobody."""

    def ask(operation="get_recommendations", **params):
        request = WireRequest(
            "POST", PATHS[operation], {}, json.dumps(params).encode(), "us-east-1"
        )
        before = is_quick(router, request)
        with monkeypatch.context() as patch:
            if before:
                for owner, name in ((Recipe, "score"), (Recipe, "load"), (DatasetRows, "read")):
                    patch.setattr(owner, name, None)
            response = answer(router, request)
        assert response.status == 200, response.body
        return before

    return ask


def test_a_request_is_quick_from_the_second_time_on(ask, deploy):
    campaign = deploy("test-taste")
    assert [ask(campaignArn=campaign, userId="viewer-1") for _ in range(3)] == [False, True, True]
    assert not ask(campaignArn=campaign, userId="viewer-2")
    assert not ask(campaignArn=campaign, userId="viewer-1", context={"DEVICE": "tv"})
    assert ask(campaignArn=campaign, userId="viewer-1", numResults=3)


def test_an_event_makes_the_next_request_wait(service, films, ask, deploy):
    campaign = deploy("test-taste")
    tracker = service.create_event_tracker(name="t", datasetGroupArn=films.group)["trackingId"]
    request = {"campaignArn": campaign, "userId": "viewer-1"}
    assert [ask(**request) for _ in range(2)] == [False, True]
    event = {"eventType": "watch", "itemId": "film-1", "sentAt": 1_700_000_000}
    service.put_events(trackingId=tracker, sessionId="s", userId="viewer-1", eventList=[event])
    assert [ask(**request) for _ in range(2)] == [False, True]


def test_a_new_model_has_to_be_read(service, ask, deploy, train):
    campaign = deploy("test-taste")
    assert [ask(campaignArn=campaign, userId="viewer-1") for _ in range(2)] == [False, True]
    service.update_campaign(campaignArn=campaign, solutionVersionArn=train("test-hiding"))
    assert [ask(campaignArn=campaign, userId="viewer-1") for _ in range(2)] == [False, True]


def test_a_ranking_is_quick_too(ask, deploy):
    request = {"campaignArn": deploy("test-ranking"), "userId": "viewer-1", "inputList": ["film-1"]}
    assert [ask("get_personalized_ranking", **request) for _ in range(2)] == [False, True]


def test_related_items_wait_for_the_model_alone(ask, deploy):
    campaign = deploy("aws-sims")
    assert not ask(campaignArn=campaign, itemId="film-1")
    assert ask(campaignArn=campaign, itemId="film-2")


@pytest.mark.parametrize(
    "expression",
    [
        "EXCLUDE ItemID WHERE Items.GENRE IN ($GENRE)",
        'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("watch")',
        "INCLUDE ItemID WHERE Items.GENRE IN ($GENRE) IF CurrentUser.AGE > 20",
    ],
)
def test_a_filter_waits_for_what_it_asks_about(
    service, described_films, ask, deploy, tmp_path, expression
):
    fields = [{"name": "USER_ID", "type": "string"}, {"name": "AGE", "type": "int"}]
    users = pd.DataFrame({"USER_ID": ["viewer-1"], "AGE": [30]})
    import_table(service, described_films.group, tmp_path, "Users", fields, users)
    campaign = deploy("test-taste")
    arn = service.create_filter(
        name="filter", datasetGroupArn=described_films.group, filterExpression=expression
    )["filterArn"]
    assert not ask(campaignArn=campaign, userId="viewer-1")
    values = {"filterValues": {"GENRE": '"noir"'}} if "$GENRE" in expression else {}
    request = {"campaignArn": campaign, "userId": "viewer-1", "filterArn": arn, **values}
    assert [ask(**request) for _ in range(2)] == [False, True]
    promotion = {"filterArn": arn, "percentPromotedItems": 50, **values}
    assert ask(campaignArn=campaign, userId="viewer-1", promotions=[promotion])


def test_trends_are_read_when_events_have_come(service, films, ask, deploy):
    campaign = deploy("aws-trending-now")
    tracker = service.create_event_tracker(name="t", datasetGroupArn=films.group)["trackingId"]
    assert [ask(campaignArn=campaign) for _ in range(2)] == [False, True]
    event = {"eventType": "watch", "itemId": "film-1", "sentAt": 1_700_000_000}
    service.put_events(trackingId=tracker, sessionId="s", userId="viewer-1", eventList=[event])
    assert [ask(campaignArn=campaign) for _ in range(2)] == [False, True]


def test_what_is_due_waits(ask, deploy, monkeypatch):
    campaign = deploy("test-taste")
    ask(campaignArn=campaign, userId="viewer-1")
    now = job_queue.clock()
    monkeypatch.setattr(job_queue, "clock", lambda: now + 3 * job_queue.LOOK_SECONDS)
    assert [ask(campaignArn=campaign, userId="viewer-1") for _ in range(2)] == [False, True]


def test_what_is_wrong_is_said_at_once(router, deploy):
    def quick(body):
        return is_quick(router, WireRequest("POST", "/recommendations", {}, body))

    campaign = deploy("test-taste")
    answer(router, WireRequest("POST", "/recommendations", {}, b"{}"))
    assert quick(b"no json")
    assert quick(json.dumps({"userId": "1"}).encode())
    assert quick(json.dumps({"campaignArn": f"{campaign}-not", "userId": "1"}).encode())
