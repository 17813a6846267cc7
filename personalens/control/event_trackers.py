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
from personalens.control.kinds import KindOperations
from personalens.control.resource_states import ACTIVE, require_active
from personalens.control.resource_store import Resource
from personalens.control.service_context import ServiceContext
from personalens.control.tags import put_tags
from personalens.service_errors import ResourceAlreadyExistsException

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
        arn = _arn(context, tracking_id)
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


def find_tracker(context: ServiceContext, tracking_id: str) -> Resource | None:
    """Return the tracker of a tracking id; None if there is none, or it is being deleted."""
    found = context.store.get(_arn(context, tracking_id))
    if found is None or found.is_being_deleted or found.body["trackingId"] != tracking_id:
        return None
    return found


def _arn(context: ServiceContext, tracking_id: str) -> str:
    # The ARN's eight digits are the tracking id's first, so that PutEvents finds it by its key.
    return event_tracker_arn(tracking_id[:8], region=context.region, account=context.account)
