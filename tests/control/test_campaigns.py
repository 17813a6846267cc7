"""Campaigns: what is deployed, when it changes, and what is refused."""

import shutil

import pytest

from personalens.jobs.job_runner import run_job, run_jobs
from personalens.service_errors import (
    InvalidInputException,
    ResourceInUseException,
    ResourceNotFoundException,
)
from personalens.settings.serving_config import ExplorationSettings
from personalens.storage.model_folders import version_folder

RECIPE = "arn:aws:personalize:::recipe/"
SYNC = {"syncWithLatestSolutionVersion": True}


@pytest.fixture
def solution(service, films):
    return service.create_solution(
        name="tastes", datasetGroupArn=films.group, recipeArn=RECIPE + "aws-popularity-count"
    )["solutionArn"]


@pytest.fixture
def train(service, solution):
    def train(solutionArn=solution):
        return service.create_solution_version(solutionArn=solutionArn)["solutionVersionArn"]

    return train


@pytest.fixture
def version(train):
    return train()


def deploy(service, version, name="films", **members):
    return service.create_campaign(name=name, solutionVersionArn=version, **members)["campaignArn"]


def describe(service, campaign):
    return service.describe_campaign(campaignArn=campaign)["campaign"]


def test_a_campaign_is_deployed_and_described(service, version):
    arn = deploy(service, version)
    assert arn == "arn:aws:personalize:us-east-1:123456789012:campaign/films"
    campaign = describe(service, arn)
    assert campaign.pop("creationDateTime") < campaign.pop("lastUpdatedDateTime")
    assert campaign == {
        "name": "films",
        "campaignArn": arn,
        "status": "ACTIVE",
        "solutionVersionArn": version,
        "minProvisionedTPS": 1,
    }


def test_lists_are_by_solution_and_in_order(service, films, train, version):
    other = service.create_solution(
        name="related", datasetGroupArn=films.group, recipeArn=RECIPE + "aws-sims"
    )["solutionArn"]
    arns = [deploy(service, version, "a"), deploy(service, train(other), "b")]
    assert [one["campaignArn"] for one in service.list_campaigns()["campaigns"]] == arns
    listed = service.list_campaigns(solutionArn=other)["campaigns"]
    assert [(one["name"], one["status"]) for one in listed] == [("b", "ACTIVE")]
    second = deploy(service, train(), "c")
    assert [
        each["campaignArn"] for each in service.list_campaigns(solutionArn=version)["campaigns"]
    ] == arns[:1]
    service.delete_campaign(campaignArn=second)
    page = service.list_campaigns(maxResults=1)
    rest = service.list_campaigns(maxResults=1, nextToken=page["nextToken"])
    assert [one["name"] for one in rest["campaigns"]] == ["b"]


def test_states_of_a_creation(service, solution, version, waiting):
    arn = deploy(service, version)
    assert describe(service, arn)["status"] == "CREATE PENDING"
    with pytest.raises(ResourceInUseException, match="CREATE PENDING"):
        service.delete_campaign(campaignArn=arn)
    with pytest.raises(ResourceInUseException, match="CREATE PENDING"):
        service.update_campaign(campaignArn=arn, minProvisionedTPS=2)
    run_jobs(waiting)
    assert describe(service, arn)["status"] == "ACTIVE"


def test_the_version_must_exist_and_be_active(service, solution, version, waiting, train):
    with pytest.raises(ResourceNotFoundException):
        deploy(service, f"{solution}/00000000")
    pending = train()
    with pytest.raises(ResourceInUseException, match="CREATE PENDING"):
        deploy(service, pending)
    service.stop_solution_version_creation(solutionVersionArn=pending)
    with pytest.raises(InvalidInputException, match="CREATE STOPPED"):
        deploy(service, pending)
    assert service.list_campaigns()["campaigns"] == []


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"explorationWeight": "1.1"}, "explorationWeight is '1.1'; allowed: a number, 0 to 1"),
        ({"explorationWeight": "much"}, "explorationWeight is 'much'"),
        ({"explorationItemAgeCutOff": "0.5"}, "explorationItemAgeCutOff is '0.5'; allowed"),
        ({"weight": "1"}, "no key 'weight'; it takes explorationWeight and"),
    ],
)
def test_exploration_is_checked(config, message):
    with pytest.raises(InvalidInputException, match=message):
        ExplorationSettings.from_campaign({"itemExplorationConfig": config})


def test_exploration_has_the_defaults_of_the_service():
    assert ExplorationSettings.from_campaign({}) == ExplorationSettings(0.3, 30.0)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"itemExplorationConfig": {"explorationWeight": "0.3"}}, "itemExplorationConfig does not"),
        ({"rankingInfluence": {"POPULARITY": 0.5}}, "rankingInfluence does not apply"),
        (SYNC, r"needs a solutionVersionArn that ends in /\$LATEST"),
    ],
)
def test_options_that_do_not_fit_are_refused(service, version, config, message):
    with pytest.raises(InvalidInputException, match=message):
        deploy(service, version, campaignConfig=config)
    assert service.list_campaigns()["campaigns"] == []


def test_latest_deploys_the_newest_active_version(service, solution, train, version):
    newest = train()
    campaign = describe(service, deploy(service, f"{solution}/$LATEST"))
    assert campaign["solutionVersionArn"] == newest
    train()
    assert describe(service, campaign["campaignArn"])["solutionVersionArn"] == newest


def test_latest_of_an_untrained_solution_is_refused(service, solution):
    with pytest.raises(InvalidInputException, match="no ACTIVE solution version yet"):
        deploy(service, f"{solution}/$LATEST")


def test_a_manual_update_keeps_the_status_and_moves_the_update(service, version, train, waiting):
    second = train()
    arn = deploy(service, version)
    run_jobs(waiting)
    service.update_campaign(campaignArn=arn, solutionVersionArn=second, minProvisionedTPS=2)
    campaign = describe(service, arn)
    assert (campaign["status"], campaign["solutionVersionArn"]) == ("ACTIVE", version)
    update = campaign["latestCampaignUpdate"]
    assert update["status"] == "CREATE PENDING"
    assert (update["solutionVersionArn"], update["minProvisionedTPS"]) == (second, 2)
    with pytest.raises(ResourceInUseException, match=r"An update of .* is under way"):
        service.update_campaign(campaignArn=arn, minProvisionedTPS=3)
    with pytest.raises(ResourceInUseException, match=r"An update of .* is under way"):
        service.delete_campaign(campaignArn=arn)
    run_jobs(waiting)
    campaign = describe(service, arn)
    assert (campaign["status"], campaign["solutionVersionArn"]) == ("ACTIVE", second)
    assert campaign["minProvisionedTPS"] == 2
    assert campaign["latestCampaignUpdate"]["status"] == "ACTIVE"


def test_an_update_may_change_the_configuration_alone(service, version):
    arn = deploy(service, version, minProvisionedTPS=2)
    config = {"enableMetadataWithRecommendations": True}
    service.update_campaign(campaignArn=arn, campaignConfig=config)
    campaign = describe(service, arn)
    assert campaign["solutionVersionArn"] == version
    assert (campaign["minProvisionedTPS"], campaign["campaignConfig"]) == (2, config)


def test_a_campaign_that_follows_gets_every_new_version(service, solution, train, version):
    arn = deploy(service, f"{solution}/$LATEST", campaignConfig=SYNC)
    assert "latestCampaignUpdate" not in describe(service, arn)
    second = train()
    campaign = describe(service, arn)
    assert (campaign["status"], campaign["solutionVersionArn"]) == ("ACTIVE", second)
    update = campaign["latestCampaignUpdate"]
    assert (update["status"], update["solutionVersionArn"]) == ("ACTIVE", second)
    assert update["campaignConfig"] == campaign["campaignConfig"] == SYNC
    third = train()
    assert describe(service, arn)["solutionVersionArn"] == third


def test_a_version_that_ends_while_the_campaign_is_busy_is_deployed_afterwards(
    service, solution, version, train, waiting
):
    arn = deploy(service, f"{solution}/$LATEST", campaignConfig=SYNC)
    run_jobs(waiting)
    service.update_campaign(campaignArn=arn, minProvisionedTPS=2)
    update = waiting.jobs.claim()  # one worker deploys
    second = train()
    run_job(waiting, waiting.jobs.claim())  # while another trains
    assert describe(service, arn)["latestCampaignUpdate"]["solutionVersionArn"] == version
    run_job(waiting, update)
    run_jobs(waiting)
    campaign = describe(service, arn)
    assert (campaign["solutionVersionArn"], campaign["minProvisionedTPS"]) == (second, 2)
    assert campaign["latestCampaignUpdate"]["status"] == "ACTIVE"


def test_following_can_be_turned_on_and_off(service, solution, train, version):
    arn = deploy(service, version)
    latest = f"{solution}/$LATEST"
    with pytest.raises(InvalidInputException, match="not none"):
        service.update_campaign(campaignArn=arn, campaignConfig=SYNC)
    service.update_campaign(campaignArn=arn, solutionVersionArn=latest, campaignConfig=SYNC)
    second = train()
    assert describe(service, arn)["solutionVersionArn"] == second
    with pytest.raises(InvalidInputException, match="syncWithLatestSolutionVersion needs"):
        service.update_campaign(campaignArn=arn, solutionVersionArn=version)
    service.update_campaign(
        campaignArn=arn,
        solutionVersionArn=version,
        campaignConfig={"syncWithLatestSolutionVersion": False},
    )
    train()
    assert describe(service, arn)["solutionVersionArn"] == version


def test_a_failed_training_leaves_a_following_campaign_alone(
    service, solution, version, train, monkeypatch
):
    arn = deploy(service, f"{solution}/$LATEST", campaignConfig=SYNC)
    monkeypatch.setattr("personalens.control.work.training_data.MIN_INTERACTIONS", 10**6)
    train()
    campaign = describe(service, arn)
    assert campaign["solutionVersionArn"] == version
    assert "latestCampaignUpdate" not in campaign


def test_an_update_that_fails_leaves_the_old_version_in_place(service, version, train, waiting):
    arn = deploy(service, version)
    second = train()
    run_jobs(waiting)
    service.update_campaign(campaignArn=arn, solutionVersionArn=second)
    shutil.rmtree(version_folder(service.home, second))
    run_jobs(waiting)
    campaign = describe(service, arn)
    assert (campaign["status"], campaign["solutionVersionArn"]) == ("ACTIVE", version)
    update = campaign["latestCampaignUpdate"]
    assert update["status"] == "CREATE FAILED"
    assert "no trained model" in update["failureReason"]
    service.update_campaign(campaignArn=arn, minProvisionedTPS=2)
    run_jobs(waiting)
    update = describe(service, arn)["latestCampaignUpdate"]
    assert update["status"] == "ACTIVE"
    assert "failureReason" not in update


def test_a_creation_that_fails_can_be_repaired_by_an_update(service, version, train, waiting):
    good = train()
    run_jobs(waiting)
    shutil.rmtree(version_folder(service.home, version))
    arn = deploy(service, version)
    run_jobs(waiting)
    campaign = describe(service, arn)
    assert campaign["status"] == "CREATE FAILED"
    assert "no trained model" in campaign["failureReason"]
    service.update_campaign(campaignArn=arn, solutionVersionArn=good)
    run_jobs(waiting)
    campaign = describe(service, arn)
    assert (campaign["status"], campaign["solutionVersionArn"]) == ("ACTIVE", good)
    assert "failureReason" not in campaign
