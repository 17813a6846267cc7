"""Putting a solution version behind a campaign: the job, and the rule of automatic updates.

A deployment proves that the trained model can be read before a campaign serves it. While an update
is on its way the campaign goes on with what it has; ``status`` stays ACTIVE and only
``latestCampaignUpdate`` moves.

Amazon Personalize: CreateCampaign, UpdateCampaign, ``syncWithLatestSolutionVersion``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from personalens.jobs.job_runner import JobFailed, JobHandler
from personalens.progress import Progress, ProgressEvent
from personalens.storage.job_queue import Job, JobQueue
from personalens.storage.model_folders import load_model, serving_folder
from personalens.storage.resource_store import (
    ACTIVE,
    CREATE_FAILED,
    CREATE_IN_PROGRESS,
    CREATE_PENDING,
    SOLUTION_VERSION,
    Resource,
    ResourceReader,
    Transaction,
    moved_update,
    new_update,
    solution_of,
    unfinished_update,
)
from personalens.storage.service_context import ServiceContext

CAMPAIGN = "campaign"
CAMPAIGN_JOB = "campaign"
DEPLOYED = ("solutionVersionArn", "minProvisionedTPS", "campaignConfig")
"""Members that an update may change."""


def begin_update(
    tx: Transaction, jobs: JobQueue, campaign: Resource, changes: dict[str, Any]
) -> None:
    """Ask for an update of a campaign; members that are not in ``changes``, or None there, stay as
    they are."""
    kept = {name: campaign.body.get(name) for name in DEPLOYED}
    wanted = kept | {name: value for name, value in changes.items() if value is not None}
    tx.update(campaign.arn, latestCampaignUpdate=new_update(CREATE_PENDING, **wanted))
    jobs.enqueue(tx, CAMPAIGN_JOB, campaign.arn, {"update": True})


def newest_active_version(reader: ResourceReader, solution_arn: str) -> str | None:
    """Return the ARN of a solution's newest ACTIVE version, or None."""
    versions = reader.list(SOLUTION_VERSION, parent_arn=solution_arn, status_in=[ACTIVE])
    return versions[-1].arn if versions else None


def follow_newest_version(tx: Transaction, jobs: JobQueue, solution_arn: str) -> None:
    """Begin an update of every campaign that follows this solution and is behind.

    Called in the transaction that makes a version ACTIVE, and again when a deployment ends, for a
    version may have become ACTIVE while the campaign was busy with another.
    """
    newest = newest_active_version(tx, solution_arn)
    for campaign in tx.list(CAMPAIGN):
        follows = campaign.body.get("campaignConfig", {}).get("syncWithLatestSolutionVersion")
        deployed = campaign.body["solutionVersionArn"]
        is_of_solution = solution_of(deployed) == solution_arn
        is_free = campaign.status == ACTIVE and not unfinished_update(campaign)
        update = campaign.body.get("latestCampaignUpdate", {})
        # An update that failed is not tried again with the same version: it would fail for ever.
        is_new = newest not in (None, deployed, update.get("solutionVersionArn"))
        if follows and is_of_solution and is_free and is_new:
            begin_update(tx, jobs, campaign, {"solutionVersionArn": newest})


def deploy(context: ServiceContext, job: Job, report: Progress) -> None:
    """Do a campaign job: a creation, or with ``{"update": True}`` an update."""
    is_update = bool(job.payload.get("update"))
    with context.jobs.holding(job) as tx:
        campaign = _set_status(tx, job.arn, is_update, CREATE_IN_PROGRESS)
    target = campaign.body["latestCampaignUpdate"] if is_update else campaign.body
    report(ProgressEvent("loading the model", 0.0))
    version = context.store.require(target["solutionVersionArn"])
    prove_readable(context, serving_folder(context.home, version))
    report(ProgressEvent("loading the model", 1.0))
    with context.jobs.finishing(job) as tx:
        if is_update:
            tx.update(job.arn, **{name: target.get(name) for name in DEPLOYED})
        _set_status(tx, job.arn, is_update, ACTIVE)
        tx.update(job.arn, status=ACTIVE, failure_reason="")
        follow_newest_version(tx, context.jobs, solution_of(target["solutionVersionArn"]))


def prove_readable(context: ServiceContext, folder: Path) -> None:
    """Fail the job unless a model can be loaded."""
    try:
        load_model(folder, context.recipes())
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise JobFailed(f"The model cannot be read: {error}") from error


def fail_deployment(tx: Transaction, job: Job, reason: str) -> None:
    """A creation that fails leaves a CREATE FAILED campaign; an update that fails leaves the
    campaign serving what it had."""
    _set_status(tx, job.arn, bool(job.payload.get("update")), CREATE_FAILED, reason)


def _stop_deployment(tx: Transaction, job: Job) -> None:
    fail_deployment(tx, job, "The deployment was stopped. Update the campaign to try again.")


def _set_status(
    tx: Transaction, arn: str, is_update: bool, status: str, reason: str | None = None
) -> Resource:
    """Set the status of the campaign, or of its latest update."""
    if not is_update:
        return tx.update(arn, status=status, failure_reason=reason)
    update = tx.require(arn).body["latestCampaignUpdate"]
    return tx.update(arn, latestCampaignUpdate=moved_update(update, status, reason))


CAMPAIGN_HANDLER = JobHandler(deploy, on_failure=fail_deployment, on_stopped=_stop_deployment)
