"""Campaigns: solution versions that answer requests.

Amazon Personalize: CreateCampaign, DescribeCampaign, ListCampaigns, UpdateCampaign, DeleteCampaign.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from personalens import arns
from personalens.control.operations.kinds import KindOperations
from personalens.control.operations.recipes import require_recipe
from personalens.control.work.deploy import (
    CAMPAIGN,
    CAMPAIGN_JOB,
    begin_update,
    newest_active_version,
)
from personalens.service_errors import InvalidInputException
from personalens.settings.serving_config import check_serving_config
from personalens.storage.resource_store import (
    SOLUTION,
    SOLUTION_VERSION,
    Resource,
    ResourceReader,
    require_active,
    require_settled,
    solution_of,
)


class CampaignOperations(KindOperations):
    """Operations on campaigns."""

    def create_campaign(
        self,
        *,
        name: str,
        solutionVersionArn: str,
        minProvisionedTPS: int = 1,
        campaignConfig: dict[str, Any] | None = None,
        tags: list[dict[str, str]] | None = None,
    ) -> dict[str, Any]:
        """Deploy a solution version, or with ``SOLUTION_ARN/$LATEST`` the newest ACTIVE one.

        ``minProvisionedTPS`` is stored and reported; in AWS it is what one pays for.
        """
        with self.context.store.transaction() as tx:
            version = _require_version(tx, solutionVersionArn)
            self._check_config(campaignConfig, solutionVersionArn, version)
            body = {
                "solutionVersionArn": version.arn,
                "minProvisionedTPS": minProvisionedTPS,
                "_datasetGroupArn": version.body["datasetGroupArn"],
                "campaignConfig": campaignConfig,
            }
            made = self._create(tx, CAMPAIGN, name, body, tags=tags, job=CAMPAIGN_JOB)
        return {"campaignArn": made.arn}

    def list_campaigns(self, *, solutionArn: str | None = None, **page: Any) -> dict[str, Any]:
        """List campaigns, oldest first; those that a solution, or one version of it, serves if
        asked. Amazon Personalize: solutionArn may be a solution version's ARN."""

        def is_wanted(campaign: Resource) -> bool:
            version = campaign.body["solutionVersionArn"]
            return solutionArn in (None, version, solution_of(version))

        return self._list(CAMPAIGN, where=is_wanted, **page)

    def update_campaign(
        self,
        *,
        campaignArn: str,
        solutionVersionArn: str | None = None,
        minProvisionedTPS: int | None = None,
        campaignConfig: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Change the version, the capacity or the configuration; what is left out stays.

        The campaign serves as before until ``latestCampaignUpdate.status`` is ACTIVE.
        """
        with self.context.store.transaction() as tx:
            campaign = require_settled(tx.require(campaignArn, CAMPAIGN))
            if solutionVersionArn is None:
                version = tx.require(campaign.body["solutionVersionArn"])
            else:
                version = _require_version(tx, solutionVersionArn)
            if solutionVersionArn is not None or campaignConfig is not None:
                kept = campaign.body.get("campaignConfig")
                config = kept if campaignConfig is None else campaignConfig
                self._check_config(config, solutionVersionArn, version)
            changes = {
                "solutionVersionArn": version.arn,
                "minProvisionedTPS": minProvisionedTPS,
                "campaignConfig": campaignConfig,
            }
            begin_update(tx, self.context.jobs, campaign, changes)
        return {"campaignArn": campaignArn}

    def _check_config(
        self, config: dict[str, Any] | None, asked: str | None, version: Resource
    ) -> None:
        config = config or {}
        entry = partial(require_recipe, self.context, version.body["recipeArn"])
        check_serving_config("campaignConfig", config, entry)
        follows = config.get("syncWithLatestSolutionVersion", False)
        if follows and not (asked or "").endswith(f"/{arns.LATEST}"):
            raise InvalidInputException(
                "syncWithLatestSolutionVersion needs a solutionVersionArn that ends in "
                f"/{arns.LATEST}: {version.parent_arn}/{arns.LATEST}, not {asked or 'none'}."
            )


def _require_version(reader: ResourceReader, arn: str) -> Resource:
    """Return the ACTIVE solution version of an ARN that may end in ``$LATEST``."""
    if not arn.endswith(f"/{arns.LATEST}"):
        return require_active(reader.require(arn, SOLUTION_VERSION))
    solution_arn = solution_of(arn)
    require_active(reader.require(solution_arn, SOLUTION))
    newest = newest_active_version(reader, solution_arn)
    if newest is None:
        raise InvalidInputException(
            f"The solution {solution_arn} has no ACTIVE solution version yet. Create one and wait "
            "until it is ACTIVE."
        )
    return reader.require(newest, SOLUTION_VERSION)
