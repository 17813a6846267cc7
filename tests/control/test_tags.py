"""TagResource, UntagResource, ListTagsForResource, and tags of the Creates."""

from __future__ import annotations

import pytest

from personalens.service_errors import InvalidInputException, TooManyTagsException

ARN = "arn:aws:personalize:us-east-1:123456789012:dataset-group/films"


def tag(key: str, value: str = "v") -> dict[str, str]:
    return {"tagKey": key, "tagValue": value}


@pytest.fixture
def group(service) -> str:
    return service.create_dataset_group(name="films", tags=[tag("b", "1")])["datasetGroupArn"]


def test_tags_of_the_create_are_listed_and_not_described(service, group):
    assert service.list_tags_for_resource(resourceArn=group) == {"tags": [tag("b", "1")]}
    assert "tags" not in service.describe_dataset_group(datasetGroupArn=group)["datasetGroup"]


def test_tags_are_added_replaced_and_removed(service, group):
    service.tag_resource(resourceArn=group, tags=[tag("a"), tag("b", "2"), tag("empty", "")])
    tags = service.list_tags_for_resource(resourceArn=group)["tags"]
    assert tags == [tag("a"), tag("b", "2"), tag("empty", "")]
    service.untag_resource(resourceArn=group, tagKeys=["a", "never-there"])
    tags = service.list_tags_for_resource(resourceArn=group)["tags"]
    assert tags == [tag("b", "2"), tag("empty", "")]


def test_a_resource_without_tags_has_an_empty_list(service):
    arn = service.create_dataset_group(name="films")["datasetGroupArn"]
    assert service.list_tags_for_resource(resourceArn=arn) == {"tags": []}


def test_aws_keeps_its_prefix(service, group):
    with pytest.raises(InvalidInputException, match="reserved"):
        service.tag_resource(resourceArn=group, tags=[tag("AWS:cost")])


def test_50_tags_in_all_and_not_one_more(service, group):
    service.tag_resource(resourceArn=group, tags=[tag(f"k{n}") for n in range(49)])
    service.tag_resource(resourceArn=group, tags=[tag("b", "changed")])
    with pytest.raises(TooManyTagsException, match="51 tags"):
        service.tag_resource(resourceArn=group, tags=[tag("one-more")])
    assert len(service.list_tags_for_resource(resourceArn=group)["tags"]) == 50
