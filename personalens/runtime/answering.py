"""Answers: from what is asked of a deployment to scores and lists.

Requests and the lines of batch jobs are answered here, in the same way: a request is a question
alone, and its scores are kept; a batch answers a block of questions at once, and keeps nothing.

Amazon Personalize: ``itemList`` of GetRecommendations, ``personalizedRanking`` of
GetPersonalizedRanking, ``actionList`` of GetActionRecommendations, and the output of batch
inference jobs.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from personalens.datasets.id_maps import UNKNOWN
from personalens.datasets.interactions import History
from personalens.evaluation.ranking_metrics import top_k_row
from personalens.filters.expressions import Target
from personalens.recipes.base import Recipe
from personalens.recipes.trending_now import TrendingNow
from personalens.runtime.deployments import Deployment, Question
from personalens.runtime.filtering import Allowed, ItemFilters
from personalens.runtime.group_tables import GroupSnapshot, GroupTables
from personalens.runtime.trends import Trends
from personalens.runtime.users import Scores, UserHistories, UserScores, joined, live_events
from personalens.service_errors import InvalidInputException
from personalens.settings.serving_config import ExplorationSettings
from personalens.settings.solution_config import EVENTS_UNTIL

if TYPE_CHECKING:
    from personalens.storage.service_context import ServiceContext

RANKING, RELATED, POPULAR = "PERSONALIZED_RANKING", "RELATED_ITEMS", "POPULAR_ITEMS"
ACTIONS = "PERSONALIZED_ACTIONS"
DEFAULT_PROMOTED = 25
"""Percent of a list for a promotion that names none; the service's default is not documented."""
SEED_VARIABLE = "PERSONALENS_EXPLORATION_SEED"


class Answering:
    """Answers requests of one region and account. Safe to share between threads."""

    def __init__(self, context: ServiceContext, tables: GroupTables):
        self._filters = ItemFilters(context, tables)
        self._histories, self._scores = UserHistories(context.events), UserScores()
        self._trends, self._chance = Trends(context.events), RequestRandomness()

    def scores(self, deployment: Deployment, questions: Sequence[Question]) -> Scores:
        """Return the scores of all items for each question, as lists show and rank them: of what is
        recommended, explored where the recipe explores, and -inf for what is hidden from a user."""
        model = deployment.model
        if model.recipe_type == RELATED:
            return self._related(deployment, questions)
        if isinstance(model, TrendingNow):
            scores, asked = self._trends.of(deployment), len(questions)
            one_each = (asked, len(model.items_))
            return scores if asked == 1 else Scores(np.broadcast_to(scores.values, one_each))
        scores, histories = self._of_users(deployment, questions)
        if model.recipe_type in (RANKING, ACTIONS):
            return scores
        return _offered(deployment, scores, histories, self._chance)

    def _of_users(
        self, deployment: Deployment, questions: Sequence[Question]
    ) -> tuple[Scores, list[History]]:
        """Return what the model says of users, and the pasts that it was asked about."""
        [question] = questions
        state = self._histories.state(deployment, question.user_id, question.context)
        if deployment.model.recipe_type == ACTIONS:  # which are due again at their time
            history = replace(state.history, request_time=int(time.time()))
            return Scores(deployment.model.score([history])), [history]
        return self._scores.of(deployment, state), [state.history]

    def _related(self, deployment: Deployment, questions: Sequence[Question]) -> Scores:
        model = deployment.model
        # -1, unknown, means popular items. Of one item, the code is found quicker than by encode.
        codes = np.array([model.items_.code(question.item_id) for question in questions])
        if influence := deployment.config.get("rankingInfluence"):
            rows = np.stack([model.influenced(code, influence) for code in codes.tolist()])
        else:
            rows = model.score_related(codes)
        if model.needs_user:
            pasts = [self._histories.state(deployment, each.user_id).history for each in questions]
            rows = _without_hidden(rows, [model.hidden_items(past) for past in pasts])
        return Scores(rows)

    def allowed(
        self, deployment: Deployment, question: Question, *, target: Target = "ItemID"
    ) -> Allowed | None:
        """Return what the question's filter lets in; None if it has no filter."""
        if not question.filter_arn:
            return None
        return self._filters.allowed(deployment, question, target)

    def listed(
        self,
        deployment: Deployment,
        question: Question,
        num_results: int,
        promotions: Sequence[Mapping[str, Any]] = (),
    ) -> list[dict[str, Any]]:
        """Return the best items for a question, those that its filter lets in and those promoted,
        as ``itemList`` has them."""
        model = deployment.model
        scores, allowed = self.scores(deployment, [question]), self.allowed(deployment, question)
        mask = None if allowed is None else allowed.of_model(model.items_)
        if not promotions:
            return listed_items(model, scores, scores.best(num_results, mask)[0])
        [asked] = promotions
        if "filterArn" not in asked:
            raise InvalidInputException("promotions needs a filterArn: it says what is promoted.")
        promoting = question._replace(
            filter_arn=asked["filterArn"], filter_values=asked.get("filterValues")
        )
        promotion = Promotion(
            asked.get("percentPromotedItems", DEFAULT_PROMOTED),
            self.allowed(deployment, promoting).of_model(model.items_),
        )
        codes, promoted = place_promoted(
            scores.values[0], mask, promotion, num_results, self._chance.generator()
        )
        listed = listed_items(model, scores, codes)
        for item, is_promoted in zip(listed, promoted, strict=True):
            if is_promoted and "name" in asked:
                item["promotionName"] = asked["name"]
        return listed

    def is_quick(
        self, deployment: Deployment, question: Question, filter_arns: Sequence[str]
    ) -> bool:
        """Whether :meth:`scores` and the filters need nothing but what is in memory."""
        model = deployment.model
        if isinstance(model, TrendingNow):
            is_kept = self._trends.is_current(deployment)
        elif model.recipe_type == RELATED and not model.needs_user:
            is_kept = True
        else:
            user_id, context = question.user_id, question.context
            state = self._histories.kept_state(deployment, user_id, context)
            is_kept = state is not None and (
                model.recipe_type == RELATED or self._scores.has(deployment, state)
            )
        return is_kept and all(self._filters.is_ready(deployment, arn) for arn in filter_arns)


class BlockAnswering(Answering):
    """Answers blocks of lines of a batch job, by the datasets as they were when it began.

    Each user is read once, so nothing is kept. Which users have live events is asked once, at the
    beginning.
    """

    def __init__(self, context: ServiceContext, deployment: Deployment):
        super().__init__(context, GroupSnapshot(context))
        self._events, after = context.events, deployment.trained.get(EVENTS_UNTIL, 0)
        self._live = self._events.live_users(deployment.stream, after)

    def _of_users(
        self, deployment: Deployment, questions: Sequence[Question]
    ) -> tuple[Scores, list[History]]:
        model, after = deployment.model, deployment.trained.get(EVENTS_UNTIL, 0)
        pasts = model.histories([question.user_id for question in questions])
        for place, (user_id, *_) in enumerate(questions):
            if user_id in self._live:
                mark = self._events.live_mark(deployment.stream, user_id, after)
                if mark.count:  # else they were deleted in between
                    live = live_events(self._events, deployment, user_id, mark, pasts[place])
                    pasts[place] = joined(pasts[place], live)
        return Scores(model.score(pasts), [model.hidden_items(past) for past in pasts]), pasts


class RequestRandomness:
    """Hands every request a generator of its own. Safe to share between threads.

    With a seed, the n-th request of this object draws the same in every run. Default: what the
    variable PERSONALENS_EXPLORATION_SEED says, else fresh chance.

    Examples
    --------
    >>> first, again = RequestRandomness(7), RequestRandomness(7)
    >>> draws = [chance.generator().random() for chance in (first, again, first)]
    >>> draws[0] == draws[1] != draws[2]
    True
    """

    def __init__(self, seed: int | None = None):
        if seed is None and (text := os.environ.get(SEED_VARIABLE, "").strip()):
            seed = int(text)
        self._seed, self._count = seed, itertools.count()

    def generator(self) -> np.random.Generator:
        """Return the next request's."""
        number = next(self._count)
        return np.random.default_rng(None if self._seed is None else [self._seed, number])


def _offered(
    deployment: Deployment, scores: Scores, histories: Sequence[History], chance: RequestRandomness
) -> Scores:
    """Return users' scores as recommendations show them; where nothing changes, the same object."""
    model, rows = deployment.model, scores.values
    if model.explores:
        settings = ExplorationSettings.from_campaign(deployment.config)
        how = {"weight": settings.weight, "cutoff_days": settings.cutoff_days}
        rows = np.stack(
            [
                model.explore(row, history, rng=chance.generator(), **how)
                for row, history in zip(rows, histories, strict=True)
            ]
        ).astype(rows.dtype, copy=False)
    rows = _without_hidden(rows, scores.hidden)
    return scores if rows is scores.values else Scores(rows)


def _without_hidden(scores: np.ndarray, hidden: Sequence[np.ndarray]) -> np.ndarray:
    """Return (B, items) scores with -inf for what is hidden from each user."""
    if not any(map(len, hidden)):
        return scores
    scores = np.array(scores)
    for row, codes in zip(scores, hidden, strict=True):
        row[codes] = -np.inf
    return scores


# Lists: from scores to what an answer says of items.


def listed_items(model: Recipe, scores: Scores, codes: np.ndarray) -> list[dict[str, Any]]:
    """Return (n,) items as an answer lists them: ``itemId``, and ``score`` where the recipe has
    scores. That is the softmax over the whole catalogue, so that a list's sum is less than 1."""
    items = model.items_.ids[codes]
    if not model.has_scores:
        return [{"itemId": item} for item in items]
    return _with_scores(items, scores.shares(codes))


def ranked_items(
    model: Recipe, scores: np.ndarray, item_ids: Sequence[str], allowed: Allowed | None = None
) -> list[dict[str, Any]]:
    """Return the given items in the order in which this user would want them.

    An item that is named twice is returned once, one that a filter does not let in not at all.
    Items that the model does not know keep their order at the end of the list and have no
    ``score``; the scores of the others are a softmax over the given items, so they sum to 1.
    """
    distinct = np.array(list(dict.fromkeys(item_ids)), dtype=object)
    if allowed is not None:
        distinct = distinct[allowed.of(distinct)]
    codes = model.items_.encode(distinct)
    is_known = codes != UNKNOWN
    known, unknown = distinct[is_known], distinct[~is_known]
    own_scores = scores[codes[is_known]]
    order = np.lexsort((codes[is_known], -own_scores))  # ties by code, as in every ranking
    if model.has_scores:
        ranked = _with_scores(known[order], softmax(own_scores)[order])
    else:
        ranked = [{"itemId": item} for item in known[order]]
    return ranked + [{"itemId": item} for item in unknown]


def softmax(scores: np.ndarray) -> np.ndarray:
    """Return exp(scores) / sum(exp(scores)) of (n,) scores as (n,) float64.

    The largest score is subtracted first, so that no exponential overflows; a score of -inf gets
    a share of 0.

    Examples
    --------
    >>> softmax(np.array([1000.0, 1000.0, -np.inf])).tolist()
    [0.5, 0.5, 0.0]
    """
    if not scores.size or scores.max() == -np.inf:
        return np.zeros(len(scores))
    shares = np.exp(scores.astype(np.float64) - scores.max())
    return shares / shares.sum()


def _with_scores(items: np.ndarray, shares: np.ndarray) -> list[dict[str, Any]]:
    return [
        {"itemId": item, "score": share} for item, share in zip(items, shares.tolist(), strict=True)
    ]


@dataclass(frozen=True, eq=False)
class Promotion:
    """A share of the list, ``percent`` (1 to 100), for items that a filter of its own lets in,
    ``allowed`` (items,) bool."""

    percent: int
    allowed: np.ndarray


def place_promoted(
    scores: np.ndarray,
    allowed: np.ndarray | None,
    promotion: Promotion,
    num_results: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the list with promoted items at random places: (n,) codes, and (n,) bool whether each
    is promoted.

    Promoted items stand among themselves in the order of their scores, and so do the others.
    ``allowed``, (items,) bool, is the request's own filter, which governs the other items only.
    Where there are not enough items to promote, others take their places. An item that both filters
    let in is promoted if a promoted place is left for it.
    """
    wanted = round(num_results * promotion.percent / 100)
    promoted = _best(scores, promotion.allowed, wanted)
    others = np.ones(len(scores), bool) if allowed is None else allowed.copy()
    others[promoted] = False
    rest = _best(scores, others, num_results - len(promoted))
    total = len(promoted) + len(rest)
    is_promoted = np.zeros(total, bool)
    is_promoted[rng.choice(total, size=len(promoted), replace=False)] = True
    codes = np.empty(total, np.int64)
    codes[is_promoted], codes[~is_promoted] = promoted, rest
    return codes, is_promoted


def _best(scores: np.ndarray, allowed: np.ndarray, count: int) -> np.ndarray:
    return top_k_row(np.where(allowed, scores, -np.inf), count)
