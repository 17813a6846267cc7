"""Event trackers: where a dataset group's live events come in.

Amazon Personalize: CreateEventTracker, DescribeEventTracker, ListEventTrackers,
DeleteEventTracker. A tracker of today brings its events into the group's Interactions dataset; the
hidden EVENT_INTERACTIONS dataset of 2019 is not made. The events stay when the tracker goes.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from personalens.control.operations.kinds import KindOperations
from personalens.control.operations.tags import put_tags
from personalens.service_errors import ResourceAlreadyExistsException
from personalens.storage.resource_states import ACTIVE, require_active, tracker_arn
from personalens.storage.resource_store import Resource

KIND = "event-tracker"


class EventTrackerOperations(KindOperations):
    """The event tracker operations of the control plane."""

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
        arn = tracker_arn(context, tracking_id)
        with context.store.transaction() as tx:
            require_active(tx.require(datasetGroupArn, "dataset-group"))
            if others := tx.list(KIND, parent_arn=datasetGroupArn, also_deleted=True):
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
