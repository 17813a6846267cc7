"""What every operation stands on: the home, its resources, its jobs, and whose they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from personalens.arns import event_tracker_arn
from personalens.home import Home
from personalens.storage.event_log import EventLog
from personalens.storage.job_queue import JobQueue
from personalens.storage.recommendation_memory import RecommendationMemory
from personalens.storage.resource_store import Resource, ResourceStore

if TYPE_CHECKING:
    from personalens.recipes.registry import RecipeEntry


@dataclass(frozen=True)
class ServiceContext:
    """One region of one account in one home."""

    home: Home
    store: ResourceStore
    jobs: JobQueue
    events: EventLog
    recommendations: RecommendationMemory
    region: str
    account: str

    def of(self, region: str, account: str) -> ServiceContext:
        """Return the context of another region and account, on the same connections."""
        catalogue = self.store.catalogue
        store = ResourceStore(self.home, region=region, account=account, catalogue=catalogue)
        return replace(self, store=store, region=region, account=account)

    def for_arn(self, arn: str) -> ServiceContext:
        """Return the context of the region and account of an ARN, on the same connections."""
        return self.of(*arn.split(":")[3:5])

    def recipes(self) -> Mapping[str, RecipeEntry]:
        """Return the recipes that exist here, those registered in the home among them."""
        from personalens.storage.custom_recipes import known_recipes

        return known_recipes(self.jobs.store)


def find_tracker(context: ServiceContext, tracking_id: str) -> Resource | None:
    """Return the tracker of a tracking id; None if there is none, or it is being deleted."""
    found = context.store.get(tracker_arn(context, tracking_id))
    if found is None or found.is_being_deleted or found.body["trackingId"] != tracking_id:
        return None
    return found


def tracker_arn(context: ServiceContext, tracking_id: str) -> str:
    # The ARN's eight digits are the tracking id's first, so that PutEvents finds it by its key.
    return event_tracker_arn(tracking_id[:8], region=context.region, account=context.account)
