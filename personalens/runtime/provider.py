"""The runtime service: recommendations from campaigns.

Amazon Personalize Runtime: GetRecommendations, GetPersonalizedRanking, GetActionRecommendations.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from personalens.control.exploration_settings import ExplorationSettings
from personalens.recipes.cold_items import ColdItemRecipe
from personalens.runtime.candidate_ranking import best_items, ranked_items
from personalens.runtime.deployments import Deployment, Deployments
from personalens.runtime.request_randomness import RequestRandomness
from personalens.runtime.user_histories import UserHistories
from personalens.runtime.user_scores import UserScores
from personalens.service_errors import (
    InvalidInputException,
    OperationNotImplemented,
    ResourceNotFoundException,
)

if TYPE_CHECKING:
    from personalens.control.service_context import ServiceContext

DEFAULT_RESULTS, MAX_RESULTS = 25, 500
RANKING, RELATED, POPULAR = "PERSONALIZED_RANKING", "RELATED_ITEMS", "POPULAR_ITEMS"


class PersonalizeRuntimeProvider:
    """Answers the runtime operations of one region and account. Safe to share between threads.

    Parameters
    ----------
    context
        Whose campaigns.
    """

    def __init__(self, context: ServiceContext):
        self._deployments = Deployments(context)
        self._histories = UserHistories()
        self._scores = UserScores()
        self._chance = RequestRandomness()

    def get_recommendations(
        self,
        *,
        campaignArn: str | None = None,
        recommenderArn: str | None = None,
        userId: str | None = None,
        itemId: str | None = None,
        numResults: int = DEFAULT_RESULTS,
        context: Mapping[str, str] | None = None,
        **later: Any,
    ) -> dict[str, Any]:
        """Recommend items to a user, or items related to an item, as the campaign's recipe does.

        An input that the recipe does not use (itemId for a user recipe, userId for related items,
        context for a recipe that does not read it) is accepted and ignored.

        Raises
        ------
        InvalidInputException
            If the input that the recipe needs is missing, or numResults is above 500.
        ResourceNotFoundException
            If the campaign does not exist or is not ACTIVE.
        """
        campaign_arn = _one_source(campaignArn, recommenderArn)
        _refuse_later(later)
        _check_count("numResults", numResults, least=0)
        deployment = self._deployments.require(campaign_arn)
        model = deployment.model
        if model.recipe_type == RANKING:
            raise InvalidInputException(
                f"Campaign {campaign_arn} uses {model.name}, a {RANKING} recipe: call "
                "GetPersonalizedRanking with an inputList."
            )
        if model.recipe_type == RELATED:
            if not itemId:
                raise _missing_input("itemId", campaign_arn, model.name)
            codes = np.array([model.items_.code(itemId)])  # -1, unknown, means popular items
            scores = model.score_related(codes)[0]
        elif not userId and model.recipe_type != POPULAR:
            raise _missing_input("userId", campaign_arn, model.name)
        else:
            scores = self._user_scores(deployment, userId, context, explores=True)
        return _reply("itemList", best_items(model, scores, numResults))

    def get_personalized_ranking(
        self,
        *,
        campaignArn: str,
        inputList: Sequence[str],
        userId: str,
        context: Mapping[str, str] | None = None,
        **later: Any,
    ) -> dict[str, Any]:
        """Order the given items for a user.

        Raises
        ------
        InvalidInputException
            If the campaign's recipe is not of type PERSONALIZED_RANKING, userId or inputList is
            empty, or inputList holds more than 500 items.
        ResourceNotFoundException
            If the campaign does not exist or is not ACTIVE.
        """
        _refuse_later(later)
        _check_count("The number of items in inputList", len(inputList), least=1)
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
        return _reply("personalizedRanking", ranked_items(model, scores, inputList))

    def get_action_recommendations(self, **request: Any) -> dict[str, Any]:
        """Not there yet: no recipe of type PERSONALIZED_ACTIONS exists.

        Raises
        ------
        OperationNotImplemented
            Always.
        """
        raise OperationNotImplemented(
            "GetActionRecommendations is not implemented in PersonaLens yet: it needs the recipe "
            "aws-next-best-action."
        )

    def _user_scores(
        self,
        deployment: Deployment,
        user_id: str | None,
        context: Mapping[str, str] | None,
        *,
        explores: bool = False,
    ) -> np.ndarray:
        model = deployment.model
        state = self._histories.state(model, user_id, context=context)
        scores = self._scores.of(model, deployment.solution_version_arn, state)
        if not (explores and isinstance(model, ColdItemRecipe)):
            return scores
        settings = ExplorationSettings.from_campaign(deployment.config)
        return model.explore(
            scores,
            state.history,
            weight=settings.weight,
            cutoff_days=settings.cutoff_days,
            rng=self._chance.generator(),
        )


def _one_source(campaign_arn: str | None, recommender_arn: str | None) -> str:
    """Return the campaign to ask; recommenders do not exist yet, so none is ever found."""
    if campaign_arn is not None and recommender_arn is not None:
        raise InvalidInputException("Give campaignArn or recommenderArn, not both.")
    if recommender_arn is not None:
        raise ResourceNotFoundException(
            f"Could not find recommender with ARN {recommender_arn}. PersonaLens has no "
            "recommenders yet: create a campaign and give campaignArn."
        )
    if campaign_arn is None:
        raise InvalidInputException("Give the campaign to ask: campaignArn is missing.")
    return campaign_arn


def _check_count(what: str, count: int, *, least: int) -> None:
    if not least <= count <= MAX_RESULTS:
        raise InvalidInputException(f"{what} is {count}; allowed: {least} to {MAX_RESULTS}.")


def _refuse_later(given: Mapping[str, Any]) -> None:
    """Refuse inputs of the service model that would change the answer but are not obeyed yet."""
    for name, value in given.items():
        if value:
            raise OperationNotImplemented(
                f"{name} is not implemented in PersonaLens yet. Leave it out to get the list "
                "without it."
            )


def _missing_input(name: str, campaign_arn: str, recipe: str) -> InvalidInputException:
    return InvalidInputException(
        f"{name} is missing: campaign {campaign_arn} uses {recipe}, which needs it."
    )


def _reply(member: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    return {member: items, "recommendationId": f"RID-{uuid.uuid4()}"}
