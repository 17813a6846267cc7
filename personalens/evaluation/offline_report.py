"""A trained model against what people really chose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import pandas as pd

from personalens.datasets.id_maps import UNKNOWN, IdMap
from personalens.datasets.interactions import ITEM_ID, USER_ID, History, histories_of
from personalens.evaluation.holdouts import LeaveOneOut, NextItemCases, ServiceHoldout
from personalens.evaluation.ranking_metrics import (
    NOTHING,
    coverage,
    mean_reciprocal_rank,
    ndcg_at_k,
    precision_at_k,
    rank_of,
    top_k_matrix,
)

LIST_LENGTH = 25
PRECISION_DEPTHS = NDCG_DEPTHS = (5, 10, 25)
NDCG_10, HIT_RATE_10, MRR_25 = "NDCG@10", "HR@10", "MRR@25"
WEIGHTED_NDCG = "normalized_discounted_cumulative_gain_with_event_weights_at_k"
"""The letter k is the service's own name for it. Here k is the length of the lists, 25."""
AVERAGE_REWARDS = "average_rewards_at_k"
_SCORES_AT_ONCE = 8_000_000


class ScoresHistories(Protocol):
    """What a model must offer to be evaluated: a recipe, or a baseline."""

    items_: IdMap

    def score(self, histories: Sequence[History]) -> np.ndarray: ...


def solution_metrics(
    model: ScoresHistories,
    holdout: ServiceHoldout,
    *,
    catalogue_size: int | None = None,
    exclude_seen: bool = False,
) -> dict[str, float]:
    """Return the figures of GetSolutionMetrics.

    Parameters
    ----------
    model
        Trained on ``holdout.train``.
    holdout
        Test users' inputs and truths.
    catalogue_size
        Distinct items of the Items and Interactions datasets together, for coverage. Default:
        the items of the interactions that were split.
    exclude_seen
        Take a user's input items out of their list. The service does not, and its figures for
        data without repeats (films) are therefore lower than they could be.

    Returns
    -------
    dict
        coverage, mean_reciprocal_rank_at_25, normalized_discounted_cumulative_gain_at_5, _at_10,
        _at_25, precision_at_5, _at_10, _at_25; means over the test users. Where the truths have
        weights, :func:`weighted_ndcg` too; where the model has an objective,
        :func:`average_rewards`.

    Notes
    -----
    One list of 25 per test user. Which list, the service does not say for every recipe type; here:

    * USER_PERSONALIZATION, POPULAR_ITEMS: the recommendations for the user's input events.
    * PERSONALIZED_RANKING: the same; the list to be ranked is the whole catalogue.
    * RELATED_ITEMS: the items related to the *last* input item, since that is the page on which
      the user stood when the truths were still to come. An item that the model does not know gets
      the popular items, as in a campaign.

    Truths that the model has never seen are misses. Amazon Personalize: GetSolutionMetrics.
    """
    known = model.items_.encode(holdout.inputs.items.ids)
    lists, hits = [], []
    for users in _batches(holdout.test_users, len(model.items_)):
        ranked = _service_lists(model, holdout, users, known, exclude_seen)  # (B, 25)
        truths = [known[holdout.truth_codes(user)] for user in users]
        lists.append(ranked)
        hits.append(_hits(ranked, truths))
    ranked, found = np.concatenate(lists), np.concatenate(hits)
    size = len(holdout.inputs.items) if catalogue_size is None else catalogue_size
    figures = {"coverage": coverage(ranked, size)}
    figures[f"mean_reciprocal_rank_at_{LIST_LENGTH}"] = mean_reciprocal_rank(found, LIST_LENGTH)
    for k in NDCG_DEPTHS:
        gains = ndcg_at_k(found, k)
        figures[f"normalized_discounted_cumulative_gain_at_{k}"] = float(gains.mean())
    for k in PRECISION_DEPTHS:
        figures[f"precision_at_{k}"] = float(precision_at_k(found, k).mean())
    if holdout.truths.event_weights is not None:
        figures[WEIGHTED_NDCG] = weighted_ndcg(ranked, holdout, known)
    if (objective := getattr(model, "objective_", None)) is not None:
        figures[AVERAGE_REWARDS] = average_rewards(ranked, holdout, known, objective.rewards)
    return figures


def weighted_ndcg(ranked: np.ndarray, holdout: ServiceHoldout, known: np.ndarray) -> float:
    """Return the mean NDCG in which a hit earns its event's weight over the mean weight.

    ``ranked`` (test users, K) are items in the model's codes, -1 where a list is short; ``known``
    (items,) is the model's code of each item of the hold-out, -1 where it has none. An item with
    several truths counts with the heaviest.
    """
    gains = np.zeros(ranked.shape)
    mean = max(float(holdout.truths.event_weights.mean()), np.finfo(np.float32).tiny)
    for row, user in enumerate(holdout.test_users):
        rows = holdout.truths.rows_of(user)
        weights = dict[int, float]()
        codes = known[holdout.truths.item_codes[rows]]
        for code, weight in zip(codes, holdout.truths.event_weights[rows] / mean, strict=True):
            weights[int(code)] = max(weights.get(int(code), 0.0), float(weight))
        weights.pop(UNKNOWN, None)
        gains[row] = [weights.get(int(code), 0.0) for code in ranked[row]]
    return float(np.mean(ndcg_at_k(gains, ranked.shape[1])))


def average_rewards(
    ranked: np.ndarray, holdout: ServiceHoldout, known: np.ndarray, rewards: np.ndarray
) -> float:
    """Return which share of what users' choices were worth the lists would have brought in.

    For one user: the rewards of the truths that are in the list, over the rewards of all truths;
    the mean over the users whose truths are worth something. ``rewards`` (model's items,) are not
    negative; ``ranked`` and ``known`` are as in :func:`weighted_ndcg`.

    Notes
    -----
    The guide divides "total rewards from the user's interactions with their top 25 reward
    generating recommendations" by "total rewards from the user's interactions with
    recommendations", and says no more; this is the reading in which 1 is the best.
    """
    shares = []
    for row, user in enumerate(holdout.test_users):
        truths = known[holdout.truth_codes(user)]
        truths = truths[truths != UNKNOWN]
        worth = rewards[truths]
        if worth.sum() > 0:
            shares.append(worth[np.isin(truths, ranked[row])].sum() / worth.sum())
    return float(np.mean(shares)) if shares else 0.0


def _service_lists(
    model: ScoresHistories,
    holdout: ServiceHoldout,
    users: np.ndarray,
    known: np.ndarray,
    exclude_seen: bool,
) -> np.ndarray:
    histories = histories_of(
        holdout.inputs, users, items=model.items_, users=getattr(model, "users_", None)
    )
    last = holdout.inputs.item_codes[holdout.inputs.offsets[users + 1] - 1]
    scores = question_scores(model, histories, known[last], exclude_seen)
    ranked = top_k_matrix(scores, LIST_LENGTH)
    missing = LIST_LENGTH - ranked.shape[1]
    return np.pad(ranked, ((0, 0), (0, missing)), constant_values=NOTHING)


def _hits(ranked: np.ndarray, truths: Sequence[np.ndarray]) -> np.ndarray:
    """Return (B, K) booleans; a truth of UNKNOWN (-1) never meets the filler of a short list."""
    hits = np.zeros(ranked.shape, bool)
    for row, truth in enumerate(truths):
        hits[row] = np.isin(ranked[row], truth[truth != UNKNOWN])
    return hits


def leave_one_out_report(
    model: ScoresHistories, split: LeaveOneOut, *, part: str = "test", exclude_seen: bool = True
) -> pd.DataFrame:
    """Return one row per question: USER_ID, ITEM_ID, RANK, NDCG@10, HR@10, MRR@25.

    The whole catalogue is ranked (no sampled negatives: Krichene and Rendle, "On Sampled Metrics
    for Item Recommendation", KDD 2020), without the items the user has had. RANK is that of the
    right item, infinite where the model cannot name it. A recipe that relates items ranks what is
    related to the user's last item. ``summary`` averages the rows;
    ``paired_difference`` compares two reports user by user.

    Parameters
    ----------
    model
        Trained on ``split.train_and_validation`` for ``part="test"``, on ``split.train`` for
        ``part="validation"``.
    split
        The questions.
    part
        "test" or "validation".
    exclude_seen
        Rank without the user's own history. An item that comes back is then a miss; give False for
        data with repeats.
    """
    if part not in ("test", "validation"):
        raise ValueError(f'part is {part!r}; choose "test" or "validation"')
    cases: NextItemCases = getattr(split, part)
    known = model.items_.encode(cases.interactions.items.ids)
    answers = known[cases.item_codes]
    ranks = []
    for batch in _batches(np.arange(len(cases)), len(model.items_)):
        histories = cases.histories(batch, model.items_, users=getattr(model, "users_", None))
        last = cases.interactions.item_codes[cases.rows[batch] - 1]
        scores = question_scores(model, histories, known[last], exclude_seen)
        ranks.append(rank_of(scores, answers[batch]))
    rank = np.concatenate(ranks)
    return pd.DataFrame(
        {
            USER_ID: cases.interactions.users.decode(cases.user_codes),
            ITEM_ID: cases.interactions.items.decode(cases.item_codes),
            "RANK": rank,
            # With one relevant item the ideal DCG is 1, so NDCG is the gain at its rank.
            NDCG_10: np.where(rank <= 10, 1.0 / np.log2(1.0 + rank), 0.0),
            HIT_RATE_10: (rank <= 10).astype(float),
            MRR_25: np.where(rank <= 25, 1.0 / rank, 0.0),
        }
    )


def summary(report: pd.DataFrame) -> dict[str, float]:
    """Return the means of a leave-one-out report: NDCG@10, HR@10, MRR@25."""
    return {name: float(report[name].mean()) for name in (NDCG_10, HIT_RATE_10, MRR_25)}


def paired_difference(
    report: pd.DataFrame, other: pd.DataFrame, metric: str = NDCG_10
) -> tuple[float, float]:
    """Return the mean of ``report - other`` over the same questions, and its standard error.

    Two models err on the same users, so the difference is known far better than either figure:
    compare with this, not with the two standard errors. Several questions of one user count as one.

    Raises
    ------
    ValueError
        If the reports are not about the same questions in the same order.
    """
    same = [USER_ID, ITEM_ID]
    if not report[same].equals(other[same]):
        raise ValueError("the two reports answer different questions; split the data once for both")
    by_user = (report[metric] - other[metric]).groupby(report[USER_ID]).mean().to_numpy()
    error = float(by_user.std(ddof=1) / np.sqrt(len(by_user))) if len(by_user) > 1 else float("nan")
    return float(by_user.mean()), error


def question_scores(
    model: ScoresHistories, histories: Sequence[History], last_codes: np.ndarray, exclude_seen: bool
) -> np.ndarray:
    """Return (B, items) scores for what comes next.

    ``last_codes`` (B,) are the newest items, -1 where the model does not know them: recipes that
    relate items are asked about those. With ``exclude_seen`` all that is in a history gets -inf,
    else only what the recipe itself hides.
    """
    if getattr(model, "recipe_type", None) == "RELATED_ITEMS":
        scores = model.score_related(last_codes)  # type: ignore[attr-defined]
    else:
        scores = model.score(histories)
    hidden_items = getattr(model, "hidden_items", None)  # a baseline has no such rule
    if not exclude_seen and hidden_items is None:
        return scores
    scores = np.array(scores)
    for row, history in enumerate(histories):
        hidden = history.item_codes if exclude_seen else hidden_items(history)
        scores[row, hidden] = -np.inf
    return scores


def _batches(cases: np.ndarray, catalogue: int) -> Iterator[np.ndarray]:
    """Cut so that one batch's score matrix stays at about 32 MB."""
    size = int(np.clip(_SCORES_AT_ONCE // max(catalogue, 1), 1, 1024))
    for start in range(0, len(cases), size):
        yield cases[start : start + size]
