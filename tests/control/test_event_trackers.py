"""Event trackers, from creation to the refusals."""

from __future__ import annotations

import uuid

import pytest

from personalens.service_errors import (
    ResourceAlreadyExistsException,
    ResourceInUseException,
    ResourceNotFoundException,
)


@pytest.fixture
def group(service) -> str:
    return service.create_dataset_group(name="films")["datasetGroupArn"]


def test_a_tracker_is_described_and_listed(service, group):
    made = service.create_event_tracker(name="clicks", datasetGroupArn=group)
    assert str(uuid.UUID(made["trackingId"])) == made["trackingId"]
    place, _, digits = made["eventTrackerArn"].rpartition("/")
    assert place == "arn:aws:personalize:us-east-1:123456789012:event-tracker"
    assert len(digits) == 8
    assert int(digits, 16) >= 0
    described = service.describe_event_tracker(eventTrackerArn=made["eventTrackerArn"])
    shown = described["eventTracker"]
    dates = {shown.pop("creationDateTime"), shown.pop("lastUpdatedDateTime")}
    assert len(dates) == 1
    assert shown == {
        "name": "clicks",
        "eventTrackerArn": made["eventTrackerArn"],
        "accountId": "123456789012",
        "trackingId": made["trackingId"],
        "datasetGroupArn": group,
        "status": "ACTIVE",
    }
    (summary,) = service.list_event_trackers(datasetGroupArn=group)["eventTrackers"]
    assert set(summary) == {
        "name",
        "eventTrackerArn",
        "status",
        "creationDateTime",
        "lastUpdatedDateTime",
    }


def test_a_group_has_one_tracker(service, group):
    first = service.create_event_tracker(name="clicks", datasetGroupArn=group)
    with pytest.raises(ResourceAlreadyExistsException, match=first["eventTrackerArn"]):
        service.create_event_tracker(name="more-clicks", datasetGroupArn=group)
    other = service.create_dataset_group(name="songs")["datasetGroupArn"]
    service.create_event_tracker(name="clicks", datasetGroupArn=other)
    names = [t["name"] for t in service.list_event_trackers()["eventTrackers"]]
    assert names == ["clicks", "clicks"]


@pytest.mark.usefixtures("quick_deletions")
def test_a_tracker_is_deleted_before_its_group(service, group):
    arn = service.create_event_tracker(name="clicks", datasetGroupArn=group)["eventTrackerArn"]
    with pytest.raises(ResourceInUseException, match=arn):
        service.delete_dataset_group(datasetGroupArn=group)
    assert service.delete_event_tracker(eventTrackerArn=arn) == {}
    for operation in (service.describe_event_tracker, service.delete_event_tracker):
        with pytest.raises(ResourceNotFoundException, match=arn):
            operation(eventTrackerArn=arn)
    service.delete_dataset_group(datasetGroupArn=group)


def test_a_tracker_needs_a_group_and_takes_tags(service, group):
    with pytest.raises(ResourceNotFoundException, match="dataset group"):
        service.create_event_tracker(name="clicks", datasetGroupArn=f"{group}-2")
    tag = {"tagKey": "team", "tagValue": "lens"}
    arn = service.create_event_tracker(name="c", datasetGroupArn=group, tags=[tag])
    assert service.list_tags_for_resource(resourceArn=arn["eventTrackerArn"])["tags"] == [tag]
