"""What the runtime answers, from a trained campaign to every refusal."""

import json
import shutil
import threading
from uuid import UUID

import numpy as np
import pytest

from personalens.jobs.job_runner import run_jobs
from personalens.service_errors import InvalidInputException, ResourceNotFoundException
from personalens.storage.model_folders import load_model, version_folder

MISSING = "arn:aws:personalize:us-east-1:123456789012:campaign/missing"


def items(answer):
    return [item["itemId"] for item in answer["itemList"]]


@pytest.fixture
def popular(deploy):
    return deploy("aws-popularity-count")


@pytest.fixture
def related(deploy):
    return deploy("aws-sims")


@pytest.fixture
def tastes(deploy, monkeypatch):
    """An HRNN campaign; the network is hardly trained, which is enough to serve."""
    monkeypatch.setenv("PERSONALENS_TRAINING_MAX_EPOCHS", "1")
    config = {"algorithmHyperParameters": {"hidden_dimension": "32"}}
    return deploy("aws-hrnn", solutionConfig=config)


@pytest.fixture
def ranking(taste_recipes, deploy):
    return deploy("test-ranking")


# -- lists ----------------------------------------------------------------------------------------


def test_popularity_is_the_same_list_for_everyone(service, popular, world):
    lists = [
        items(service.get_recommendations(campaignArn=popular, **who))
        for who in ({}, {"userId": "viewer-1"}, {"userId": "nobody"}, {"itemId": "film-1"})
    ]
    assert lists[0] == lists[1] == lists[2] == lists[3]
    users = world.groupby("ITEM_ID")["USER_ID"].nunique()
    assert users[lists[0][0]] == users.max()
    answer = service.get_recommendations(campaignArn=popular)
    assert all(set(item) == {"itemId"} for item in answer["itemList"]), "no scores"


def test_a_list_has_25_items_unless_asked_otherwise(service, popular):
    for asked, given in ((None, 25), (0, 0), (1, 1), (40, 40), (500, 40)):
        options = {} if asked is None else {"numResults": asked}
        assert len(items(service.get_recommendations(campaignArn=popular, **options))) == given


def test_what_a_recipe_hides_from_a_user_is_in_no_list_of_theirs(
    service, films, taste_recipes, deploy
):
    campaign = deploy("test-forget")
    for viewer in ("viewer-0", "viewer-7"):
        answer = service.get_recommendations(campaignArn=campaign, userId=viewer, numResults=40)
        seen = set(films.seen_by(viewer).index)
        assert seen.isdisjoint(items(answer))
        assert len(items(answer)) == 40 - len(seen)
    newcomer = service.get_recommendations(campaignArn=campaign, userId="nobody", numResults=40)
    assert len(items(newcomer)) == 40


def test_related_items_are_those_that_the_recipe_finds(service, films, related):
    version = service.describe_campaign(campaignArn=related)["campaign"]["solutionVersionArn"]
    model = load_model(version_folder(service.home, version))
    answer = service.get_recommendations(campaignArn=related, itemId="film-4", numResults=5)
    assert items(answer) == model.similar(["film-4"], k=5)["ITEM_ID"].tolist()
    assert "film-4" not in items(answer)
    assert all(set(item) == {"itemId"} for item in answer["itemList"])
    ignored = service.get_recommendations(
        campaignArn=related, itemId="film-4", userId="viewer-1", numResults=5
    )
    assert items(ignored) == items(answer)


def test_an_unknown_item_is_answered_with_popular_items(service, related, popular):
    unknown = items(service.get_recommendations(campaignArn=related, itemId="x", numResults=10))
    known = items(service.get_recommendations(campaignArn=popular, numResults=10))
    assert unknown == known


def test_hrnn_scores_share_the_whole_catalogue(service, films, tastes):
    answer = service.get_recommendations(campaignArn=tastes, userId="viewer-3", numResults=500)
    scores = [item["score"] for item in answer["itemList"]]
    assert len(scores) == 40
    assert sum(scores) == pytest.approx(1.0)
    assert scores == sorted(scores, reverse=True)
    short = service.get_recommendations(campaignArn=tastes, userId="viewer-3", numResults=3)
    assert short["itemList"] == answer["itemList"][:3], "a shorter list has the same scores"
    assert set(items(answer)) >= set(films.seen_by("viewer-3").index), "what was seen stays"


def test_hrnn_answers_users_by_their_history(service, tastes):
    one, other, again = (
        items(service.get_recommendations(campaignArn=tastes, userId=user, numResults=40))
        for user in ("viewer-1", "viewer-2", "viewer-1")
    )
    assert one != other
    assert one == again


def test_unknown_users_get_the_cold_start_list(service, tastes):
    lists = [
        service.get_recommendations(campaignArn=tastes, userId=user)["itemList"]
        for user in ("nobody", "somebody else")
    ]
    assert lists[0] == lists[1]
    assert len(lists[0]) == 25


def test_inputs_that_do_not_apply_are_ignored(service, tastes):
    plain = service.get_recommendations(campaignArn=tastes, userId="viewer-1")
    rich = service.get_recommendations(
        campaignArn=tastes, userId="viewer-1", itemId="film-3", context={"DEVICE": "fridge"}
    )
    assert rich["itemList"] == plain["itemList"]


def test_every_answer_has_an_identifier_of_its_own(service, popular):
    ids = [service.get_recommendations(campaignArn=popular)["recommendationId"] for _ in range(2)]
    assert ids[0] != ids[1]
    for identifier in ids:
        assert identifier.startswith("RID-")
        assert str(UUID(identifier.removeprefix("RID-"))) == identifier.removeprefix("RID-")


# -- ranking --------------------------------------------------------------------------------------


def test_a_ranking_recipe_orders_the_list(service, films, ranking):
    seen = films.seen_by("viewer-5")
    often, once = seen.index[0], seen.index[-1]
    assert seen[often] > seen[once]
    answer = service.get_personalized_ranking(
        campaignArn=ranking, userId="viewer-5", inputList=["new", once, often, "newer"]
    )
    ranked = answer["personalizedRanking"]
    assert [item["itemId"] for item in ranked] == [often, once, "new", "newer"]
    shares = np.array([1 + seen[often], 1 + seen[once]]) / (2 + seen[often] + seen[once])
    assert [item["score"] for item in ranked[:2]] == pytest.approx(shares.tolist())
    assert [("score" in item) for item in ranked[2:]] == [False, False]
    assert answer["recommendationId"].startswith("RID-")


def test_each_operation_serves_its_own_recipe_types(service, ranking, popular):
    with pytest.raises(InvalidInputException, match="call GetPersonalizedRanking"):
        service.get_recommendations(campaignArn=ranking, userId="viewer-5")
    with pytest.raises(InvalidInputException, match="only a PERSONALIZED_RANKING recipe ranks"):
        service.get_personalized_ranking(campaignArn=popular, userId="u", inputList=["film-1"])


@pytest.mark.parametrize(
    ("request_members", "message"),
    [
        ({"inputList": []}, "items in inputList is 0; allowed: 1 to 500"),
        ({"inputList": ["film-1"] * 501}, "items in inputList is 501"),
        ({"userId": ""}, "userId is missing"),
    ],
)
def test_a_ranking_needs_a_user_and_a_list(service, ranking, request_members, message):
    request = {"userId": "u", "inputList": ["film-1"], **request_members}
    with pytest.raises(InvalidInputException, match=message):
        service.get_personalized_ranking(campaignArn=ranking, **request)


# -- refusals -------------------------------------------------------------------------------------


def test_a_campaign_must_be_named(service):
    with pytest.raises(InvalidInputException, match="Give one of campaignArn and"):
        service.get_recommendations(userId="u")
    with pytest.raises(ResourceNotFoundException, match="Could not find campaign"):
        service.get_recommendations(campaignArn=MISSING, userId="u")
    with pytest.raises(ResourceNotFoundException, match="Could not find campaign"):
        service.get_personalized_ranking(campaignArn=MISSING, userId="u", inputList=["a"])


def test_a_recommender_must_exist_and_come_alone(service, popular):
    recommender = MISSING.replace("campaign", "recommender")
    with pytest.raises(ResourceNotFoundException, match="Could not find recommender"):
        service.get_recommendations(recommenderArn=recommender, userId="u")
    with pytest.raises(InvalidInputException, match="Give one of campaignArn and"):
        service.get_recommendations(recommenderArn=recommender, campaignArn=popular)


def test_the_input_that_the_recipe_needs_must_be_there(service, related, tastes):
    with pytest.raises(InvalidInputException, match="itemId is missing"):
        service.get_recommendations(campaignArn=related, userId="viewer-1")
    with pytest.raises(InvalidInputException, match="userId is missing"):
        service.get_recommendations(campaignArn=tastes, itemId="film-1")


@pytest.mark.parametrize("asked", [501, -1])
def test_more_than_500_results_are_refused(service, popular, asked):
    with pytest.raises(InvalidInputException, match="numResults"):
        service.get_recommendations(campaignArn=popular, numResults=asked)


def test_only_an_active_campaign_answers(service, films, popular, waiting):
    version = service.describe_campaign(campaignArn=popular)["campaign"]["solutionVersionArn"]
    pending = service.create_campaign(name="pending", solutionVersionArn=version)["campaignArn"]
    with pytest.raises(ResourceNotFoundException, match="is CREATE PENDING"):
        service.get_recommendations(campaignArn=pending)
    run_jobs(waiting)
    assert len(items(service.get_recommendations(campaignArn=pending))) == 25


def test_a_campaign_whose_model_was_deleted_says_so(service, popular):
    shutil.rmtree(service.home.models)
    with pytest.raises(ResourceNotFoundException, match="Create a new solution version"):
        service.get_recommendations(campaignArn=popular)


def test_a_model_of_another_version_is_to_be_trained_again(service, popular):
    [config] = service.home.models.glob("*/*/config.json")
    told = json.loads(config.read_text())
    config.write_text(json.dumps(told | {"format_version": told["format_version"] - 1}))
    with pytest.raises(ResourceNotFoundException, match=r"has the format .* Train the model again"):
        service.get_recommendations(campaignArn=popular)


# -- freshness and threads ------------------------------------------------------------------------


def test_an_update_counts_from_the_next_request_on_even_if_another_process_made_it(
    service, films, deploy, world
):
    """The first version learned from everything, the second from what was watched on a phone."""
    campaign = deploy("aws-popularity-count", "p")
    before = items(service.get_recommendations(campaignArn=campaign))
    subset = world[world["ITEM_ID"] >= "film-2"]
    films.import_again(subset)
    elsewhere = type(service)(service.home)
    solution = service.describe_campaign(campaignArn=campaign)["campaign"]["solutionVersionArn"]
    second = elsewhere.create_solution_version(solutionArn=solution.rpartition("/")[0])
    elsewhere.update_campaign(campaignArn=campaign, solutionVersionArn=second["solutionVersionArn"])
    after = items(service.get_recommendations(campaignArn=campaign, numResults=500))
    assert set(after) == set(subset["ITEM_ID"])
    assert not set(before) <= set(after)


def test_a_deleted_campaign_is_gone_at_once(service, popular):
    assert items(service.get_recommendations(campaignArn=popular))
    service.delete_campaign(campaignArn=popular)
    with pytest.raises(ResourceNotFoundException):
        service.get_recommendations(campaignArn=popular)


def test_threads_get_the_answers_that_one_gets(service, tastes):
    users = [f"viewer-{number}" for number in range(12)]

    def ask(user):
        return service.get_recommendations(campaignArn=tastes, userId=user)["itemList"]

    together = {}
    threads = [
        threading.Thread(target=lambda user=user: together.update({user: ask(user)}))
        for user in users
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == {user: ask(user) for user in users}
