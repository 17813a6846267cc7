"""What every operation stands on: the home, its resources, its jobs, and whose they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from personalens.home import Home
from personalens.storage.event_log import EventLog
from personalens.storage.job_queue import JobQueue
from personalens.storage.recommendation_memory import RecommendationMemory
from personalens.storage.resource_store import ResourceStore

if TYPE_CHECKING:
    from personalens.recipes.registry import RecipeEntry


@dataclass(frozen=True)
class ServiceContext:
    """One region of one account in one home.

    Attributes
    ----------
    home
        Where everything lies.
    store
        The resources of this region and account.
    jobs
        The home's job queue.
    events, recommendations
        The home's event log, and the lists that were served lately.
    region, account
        What new ARNs carry.
    """

    home: Home
    store: ResourceStore
    jobs: JobQueue
    events: EventLog
    recommendations: RecommendationMemory
    region: str
    account: str

    def for_arn(self, arn: str) -> ServiceContext:
        """Return the context of the region and account of an ARN, on the same connections."""
        region, account = arn.split(":")[3:5]
        store = ResourceStore(
            self.home, region=region, account=account, catalogue=self.store.catalogue
        )
        return replace(self, store=store, region=region, account=account)

    def recipes(self) -> Mapping[str, RecipeEntry]:
        """Return the recipes that exist here, those registered in the home among them."""
        from personalens.storage.custom_recipes import known_recipes

        return known_recipes(self.jobs.store)
