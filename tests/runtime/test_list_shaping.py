"""filterArn, promotions and metadataColumns, from request to answer."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from personalens.service_errors import InvalidInputException, ResourceNotFoundException
from tests.dataset_tables import schema_of

ROLE = "arn:aws:iam::123456789012:role/personalize"
CATALOGUE = pd.DataFrame(
    {
        "ITEM_ID": [f"film-{number}" for number in range(44)],  # four that nobody has watched
        "GENRE": [["war|drama", "comedy", "drama", None][number % 4] for number in range(44)],
        "YEAR": [1980 + number for number in range(44)],
    }
)
ITEMS_SCHEMA = schema_of(
    "Items",
    [
        {"name": "ITEM_ID", "type": "string"},
        {"name": "GENRE", "type": ["null", "string"], "categorical": True},
        {"name": "YEAR", "type": "int"},
    ],
)


@pytest.fixture
def import_items(service, films, tmp_path):
    """Return a function that replaces the Items dataset."""
    schema = service.create_schema(name="items", schema=json.dumps(ITEMS_SCHEMA))["schemaArn"]
    dataset = service.create_dataset(
        name="items", schemaArn=schema, datasetGroupArn=films.group, datasetType="Items"
    )["datasetArn"]

    def replace(frame, name):
        path = tmp_path / f"{name}.csv"
        frame.to_csv(path, index=False)
        job = service.create_dataset_import_job(
            jobName=name, datasetArn=dataset, dataSource={"dataLocation": str(path)}, roleArn=ROLE
        )["datasetImportJobArn"]
        described = service.describe_dataset_import_job(datasetImportJobArn=job)
        assert described["datasetImportJob"]["status"] == "ACTIVE", described

    return replace


@pytest.fixture
def campaign(service, films, import_items):
    """A popularity campaign over forty films, with an Items dataset of forty-four."""
    import_items(CATALOGUE, "first")
    solution = service.create_solution(
        name="popular",
        datasetGroupArn=films.group,
        recipeArn="arn:aws:personalize:::recipe/aws-popularity-count",
    )["solutionArn"]
    version = service.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    return service.create_campaign(
        name="popular",
        solutionVersionArn=version,
        campaignConfig={"enableMetadataWithRecommendations": True},
    )["campaignArn"]


@pytest.fixture
def make_filter(service, films):
    """Return a function that creates a filter and returns its ARN."""

    def make(expression, name="f"):
        request = {"name": name, "filterExpression": expression}
        return service.create_filter(datasetGroupArn=films.group, **request)["filterArn"]

    return make


def listed(answer):
    return [item["itemId"] for item in answer["itemList"]]


def numbers(answer):
    return [int(name.removeprefix("film-")) for name in listed(answer)]


def test_an_item_filter_keeps_the_order_of_what_passes(service, campaign, make_filter):
    everything = numbers(service.get_recommendations(campaignArn=campaign, numResults=40))
    drama = make_filter('INCLUDE ItemID WHERE Items.GENRE IN ("drama")')
    some = numbers(
        service.get_recommendations(campaignArn=campaign, filterArn=drama, numResults=40)
    )
    assert some == [number for number in everything if number % 4 in (0, 2)]


def test_the_present_items_count_not_those_of_the_training(
    service, campaign, make_filter, import_items
):
    old = make_filter("INCLUDE ItemID WHERE Items.YEAR < 1983")
    request = {"campaignArn": campaign, "filterArn": old}
    assert set(numbers(service.get_recommendations(**request))) == {0, 1, 2}
    import_items(CATALOGUE.assign(YEAR=CATALOGUE["YEAR"] + 1), "second")
    assert set(numbers(service.get_recommendations(**request))) == {0, 1}


def test_what_a_user_touched_is_taken_out_for_that_user(service, films, campaign, make_filter):
    unseen = make_filter("EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN (*)")
    request = {"campaignArn": campaign, "filterArn": unseen, "numResults": 40}
    for viewer in ("viewer-0", "viewer-1"):
        seen = set(films.seen_by(viewer).index)
        answer = listed(service.get_recommendations(userId=viewer, **request))
        assert seen.isdisjoint(answer)
        assert len(answer) == 40 - len(seen)
    assert len(listed(service.get_recommendations(userId="nobody", **request))) == 40


def test_a_type_of_event_is_told_from_the_others(service, films, campaign, make_filter):
    watched = make_filter('INCLUDE ItemID WHERE Interactions.event_type IN ("WATCH")')
    answer = service.get_recommendations(
        campaignArn=campaign, filterArn=watched, userId="viewer-3", numResults=40
    )
    mine = films.frame[films.frame["USER_ID"] == "viewer-3"]
    assert set(listed(answer)) == set(mine.loc[mine["EVENT_TYPE"] == "watch", "ITEM_ID"])


def test_placeholders_take_their_values_from_the_request(service, campaign, make_filter):
    by_genre = make_filter("INCLUDE ItemID WHERE Items.GENRE IN ($G)")
    request = {"campaignArn": campaign, "filterArn": by_genre, "numResults": 40}
    answer = service.get_recommendations(filterValues={"G": '"comedy","war"'}, **request)
    assert {number % 4 for number in numbers(answer)} == {0, 1}
    with pytest.raises(InvalidInputException, match=r"needs a value for \$G"):
        service.get_recommendations(**request)
    with pytest.raises(InvalidInputException, match="not a list of quoted strings"):
        service.get_recommendations(filterValues={"G": '"comedy'}, **request)


def test_nothing_passes_is_an_empty_list(service, campaign, make_filter):
    none = make_filter('INCLUDE ItemID WHERE Items.GENRE IN ("opera")')
    assert listed(service.get_recommendations(campaignArn=campaign, filterArn=none)) == []


def test_a_filter_must_exist_and_belong_to_the_campaign_s_group(service, campaign):
    missing = "arn:aws:personalize:us-east-1:123456789012:filter/none"
    with pytest.raises(ResourceNotFoundException):
        service.get_recommendations(campaignArn=campaign, filterArn=missing)
    group = service.create_dataset_group(name="other")["datasetGroupArn"]
    schema = "arn:aws:personalize:us-east-1:123456789012:schema/items"
    service.create_dataset(
        name="other", schemaArn=schema, datasetGroupArn=group, datasetType="Items"
    )
    expression = "INCLUDE ItemID WHERE Items.YEAR > 1"
    foreign = service.create_filter(
        name="foreign", datasetGroupArn=group, filterExpression=expression
    )["filterArn"]
    with pytest.raises(InvalidInputException, match="belongs to"):
        service.get_recommendations(campaignArn=campaign, filterArn=foreign)


@pytest.mark.usefixtures("quick_deletions")
def test_a_deleted_filter_that_comes_back_says_what_it_says_now(service, campaign, make_filter):
    arn = make_filter("INCLUDE ItemID WHERE Items.YEAR = 1980")
    request = {"campaignArn": campaign, "filterArn": arn}
    assert numbers(service.get_recommendations(**request)) == [0]
    service.delete_filter(filterArn=arn)
    assert make_filter("INCLUDE ItemID WHERE Items.YEAR = 1985") == arn
    assert numbers(service.get_recommendations(**request)) == [5]


class TestPromotions:
    def test_promoted_items_are_tagged_and_take_their_share(self, service, campaign, make_filter):
        comedies = make_filter('INCLUDE ItemID WHERE Items.GENRE IN ("comedy")')
        answer = service.get_recommendations(
            campaignArn=campaign,
            numResults=10,
            promotions=[{"name": "laugh", "percentPromotedItems": 30, "filterArn": comedies}],
        )
        tagged = [item for item in answer["itemList"] if "promotionName" in item]
        assert [item["promotionName"] for item in tagged] == ["laugh"] * 3
        assert len(set(listed(answer))) == 10
        assert all(int(item["itemId"][5:]) % 4 == 1 for item in tagged)

    def test_a_promotion_says_what_it_promotes(self, service, campaign):
        with pytest.raises(InvalidInputException, match="needs a filterArn"):
            service.get_recommendations(campaignArn=campaign, promotions=[{"name": "all"}])


COLUMNS = {"ITEMS": ["genre", "YEAR"]}


class TestMetadata:
    def test_values_are_strings_and_missing_ones_absent(self, service, campaign, make_filter):
        some = make_filter("INCLUDE ItemID WHERE Items.YEAR < 1984")
        answer = service.get_recommendations(
            campaignArn=campaign, filterArn=some, metadataColumns=COLUMNS
        )
        metadata = {item["itemId"]: item["metadata"] for item in answer["itemList"]}
        assert metadata["film-0"] == {"genre": "war|drama", "year": "1980"}
        assert metadata["film-3"] == {"year": "1983"}

    def test_fifty_items_at_most(self, service, campaign):
        with pytest.raises(InvalidInputException, match="51 items are asked for with metadata"):
            service.get_recommendations(
                campaignArn=campaign, metadataColumns=COLUMNS, numResults=51
            )

    @pytest.mark.parametrize(
        ("asked", "reason"),
        [
            ({"ITEMS": ["COLOUR"]}, "COLOUR, which the Items dataset does not have"),
            ({"USERS": ["AGE"]}, "only ITEMS is possible"),
            ({"ITEMS": ["YEAR"] * 11}, "11 columns; 10 at most"),
        ],
    )
    def test_columns_that_cannot_be_shown_are_refused(self, service, campaign, asked, reason):
        with pytest.raises(InvalidInputException) as caught:
            service.get_recommendations(campaignArn=campaign, metadataColumns=asked)
        assert reason in str(caught.value)

    def test_a_campaign_must_be_enabled_for_it(self, service, campaign):
        service.update_campaign(
            campaignArn=campaign, campaignConfig={"enableMetadataWithRecommendations": False}
        )
        with pytest.raises(InvalidInputException, match="enableMetadataWithRecommendations"):
            service.get_recommendations(campaignArn=campaign, metadataColumns=COLUMNS)
