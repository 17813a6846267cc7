"""The runtime service: recommendations from campaigns and recommenders.

Amazon Personalize Runtime: GetRecommendations, GetPersonalizedRanking, GetActionRecommendations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from personalens.runtime.answering import (
    ACTIONS,
    POPULAR,
    RANKING,
    RELATED,
    Answering,
    ranked_items,
)
from personalens.runtime.deployments import CAMPAIGN, RECOMMENDER, Deployment, Deployments, Question
from personalens.runtime.group_tables import GroupTables
from personalens.service_errors import InvalidInputException

if TYPE_CHECKING:
    from personalens.storage.service_context import ServiceContext

DEFAULT_RESULTS, MAX_RESULTS = 25, 500
DEFAULT_ACTIONS, MAX_ACTIONS = 5, 100
OTHER_OPERATIONS = {
    RANKING: "call GetPersonalizedRanking with an inputList",
    ACTIONS: "call GetActionRecommendations",
    "USER_SEGMENTATION": "it answers batch segment jobs only",
}
"""What a campaign's recipe is for, where that is not GetRecommendations."""


class PersonalizeRuntimeProvider:
    """Answers the runtime operations of one region and account. Safe to share between threads."""

    def __init__(self, context: ServiceContext):
        self._deployments = Deployments(context)
        self._tables = GroupTables(context)
        self._answering = Answering(context, self._tables)
        self._memory = context.recommendations

    def get_recommendations(
        self,
        *,
        campaignArn: str | None = None,
        recommenderArn: str | None = None,
        userId: str | None = None,
        itemId: str | None = None,
        numResults: int = DEFAULT_RESULTS,
        context: Mapping[str, str] | None = None,
        filterArn: str | None = None,
        filterValues: Mapping[str, str] | None = None,
        promotions: Sequence[Mapping[str, Any]] = (),
        metadataColumns: Mapping[str, Sequence[str]] | None = None,
    ) -> dict[str, Any]:
        """Recommend items to a user, or items related to an item, as the campaign's recipe does.

        An input that the recipe does not use (itemId for a user recipe, userId for related items,
        context for a recipe that does not read it) is accepted and ignored.
        """
        arn, kind = _one_source(campaignArn, recommenderArn)
        _check_count("numResults", numResults, least=0)
        deployment = self._deployments.require(arn, kind)
        model = deployment.model
        if other := OTHER_OPERATIONS.get(model.recipe_type):
            raise InvalidInputException(
                f"Campaign {arn} uses {model.name}, a {model.recipe_type} recipe: {other}."
            )
        personal = model.recipe_type not in (RELATED, POPULAR) or model.needs_user
        if personal and not userId:
            raise _missing_input("userId", arn, model.name)
        if model.recipe_type == RELATED and not itemId:
            raise _missing_input("itemId", arn, model.name)
        question = Question(userId, itemId, (), context, filterArn, filterValues)
        listed = self._answering.listed(deployment, question, numResults, promotions)
        if metadataColumns:
            self._tables.describe(listed, metadataColumns, deployment, numResults)
        return self._reply("itemList", listed, deployment)

    def get_personalized_ranking(
        self,
        *,
        campaignArn: str,
        inputList: Sequence[str],
        userId: str,
        context: Mapping[str, str] | None = None,
        filterArn: str | None = None,
        filterValues: Mapping[str, str] | None = None,
        metadataColumns: Mapping[str, Sequence[str]] | None = None,
    ) -> dict[str, Any]:
        """Order the given items for a user; only a recipe of the type PERSONALIZED_RANKING does."""
        _check_count("The number of items in inputList", len(inputList), least=1)
        deployment = self._deployments.require(campaignArn)
        _check_type(deployment, RANKING, "ranks a list", userId)
        question = Question(userId, None, inputList, context, filterArn, filterValues)
        scores = self._answering.scores(deployment, [question])
        allowed = self._answering.allowed(deployment, question)
        ranked = ranked_items(deployment.model, scores.values[0], inputList, allowed)
        if metadataColumns:
            self._tables.describe(ranked, metadataColumns, deployment, len(inputList))
        return self._reply("personalizedRanking", ranked, deployment)

    def get_action_recommendations(
        self,
        *,
        campaignArn: str | None = None,
        userId: str | None = None,
        numResults: int = DEFAULT_ACTIONS,
        filterArn: str | None = None,
        filterValues: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Return the actions that a user will most likely take, each with its probability.

        An action without enough action interactions has a score of 0.0; one that has expired, or is
        not due again for this user, is left out.
        """
        _check_count("numResults", numResults, least=0, most=MAX_ACTIONS)
        if campaignArn is None:
            raise InvalidInputException("Name what recommends: give a campaignArn.")
        deployment = self._deployments.require(campaignArn)
        _check_type(deployment, ACTIONS, "recommends actions", userId)
        items = deployment.model.items_
        question = Question(userId, filter_arn=filterArn, filter_values=filterValues)
        scores = self._answering.scores(deployment, [question]).values[0]
        allowed = self._answering.allowed(deployment, question, target="ActionID")
        if allowed is not None:
            scores = np.where(allowed.of_model(items), scores, -np.inf)
        listed = [
            {"actionId": items.ids[code], "score": float(scores[code])}
            for code in deployment.model.best_actions(scores, numResults)
        ]
        return self._reply("actionList", listed, deployment, id_key="actionId")

    def is_quick(self, operation: str, request: Mapping[str, Any]) -> bool:
        """Whether a request needs nothing but what is in memory, so that it does not wait.

        ``operation`` is the name of a method here, ``request`` what it would be called with. Only
        caches and single rows of the catalogue and the event log are looked at, and nothing is
        changed. After a wrong answer the request is answered as well, sooner or later.
        """
        if operation == "get_action_recommendations":  # its scores are never kept
            return False
        arn, kind = _one_source(request.get("campaignArn"), request.get("recommenderArn"))
        deployment = self._deployments.in_memory(arn, kind)
        if deployment is None:
            return False
        group = deployment.dataset_group_arn
        if request.get("metadataColumns") and not self._tables.is_read(group, "ITEMS"):
            return False
        asked = [request, *request.get("promotions", ())]
        filters = [each["filterArn"] for each in asked if each.get("filterArn")]
        question = Question(request.get("userId"), context=request.get("context"))
        return self._answering.is_quick(deployment, question, filters)

    def _reply(
        self,
        member: str,
        listed: list[dict[str, Any]],
        deployment: Deployment,
        *,
        id_key: str = "itemId",
    ) -> dict[str, Any]:
        """Return the answer, with an id under which an event may name this list."""
        ids = [each[id_key] for each in listed]
        known_as = self._memory.remember(deployment.campaign_arn, ids)
        return {member: listed, "recommendationId": known_as}


def _one_source(campaign_arn: str | None, recommender_arn: str | None) -> tuple[str, str]:
    """Return the ARN of what is asked, and its kind."""
    if (campaign_arn is None) == (recommender_arn is None):
        raise InvalidInputException("Give one of campaignArn and recommenderArn.")
    if recommender_arn is not None:
        return recommender_arn, RECOMMENDER
    return campaign_arn, CAMPAIGN


def _check_count(what: str, count: int, *, least: int, most: int = MAX_RESULTS) -> None:
    if not least <= count <= most:
        raise InvalidInputException(f"{what} is {count}; allowed: {least} to {most}.")


def _check_type(
    deployment: Deployment, recipe_type: str, answers: str, user_id: str | None
) -> None:
    """Check that a campaign's recipe has the one type that answers, and that a user is named."""
    arn, model = deployment.campaign_arn, deployment.model
    if model.recipe_type != recipe_type:
        raise InvalidInputException(
            f"Campaign {arn} uses {model.name}, a {model.recipe_type} recipe, and only "
            f"a {recipe_type} recipe {answers}: call GetRecommendations."
        )
    if not user_id:
        raise _missing_input("userId", arn, model.name)


def _missing_input(name: str, arn: str, recipe: str) -> InvalidInputException:
    return InvalidInputException(f"{name} is missing: {arn} uses {recipe}, which needs it.")
