"""From three datasets to recommended actions, as a learner would go."""

import pandas as pd
import pytest

from personalens.service_errors import InvalidInputException
from personalens.testing.contracts_by_type import action_events
from tests.dataset_tables import import_table

NEXT_BEST_ACTION = "arn:aws:personalize:::recipe/aws-next-best-action"
FIELDS = {
    "Actions": [
        {"name": "ACTION_ID", "type": "string"},
        {"name": "VALUE", "type": ["null", "long"]},
        {"name": "EXPIRATION_TIMESTAMP", "type": ["null", "long"]},
    ],
    "Action_Interactions": [
        {"name": "USER_ID", "type": "string"},
        {"name": "ACTION_ID", "type": "string"},
        {"name": "EVENT_TYPE", "type": "string"},
        {"name": "TIMESTAMP", "type": "long"},
    ],
}


def import_kind(service, films, folder, kind, frame):
    import_table(service, films.group, folder, kind, FIELDS[kind], frame)


def deploy(service, films):
    solution = service.create_solution(
        name="actions", datasetGroupArn=films.group, recipeArn=NEXT_BEST_ACTION
    )["solutionArn"]
    version = service.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    described = service.describe_solution_version(solutionVersionArn=version)["solutionVersion"]
    assert described["status"] == "ACTIVE", described.get("failureReason")
    campaign = service.create_campaign(name="actions", solutionVersionArn=version)
    return version, campaign["campaignArn"]


@pytest.fixture
def actions():
    rows = [("join", 1, None), ("card", 2, None), ("app", 3, None), ("new", 9, None)]
    rows += [("gone", 10, 1_600_000_000)]
    frame = pd.DataFrame(rows, columns=["ACTION_ID", "VALUE", "EXPIRATION_TIMESTAMP"])
    return frame.astype({"EXPIRATION_TIMESTAMP": "Int64"})


def test_actions_are_recommended_by_their_probability(service, films, tmp_path, actions):
    import_kind(service, films, tmp_path, "Actions", actions)
    import_kind(service, films, tmp_path, "Action_Interactions", action_events())
    version, campaign = deploy(service, films)
    answer = service.get_action_recommendations(campaignArn=campaign, userId="user-000")
    best = [action["actionId"] for action in answer["actionList"]]
    assert best[0] == "join"
    assert best[-1] == "new"  # seen once: no score yet
    assert answer["actionList"][-1]["score"] == 0.0
    assert "gone" not in best
    scores = [action["score"] for action in answer["actionList"]]
    assert scores == sorted(scores, reverse=True)
    assert answer["recommendationId"].startswith("RID-")
    one = service.get_action_recommendations(campaignArn=campaign, userId="new", numResults=1)
    assert len(one["actionList"]) == 1
    metrics = service.get_solution_metrics(solutionVersionArn=version)["metrics"]
    assert {"coverage", "area_under_curve", "precision_at_5"} <= set(metrics)
    with pytest.raises(InvalidInputException, match="call GetActionRecommendations"):
        service.get_recommendations(campaignArn=campaign, userId="user-000")
    with pytest.raises(InvalidInputException, match="numResults is 101; allowed: 0 to 100"):
        service.get_action_recommendations(campaignArn=campaign, userId="u", numResults=101)
    with pytest.raises(InvalidInputException, match="give a campaignArn"):
        service.get_action_recommendations(userId="u")


def test_before_any_action_interactions_the_value_decides(service, films, tmp_path, actions):
    import_kind(service, films, tmp_path, "Actions", actions)
    _, campaign = deploy(service, films)
    answer = service.get_action_recommendations(campaignArn=campaign, userId="anyone")
    assert [action["actionId"] for action in answer["actionList"]] == ["new", "app", "card", "join"]
    assert {action["score"] for action in answer["actionList"]} == {0.0}


def test_without_actions_the_training_fails_and_says_what_is_missing(service, films):
    solution = service.create_solution(
        name="actions", datasetGroupArn=films.group, recipeArn=NEXT_BEST_ACTION
    )["solutionArn"]
    version = service.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    described = service.describe_solution_version(solutionVersionArn=version)["solutionVersion"]
    assert described["status"] == "CREATE FAILED"
    assert "imported into the Actions dataset" in described["failureReason"]


def test_actions_are_filtered_by_their_fields_and_by_what_was_done_with_them(account):
    service, campaign = account.service, account.actions_campaign

    def listed(name, expression, user="user-000"):
        arn = service.create_filter(
            name=name, datasetGroupArn=account.films_group, filterExpression=expression
        )["filterArn"]
        answer = service.get_action_recommendations(
            campaignArn=campaign, userId=user, filterArn=arn
        )
        return {action["actionId"] for action in answer["actionList"]}

    assert listed("dear", "INCLUDE ActionID WHERE Actions.VALUE >= 2") == {"card", "app"}
    event = {"actionId": "join", "userId": "user-000", "sessionId": "s", "eventType": "Taken"}
    service.put_action_interactions(
        trackingId=account.action_tracking_id,
        actionInteractions=[{**event, "timestamp": 1_900_000_000}],
    )
    done = 'EXCLUDE ActionID WHERE Action_Interactions.EVENT_TYPE IN ("Taken")'
    assert "join" not in listed("done", done)
    assert "join" in listed("done-by-nobody", done, user="a-newcomer")
    with pytest.raises(InvalidInputException, match="takes one about ActionID"):
        listed("items", 'EXCLUDE ItemID WHERE Items.GENRES IN ("genre-1")')
