"""Event trackers: where a dataset group's live events come in.

Amazon Personalize: CreateEventTracker, DescribeEventTracker, ListEventTrackers,
DeleteEventTracker. A tracker of today brings its events into the group's Interactions dataset; the
hidden EVENT_INTERACTIONS dataset of 2019 is not made. The events stay when the tracker goes.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from personalens.arns import event_tracker_arn
from personalens.control.descriptions import describe_resource, summarize_page
from personalens.control.resource_states import ACTIVE, require_active, require_settled
from personalens.control.resource_store import Resource
from personalens.control.service_context import ServiceContext
from personalens.control.tags import put_tags
from personalens.service_errors import ResourceAlreadyExistsException

KIND = "event-tracker"


class EventTrackerOperations:
    """The event tracker operations of the control plane."""

    context: ServiceContext

    def create_event_tracker(
        self, *, name: str, datasetGroupArn: str, tags: Sequence[dict[str, str]] | None = None
    ) -> dict[str, Any]:
        """Make the tracker of a dataset group; its ``trackingId`` is what PutEvents takes.

        Raises
        ------
        ResourceAlreadyExistsException
            If the group has one: there is never a second.
        """
        context, tracking_id = self.context, str(uuid.uuid4())
        arn = _arn(context, tracking_id)
        with context.store.transaction() as tx:
            require_active(tx.require(datasetGroupArn, "dataset-group"))
            if others := tx.list(KIND, parent_arn=datasetGroupArn):
                raise ResourceAlreadyExistsException(
                    f"Another resource with Arn {others[0].arn} already exists. A dataset group "
                    "has one event tracker: use that one, or delete it first."
                )
            body = {
                "datasetGroupArn": datasetGroupArn,
                "trackingId": tracking_id,
                "accountId": context.account,
            }
            tx.insert(Resource(arn, KIND, name, datasetGroupArn, ACTIVE, body=body))
            put_tags(tx, arn, tags)
        return {"eventTrackerArn": arn, "trackingId": tracking_id}

    def describe_event_tracker(self, *, eventTrackerArn: str) -> dict[str, Any]:
        """Return a tracker."""
        tracker = self.context.describe(eventTrackerArn, KIND)
        return {"eventTracker": describe_resource(tracker, "eventTrackerArn")}

    def list_event_trackers(
        self,
        *,
        datasetGroupArn: str | None = None,
        nextToken: str | None = None,
        maxResults: int | None = None,
    ) -> dict[str, Any]:
        """List trackers, oldest first; of one dataset group if asked."""
        found = self.context.store.page(
            KIND, parent_arn=datasetGroupArn, nextToken=nextToken, maxResults=maxResults
        )
        return summarize_page(found, "eventTrackers", "eventTrackerArn", ["status"])

    def delete_event_tracker(self, *, eventTrackerArn: str) -> dict[str, Any]:
        """Delete a tracker: its tracking id is refused from now on."""
        with self.context.store.transaction() as tx:
            require_settled(tx.require(eventTrackerArn, KIND))
            tx.delete(eventTrackerArn)
        return {}


def find_tracker(context: ServiceContext, tracking_id: str) -> Resource | None:
    """Return the tracker of a tracking id; None if there is none."""
    found = context.store.get(_arn(context, tracking_id))
    return found if found is not None and found.body["trackingId"] == tracking_id else None


def _arn(context: ServiceContext, tracking_id: str) -> str:
    # The ARN's eight digits are the tracking id's first, so that PutEvents finds it by its key.
    return event_tracker_arn(tracking_id[:8], region=context.region, account=context.account)
