"""What a naive version of the service gets wrong, each held by a test.

The numbers are those of the project's reference of Personalize's behaviour, its last section. A
test of this module is named after its surprise; the table says which tests hold the others.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import boto3
import pytest

from personalens.service_errors import InvalidInputException, ResourceAlreadyExistsException
from tests.contract.account import EVENT, RECIPE, ROLE, Account

TESTS = Path(__file__).resolve().parents[1]
SURPRISES = 26
HELD_ELSEWHERE = {
    1: "contract/test_model_constraints.py::test_every_constraint_is_kept",
    4: "control/test_solution_versions.py::test_a_training_stops_within_a_few_batches",
    6: "control/test_automatic_training.py::"
    "test_the_first_version_comes_an_hour_after_the_solution",
    7: "control/test_item_recipes.py::test_they_train_and_are_measured_by_their_own_figures",
    8: "runtime/test_batch_inference.py::"
    "test_a_ranking_ranks_its_item_list_the_unknown_last_without_a_score",
    13: "evaluation/test_holdouts.py::test_the_newest_tenth_is_the_truth_at_least_one",
    14: "evaluation/test_ranking_metrics.py::"
    "test_precision_divides_by_k_even_when_the_list_is_shorter",
    15: "recipes/test_popularity_count.py::test_users_count_and_not_events",
    16: "control/test_training_columns.py::"
    "test_events_weigh_by_type_and_value_and_the_heavier_entry_counts",
    17: "events/test_put_events.py::test_item_and_value_may_stand_in_properties",
    19: "events/test_put_events.py::test_an_anonymous_session_is_the_users_once_it_names_them",
    20: "recipes/test_exploration.py::test_items_of_the_cutoff_age_and_older_get_none",
    23: "runtime/test_promotions.py::test_each_filter_governs_its_own_items_only",
    24: "filters/test_masks.py::test_items_pass_by_their_fields",
}


def test_every_surprise_has_its_test():
    here = {int(n) for n in re.findall(r"^def test_(\d\d)_", Path(__file__).read_text(), re.M)}
    assert here | set(HELD_ELSEWHERE) == set(range(1, SURPRISES + 1))
    assert here & set(HELD_ELSEWHERE) == set()
    for place in HELD_ELSEWHERE.values():
        path, _, name = place.partition("::")
        tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
        assert name in {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}, place


def test_02_arns_of_trackers_versions_and_datasets(account: Account):
    assert re.search(r":event-tracker/[0-9a-f]{8}$", account.tracker)
    assert re.search(r":solution/tastes/[0-9a-f]{8}$", account.tastes_version)
    assert account.films_action_interactions.endswith(":dataset/films/ACTION_INTERACTIONS")


def test_03_a_name_is_taken_in_the_whole_account(account: Account):
    members = {"name": "tastes", "recipeArn": RECIPE + "aws-sims", "performAutoTraining": False}
    with pytest.raises(ResourceAlreadyExistsException) as refused:
        account.service.create_solution(datasetGroupArn=account.cinema_group, **members)
    expected = f"Another resource with Arn {account.tastes_solution} already exists."
    assert str(refused.value) == expected


def test_05_not_everything_ends_active(account: Account):
    service = account.service
    job = service.describe_data_deletion_job(dataDeletionJobArn=account.deletion_job)
    assert job["dataDeletionJob"]["status"] == "COMPLETED"
    service.stop_recommender(recommenderArn=account.recommender)
    recommender = service.describe_recommender(recommenderArn=account.recommender)
    assert recommender["recommender"]["status"] == "INACTIVE"


def test_09_scores_sum_to_one_over_the_catalogue_and_popularity_has_none(account: Account):
    answer = account.service.get_recommendations(
        campaignArn=account.tastes_campaign, userId="viewer-1", numResults=500
    )
    assert sum(item["score"] for item in answer["itemList"]) == pytest.approx(1)
    short = account.service.get_recommendations(
        campaignArn=account.tastes_campaign, userId="viewer-1", numResults=5
    )
    assert sum(item["score"] for item in short["itemList"]) < 0.9
    for target in (
        {"campaignArn": account.popular_campaign},
        {"recommenderArn": account.recommender},
    ):
        listed = account.service.get_recommendations(userId="viewer-1", **target)["itemList"]
        assert listed
        assert not [item for item in listed if "score" in item]


def test_10_a_ranking_keeps_unknown_items_last_without_a_score(account: Account):
    ranked = account.service.get_personalized_ranking(
        campaignArn=account.ranking_campaign,
        userId="viewer-1",
        inputList=["never-heard-of", "film-1", "film-2"],
    )["personalizedRanking"]
    assert ranked[-1] == {"itemId": "never-heard-of"}
    assert sum(item["score"] for item in ranked[:-1]) == pytest.approx(1)


def test_11_nobody_is_unknown(account: Account):
    answer = account.service.get_recommendations(
        campaignArn=account.tastes_campaign, userId="never-heard-of"
    )
    assert len(answer["itemList"]) == 25


def test_12_a_list_may_hold_what_the_user_had(account: Account):
    watched = 'INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("watch")'
    only_seen = account.service.create_filter(
        name="only-seen", datasetGroupArn=account.films_group, filterExpression=watched
    )["filterArn"]
    ask = {"campaignArn": account.tastes_campaign, "userId": "viewer-1", "numResults": 500}
    seen = account.service.get_recommendations(filterArn=only_seen, **ask)["itemList"]
    everything = account.service.get_recommendations(**ask)["itemList"]
    ids = {item["itemId"] for item in everything}
    assert seen
    assert {item["itemId"] for item in seen} <= ids


def test_18_an_event_needs_a_type_and_a_session_but_no_user(account: Account):
    request = {"trackingId": account.tracking_id, "sessionId": "s"}
    account.service.put_events(eventList=[EVENT], **request)
    for spoilt in ({**EVENT, "eventType": None}, {**EVENT, "eventType": ""}):
        with pytest.raises(InvalidInputException, match="eventType"):
            account.service.put_events(eventList=[spoilt], **request)
    with pytest.raises(InvalidInputException, match="sessionId"):
        account.service.put_events(eventList=[EVENT], trackingId=account.tracking_id)


def test_21_a_full_import_keeps_put_rows_and_incremental_comes_after_it(account: Account):
    service = account.service
    user = {"userId": "put", "properties": '{"age": 33}'}
    service.put_users(datasetArn=account.films_users, users=[user])
    path = account.write("replacement.csv", "USER_ID,AGE\nimported,44\n")
    import_job = {"dataSource": {"dataLocation": path}, "roleArn": ROLE}
    service.create_dataset_import_job(
        jobName="full", datasetArn=account.films_users, importMode="FULL", **import_job
    )
    service.create_dataset_export_job(
        jobName="both",
        datasetArn=account.films_users,
        roleArn=ROLE,
        ingestionMode="ALL",
        jobOutput={"s3DataDestination": {"path": f"{account.folder}/both/"}},
    )
    exported = "".join(p.read_text() for p in (account.folder / "both").rglob("*.csv"))
    assert "put" in exported
    assert "imported" in exported
    assert "viewer-1" not in exported
    never_imported = service.create_dataset(
        name="empty",
        schemaArn=account.films_users_schema,
        datasetGroupArn=account.empty_group,
        datasetType="Users",
    )["datasetArn"]
    with pytest.raises(InvalidInputException, match="no FULL import yet"):
        service.create_dataset_import_job(
            jobName="early", datasetArn=never_imported, importMode="INCREMENTAL", **import_job
        )


def test_22_filter_values_are_quoted_and_an_exclude_can_do_without(account: Account):
    service, made = account.service, {}
    for kind in ("INCLUDE", "EXCLUDE"):
        made[kind] = service.create_filter(
            name=kind,
            datasetGroupArn=account.films_group,
            filterExpression=f"{kind} ItemID WHERE Items.GENRES IN ($G)",
        )["filterArn"]
    ask = {"campaignArn": account.tastes_campaign, "userId": "viewer-1", "numResults": 500}
    values = {"G": '"genre-1","genre-2"'}
    answer = service.get_recommendations(filterArn=made["INCLUDE"], filterValues=values, **ask)
    assert {int(i["itemId"].removeprefix("film-")) % 4 for i in answer["itemList"]} == {1, 2}
    everything = service.get_recommendations(**ask)["itemList"]
    left = service.get_recommendations(filterArn=made["EXCLUDE"], **ask)["itemList"]
    assert [item["itemId"] for item in left] == [item["itemId"] for item in everything]
    with pytest.raises(InvalidInputException, match="G"):
        service.get_recommendations(filterArn=made["INCLUDE"], **ask)


def test_25_a_capital_no_waiters_and_one_error(account: Account):
    listed = account.service.list_filters(datasetGroupArn=account.films_group)
    assert [each["filterArn"] for each in listed["Filters"]] == [account.filter]
    clients = [
        boto3.client(service, region_name="us-east-1")
        for service in ("personalize", "personalize-runtime", "personalize-events")
    ]
    assert [client.waiter_names for client in clients] == [[], [], []]
    with pytest.raises(InvalidInputException):
        account.service.put_events(trackingId="nobody's", sessionId="s", eventList=[EVENT])


def test_26_an_update_shows_in_latest_campaign_update_only(account: Account):
    before = account.service.describe_campaign(campaignArn=account.tastes_campaign)["campaign"]
    assert "latestCampaignUpdate" not in before
    account.service.update_campaign(campaignArn=account.tastes_campaign, minProvisionedTPS=3)
    after = account.service.describe_campaign(campaignArn=account.tastes_campaign)["campaign"]
    assert after["status"] == "ACTIVE"
    assert after["latestCampaignUpdate"]["status"] == "ACTIVE"
