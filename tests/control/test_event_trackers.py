"""Event trackers, from creation to the refusals."""

from __future__ import annotations

import uuid

import pytest

from personalens.service_errors import ResourceAlreadyExistsException


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
