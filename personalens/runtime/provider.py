"""The runtime service: recommendations from campaigns and recommenders.

Amazon Personalize Runtime: GetRecommendations, GetPersonalizedRanking, GetActionRecommendations.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from personalens.datasets.histories import History
from personalens.recipes.base import Recipe
from personalens.recipes.trending_now import TrendingNow
from personalens.runtime.candidate_ranking import (
    Promotion,
    best_codes,
    listed_items,
    offered_scores,
    place_promoted,
    ranked_items,
)
from personalens.runtime.deployments import CAMPAIGN, RECOMMENDER, Deployment, Deployments
from personalens.runtime.filtering import ItemFilters
from personalens.runtime.group_tables import GroupTables
from personalens.runtime.item_metadata import add_metadata
from personalens.runtime.request_randomness import RequestRandomness
from personalens.runtime.score_vector import ScoreVector
from personalens.runtime.trends import Trends
from personalens.runtime.user_histories import UserHistories
from personalens.runtime.user_scores import UserScores
from personalens.runtime.waiting import about_to_wait
from personalens.service_errors import InvalidInputException
from personalens.settings.serving_config import ExplorationSettings

if TYPE_CHECKING:
    from personalens.storage.service_context import ServiceContext

DEFAULT_RESULTS, MAX_RESULTS = 25, 500
DEFAULT_ACTIONS, MAX_ACTIONS = 5, 100
DEFAULT_PROMOTED = 25
"""Percent of a list that a promotion takes which does not say; the service's is not documented."""
RANKING, RELATED, POPULAR = "PERSONALIZED_RANKING", "RELATED_ITEMS", "POPULAR_ITEMS"
ACTIONS = "PERSONALIZED_ACTIONS"
OTHER_OPERATIONS = {
    RANKING: "call GetPersonalizedRanking with an inputList",
    ACTIONS: "call GetActionRecommendations",
    "USER_SEGMENTATION": "it answers batch segment jobs only",
}
"""What a campaign's recipe is for, where that is not GetRecommendations."""


class _Shaping(NamedTuple):
    """What a request asks of its list."""

    filter_arn: str | None
    filter_values: Mapping[str, str] | None
    promotions: Sequence[Mapping[str, Any]]
    user_id: str | None
    item_id: str | None


class PersonalizeRuntimeProvider:
    """Answers the runtime operations of one region and account. Safe to share between threads.

    Parameters
    ----------
    context
        Whose campaigns.
    """

    def __init__(self, context: ServiceContext):
        self._deployments = Deployments(context)
        self._histories = UserHistories(context.events)
        self._memory = context.recommendations
        self._scores = UserScores()
        self._trends = Trends(context.events)
        self._chance = RequestRandomness()
        self._tables = GroupTables(context)
        self._filters = ItemFilters(context, self._tables)

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

        Raises
        ------
        InvalidInputException
            If the input that the recipe needs is missing, numResults is above 500, or the filter, a
            promotion or the metadata columns do not fit the campaign.
        ResourceNotFoundException
            If the campaign, the recommender or a filter does not exist, or the first two are not
            ACTIVE.
        """
        arn, kind = _one_source(campaignArn, recommenderArn)
        _check_count("numResults", numResults, least=0)
        deployment = self._deployments.require(arn, kind)
        model = deployment.model
        explores = model.explores
        if metadataColumns or (explores and (filterArn or promotions)):
            about_to_wait()  # for tables that may have changed, before any chance is drawn
        if other := OTHER_OPERATIONS.get(model.recipe_type):
            raise InvalidInputException(
                f"Campaign {arn} uses {model.name}, a {model.recipe_type} recipe: {other}."
            )
        personal = model.recipe_type not in (RELATED, POPULAR) or model.needs_user
        if personal and not userId:
            raise _missing_input("userId", arn, model.name)
        if model.recipe_type == RELATED:
            if not itemId:
                raise _missing_input("itemId", arn, model.name)
            code = model.items_.code(itemId)  # -1, unknown, means popular items
            if influence := deployment.config.get("rankingInfluence"):
                scores = model.influenced(code, influence)
            else:
                scores = model.score_related(np.array([code]))[0]
            if model.needs_user:
                scores = _without_hidden(
                    model, scores, self._histories.state(deployment, userId).history
                )
            scores = ScoreVector(scores)
        elif isinstance(model, TrendingNow):
            scores = self._trends.of(deployment)
        else:
            scores = self._user_scores(deployment, userId, context, recommends=True)
        shaping = _Shaping(filterArn, filterValues, promotions, userId, itemId)
        listed = self._list(deployment, scores, numResults, shaping)
        add_metadata(listed, metadataColumns, deployment, self._tables, asked_for=numResults)
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
        """Order the given items for a user.

        Raises
        ------
        InvalidInputException
            If the campaign's recipe is not of type PERSONALIZED_RANKING, userId or inputList is
            empty, inputList holds more than 500 items, or the filter or the metadata columns do not
            fit the campaign.
        ResourceNotFoundException
            If the campaign or the filter does not exist, or the campaign is not ACTIVE.
        """
        _check_count("The number of items in inputList", len(inputList), least=1)
        if filterArn or metadataColumns:
            about_to_wait()
        deployment = self._deployments.require(campaignArn)
        model = deployment.model
        if model.recipe_type != RANKING:
            raise InvalidInputException(
                f"Campaign {campaignArn} uses {model.name}, a {model.recipe_type} recipe, and only "
                f"a {RANKING} recipe ranks a list: call GetRecommendations."
            )
        if not userId:
            raise _missing_input("userId", campaignArn, model.name)
        scores = self._user_scores(deployment, userId, context)
        allowed = filterArn and self._filters.allowed(
            deployment, filterArn, filterValues, user_id=userId
        )
        ranked = ranked_items(model, scores.values, inputList, allowed or None)
        count = len(inputList)
        add_metadata(ranked, metadataColumns, deployment, self._tables, asked_for=count)
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

        Raises
        ------
        InvalidInputException
            If no campaign is named or its recipe does not recommend actions, userId is missing, or
            numResults is above 100.
        ResourceNotFoundException
            If the campaign does not exist or is not ACTIVE, or there is no such filter.
        """
        _check_count("numResults", numResults, least=0, most=MAX_ACTIONS)
        if campaignArn is None:
            raise InvalidInputException("Name what recommends: give a campaignArn.")
        about_to_wait()
        deployment = self._deployments.require(campaignArn)
        model = deployment.model
        if model.recipe_type != ACTIONS:
            raise InvalidInputException(
                f"Campaign {campaignArn} uses {model.name}, a {model.recipe_type} recipe, and only "
                f"a {ACTIONS} recipe recommends actions: call GetRecommendations."
            )
        if not userId:
            raise _missing_input("userId", campaignArn, model.name)
        state = self._histories.state(deployment, userId)
        history = replace(state.history, request_time=int(time.time()))
        scores = model.score([history])[0]
        if filterArn is not None:
            found = self._filters.allowed(
                deployment, filterArn, filterValues, user_id=userId, target="ActionID"
            )
            scores = np.where(found.of_model(model.items_), scores, -np.inf)
        listed = [
            {"actionId": model.items_.ids[code], "score": float(scores[code])}
            for code in model.best_actions(scores, numResults)
        ]
        return self._reply("actionList", listed, deployment, id_key="actionId")

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

    def _list(
        self, deployment: Deployment, scores: ScoreVector, num_results: int, shaping: _Shaping
    ) -> list[dict[str, Any]]:
        """Return the best items, those that filter and promotion ask for."""
        model = deployment.model

        def allowed_by(arn: str, values: Mapping[str, str] | None) -> np.ndarray:
            found = self._filters.allowed(
                deployment, arn, values, user_id=shaping.user_id, item_id=shaping.item_id
            )
            return found.of_model(model.items_)

        allowed = None
        if shaping.filter_arn:
            allowed = allowed_by(shaping.filter_arn, shaping.filter_values)
        if not shaping.promotions:
            return listed_items(model, scores, best_codes(scores, num_results, allowed))
        [asked] = shaping.promotions
        if "filterArn" not in asked:
            raise InvalidInputException("promotions needs a filterArn: it says what is promoted.")
        chosen = allowed_by(asked["filterArn"], asked.get("filterValues"))
        promotion = Promotion(asked.get("percentPromotedItems", DEFAULT_PROMOTED), chosen)
        codes, promoted = place_promoted(
            scores.values, allowed, promotion, num_results, self._chance.generator()
        )
        listed = listed_items(model, scores, codes)
        for item, is_promoted in zip(listed, promoted, strict=True):
            if is_promoted and "name" in asked:
                item["promotionName"] = asked["name"]
        return listed

    def _user_scores(
        self,
        deployment: Deployment,
        user_id: str | None,
        context: Mapping[str, str] | None,
        *,
        recommends: bool = False,
    ) -> ScoreVector:
        """Return the scores of all items; to recommend, explored, and without what is hidden from
        this user."""
        model = deployment.model
        state = self._histories.state(deployment, user_id, context=context)
        scores = self._scores.of(model, deployment.solution_version_arn, state)
        if not recommends:
            return scores
        settings = ExplorationSettings.from_campaign(deployment.config)
        row = scores.values[np.newaxis]
        offered = offered_scores(model, row, [state.history], settings, self._chance)
        return scores if offered is row else ScoreVector(offered[0])


def _without_hidden(model: Recipe, scores: np.ndarray, history: History) -> np.ndarray:
    """Return the scores with -inf for what is hidden from a user."""
    hidden = model.hidden_items(history)
    if len(hidden):
        scores = np.array(scores)
        scores[hidden] = -np.inf
    return scores


def _one_source(campaign_arn: str | None, recommender_arn: str | None) -> tuple[str, str]:
    """Return whom to ask, and which kind of resource that is."""
    if (campaign_arn is None) == (recommender_arn is None):
        raise InvalidInputException("Give one of campaignArn and recommenderArn.")
    if recommender_arn is not None:
        return recommender_arn, RECOMMENDER
    return campaign_arn, CAMPAIGN


def _check_count(what: str, count: int, *, least: int, most: int = MAX_RESULTS) -> None:
    if not least <= count <= most:
        raise InvalidInputException(f"{what} is {count}; allowed: {least} to {most}.")


def _missing_input(name: str, arn: str, recipe: str) -> InvalidInputException:
    return InvalidInputException(f"{name} is missing: {arn} uses {recipe}, which needs it.")
