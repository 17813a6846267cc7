"""Metrics of the contestants' lists: one row a question, their means, and paired differences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.splits import Round
from personalens.datasets.interactions import ITEM_ID, USER_ID
from personalens.evaluation import ranking_metrics
from personalens.evaluation.offline_report import HIT_RATE_10, MRR_25, NDCG_10, paired_difference

PRECISION_5, COVERAGE, SERVICE_NDCG_10 = "P@5", "coverage", "service NDCG@10"
METRICS = (NDCG_10, HIT_RATE_10, MRR_25, PRECISION_5, SERVICE_NDCG_10)


def question_figures(a_round: Round, lists: np.ndarray, run: int) -> pd.DataFrame:
    """Return a row per question: run, USER_ID, ITEM_ID (the question's label), and the metrics.

    NDCG@10 is that of most papers: the ideal list begins with all that is right. The service's
    divides by the best order of the hits that a list has; with one truth they are the same. Lists
    are (questions, 25) item codes in the round's vocabulary, -1 behind a short one.
    """
    if len(lists) != len(a_round):
        raise ValueError(f"{len(lists)} lists for {len(a_round)} questions")
    hits = np.zeros(lists.shape, bool)
    for row, (ranked, truth, past) in enumerate(
        zip(lists, a_round.truths, a_round.slices(), strict=True)
    ):
        named = ranked[ranked >= 0]
        if len(np.unique(named)) < len(named):
            raise ValueError(f"list {row} names an item twice")
        if np.isin(named, a_round.known.item_codes[past]).any():
            raise ValueError(f"list {row} names an item that the user has had")
        hits[row] = np.isin(ranked, truth)
    counts = [len(truth) for truth in a_round.truths]
    return pd.DataFrame(
        {
            "run": run,
            USER_ID: a_round.known.users.decode(a_round.users),
            ITEM_ID: [f"question {number}" for number in range(len(a_round))],
            NDCG_10: ranking_metrics.ndcg_at_k(
                hits, 10, ideal="all_relevant", relevant_counts=counts
            ),
            SERVICE_NDCG_10: ranking_metrics.ndcg_at_k(hits, 10),
            HIT_RATE_10: ranking_metrics.hit_rate_at_k(hits, 10),
            MRR_25: ranking_metrics.reciprocal_rank_at_k(hits, 25),
            PRECISION_5: ranking_metrics.precision_at_k(hits, 5),
            COVERAGE: ranking_metrics.coverage(lists[:, :10], len(a_round.known.items)),
        }
    )


def summary_row(report: pd.DataFrame) -> dict[str, Any]:
    """Return means over the questions, averaged over the runs; what the runs spread over; the
    first run; their number."""
    by_run = report.groupby("run")[[*METRICS, COVERAGE]].mean()
    spread = by_run.std(ddof=1) if len(by_run) > 1 else None
    return {
        **by_run.mean().to_dict(),
        "sd": None if spread is None else spread.to_dict(),
        "lowest": by_run.min().to_dict(),
        "highest": by_run.max().to_dict(),
        "first": by_run.iloc[0].to_dict(),
        "runs": len(by_run),
    }


def difference_rows(
    reports: Mapping[str, pd.DataFrame], recipes: list[str], metric: str = NDCG_10
) -> list[dict[str, Any]]:
    """Return the paired difference of each recipe and each other contestant.

    Of a user's questions and of a recipe's seeds the means are compared, so the standard error is
    that over users. Where a slow contestant has fewer runs, its rounds alone are compared.
    """
    rows = []
    for recipe in recipes:
        for other in reports:
            if other == recipe:
                continue
            ours, theirs = _comparable(reports[recipe], reports[other], metric)
            mean, error = paired_difference(ours, theirs, metric)
            rows.append(
                {
                    "recipe": recipe,
                    "other": other,
                    "metric": metric,
                    "difference": mean,
                    "standard_error": error,
                    "users": int(ours[USER_ID].nunique()),
                }
            )
    return rows


def _comparable(
    one: pd.DataFrame, other: pd.DataFrame, metric: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return both reports with one row for each question that both were asked."""
    means = [each.groupby([USER_ID, ITEM_ID])[metric].mean() for each in (one, other)]
    shared = means[0].index.intersection(means[1].index)
    return tuple(each.loc[shared].reset_index() for each in means)
