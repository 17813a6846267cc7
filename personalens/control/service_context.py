"""What every operation stands on: the home, its resources, its jobs, and whose they are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from personalens.arns import DEFAULT_REGION, account_id
from personalens.control.catalogue import Catalogue
from personalens.control.event_log import EventLog
from personalens.control.job_queue import JobQueue
from personalens.control.job_runner import run_job
from personalens.control.recommendation_memory import RecommendationMemory
from personalens.control.resource_states import is_in_transition, unfinished_update
from personalens.control.resource_store import Resource, ResourceStore
from personalens.control.worker_launch import ensure_worker
from personalens.home import Home

if TYPE_CHECKING:
    from personalens.recipes.registry import RecipeEntry

JOBS_VARIABLE = "PERSONALENS_JOBS"


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

    @classmethod
    def open(
        cls,
        home: Home,
        *,
        region: str = DEFAULT_REGION,
        account: str | None = None,
        inline_jobs: bool | None = None,
        create: bool = True,
    ) -> ServiceContext:
        """Open a home.

        Parameters
        ----------
        home
            The folder; it is made when first used.
        region, account
            Default account: ``PERSONALENS_ACCOUNT_ID`` or 123456789012.
        inline_jobs
            Whether jobs run inside the call that asks for them instead of in a worker process.
            Default: whether ``PERSONALENS_JOBS`` is ``inline``.
        create
            Whether a missing home may be made.
        """
        account = account_id() if account is None else account
        if inline_jobs is None:
            inline_jobs = _jobs_are_inline()
        catalogue = Catalogue(home, create=create)
        store = ResourceStore(home, region=region, account=account, catalogue=catalogue)
        jobs = JobQueue(
            home,
            ResourceStore(home, catalogue=catalogue),
            on_work=lambda: context.run_jobs() if inline_jobs else ensure_worker(home, jobs),
        )
        log, memory = EventLog(home, create=create), RecommendationMemory(home)
        context = cls(home, store, jobs, log, memory, region, account)
        return context

    def for_arn(self, arn: str) -> ServiceContext:
        """Return the context of the region and account of an ARN, on the same connections."""
        region, account = arn.split(":")[3:5]
        store = ResourceStore(
            self.home, region=region, account=account, catalogue=self.store.catalogue
        )
        return replace(self, store=store, region=region, account=account)

    def recipes(self) -> Mapping[str, RecipeEntry]:
        """Return the recipes that exist here, those registered in the home among them."""
        from personalens.control.custom_recipes import known_recipes  # pandas: not for an import

        return known_recipes(self.jobs.store)

    def run_jobs(self) -> int:
        """Do all waiting jobs here and now; return how many."""
        done = 0
        while (job := self.jobs.claim()) is not None:
            run_job(self.for_arn(job.arn), job)
            done += 1
        return done

    def begin_due_trainings(self) -> None:
        """Ask for the automatic trainings whose time has come."""
        from personalens.control import automatic_training  # it stands on this module's users

        automatic_training.begin_due_trainings(self)

    def describe(self, arn: str, kind: str) -> Resource:
        """Return a resource for a Describe, and see to it that its job is being worked on, and
        automatic trainings too.

        Raises
        ------
        ResourceNotFoundException
            If there is no such resource.
        """
        self.begin_due_trainings()
        resource = self.store.require(arn, kind)
        if is_in_transition(resource) or unfinished_update(resource):
            self.jobs.wake()
        return resource


def _jobs_are_inline() -> bool:
    mode = os.environ.get(JOBS_VARIABLE) or "worker"
    if mode not in ("inline", "worker"):
        raise ValueError(f"{JOBS_VARIABLE} is {mode!r}; allowed: inline, worker")
    return mode == "inline"
