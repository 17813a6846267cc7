"""Reports on a model whose every answer is known."""

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.id_maps import IdMap
from personalens.datasets.interactions import Interactions
from personalens.evaluation import offline_report
from personalens.evaluation.holdouts import ServiceHoldout, leave_one_out
from personalens.evaluation.offline_report import (
    leave_one_out_report,
    paired_difference,
    solution_metrics,
    summary,
)

KEYS = {
    "coverage",
    "mean_reciprocal_rank_at_25",
    "normalized_discounted_cumulative_gain_at_5",
    "normalized_discounted_cumulative_gain_at_10",
    "normalized_discounted_cumulative_gain_at_25",
    "precision_at_5",
    "precision_at_10",
    "precision_at_25",
}


class Alphabetical:
    """Knows a..f and recommends them in that order, whoever asks."""

    items_ = IdMap(list("abcdef"))

    def score(self, histories):
        return np.tile(-np.arange(6, dtype=np.float32), (len(histories), 1))


class AfterTheLast(Alphabetical):
    """Related items: what follows in the alphabet, then nothing."""

    recipe_type = "RELATED_ITEMS"

    def score_related(self, item_codes):
        scores = np.full((len(item_codes), 6), -np.inf, np.float32)
        for row, code in enumerate(item_codes):
            scores[row, code + 1 :] = -np.arange(6 - code - 1)
        return scores


def events(**histories):
    rows = [(u, item, t) for u, items in histories.items() for t, item in enumerate(items)]
    return pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"])


@pytest.fixture
def holdout():
    """p saw f and chose b, e; q saw c, d and chose d, z, which no model knows."""
    table = Interactions.from_frame(events(p="fbe", q="cddz", r="abcdef"))
    users = table.users.decode(table.user_codes)
    place = np.arange(len(table)) - table.offsets[table.user_codes]
    truth = ((users == "p") & (place >= 1)) | ((users == "q") & (place >= 2))
    return ServiceHoldout(
        train=table.select(users == "r"),
        inputs=table.select((users != "r") & ~truth),
        truths=table.select(truth),
        test_users=np.array([0, 1], np.int32),
    )


def test_service_metrics_by_hand(holdout):
    metrics = solution_metrics(Alphabetical(), holdout)
    assert set(metrics) == KEYS
    # Lists a b c d e f: hits of p at 2 and 5, of q at 4.
    assert metrics["precision_at_5"] == pytest.approx((2 / 5 + 1 / 5) / 2)
    assert metrics["precision_at_25"] == pytest.approx((2 / 25 + 1 / 25) / 2)
    assert metrics["mean_reciprocal_rank_at_25"] == pytest.approx((1 / 2 + 1 / 4) / 2)
    ndcg = (0.6241 + 1 / np.log2(5)) / 2
    assert metrics["normalized_discounted_cumulative_gain_at_5"] == pytest.approx(ndcg, abs=1e-4)
    # Six items recommended; z makes seven.
    assert metrics["coverage"] == pytest.approx(6 / 7)
    with_items = solution_metrics(Alphabetical(), holdout, catalogue_size=12)
    assert with_items["coverage"] == pytest.approx(6 / 12)


def test_seen_items_stay_unless_asked(holdout):
    metrics = solution_metrics(Alphabetical(), holdout, exclude_seen=True)
    # p without f: a b c d e, unchanged in the top 5. q without c and d: d is no longer a hit.
    assert metrics["precision_at_5"] == pytest.approx((2 / 5 + 0) / 2)


def test_related_items_are_asked_about_the_last_input(holdout):
    metrics = solution_metrics(AfterTheLast(), holdout)
    # p's last input f has nothing after it; q's is d: list e f, no hit.
    assert metrics["mean_reciprocal_rank_at_25"] == 0.0
    assert metrics["coverage"] == pytest.approx(2 / 7)


def test_batches_do_not_change_the_figures(holdout, monkeypatch):
    whole = solution_metrics(Alphabetical(), holdout)
    monkeypatch.setattr(offline_report, "_SCORES_AT_ONCE", 1)
    assert solution_metrics(Alphabetical(), holdout) == whole


def test_leave_one_out_by_hand():
    split = leave_one_out(Interactions.from_frame(events(p="cdeab", q="acefz", r="defbacx")))
    report = leave_one_out_report(Alphabetical(), split)
    assert report.USER_ID.tolist() == ["p", "q", "r"]
    # p has c d e a, so b is the first of b f; nobody can name z or x.
    assert report.RANK.tolist() == [1.0, np.inf, np.inf]
    assert report["NDCG@10"].tolist() == [1.0, 0.0, 0.0]
    assert summary(report) == pytest.approx({"NDCG@10": 1 / 3, "HR@10": 1 / 3, "MRR@25": 1 / 3})
    validation = leave_one_out_report(Alphabetical(), split, part="validation")
    # p has c d e: a is first. q has a c e: b d f, f is third. r has d e f b a: c is first.
    assert validation.RANK.tolist() == [1.0, 3.0, 1.0]
    assert validation["NDCG@10"].tolist() == pytest.approx([1.0, 0.5, 1.0])
    assert validation["MRR@25"].tolist() == pytest.approx([1.0, 1 / 3, 1.0])


def test_repeats_count_only_when_seen_items_stay():
    split = leave_one_out(Interactions.from_frame(events(p="abcdb", q="abcde")))
    assert leave_one_out_report(Alphabetical(), split).RANK.tolist() == [np.inf, 1.0]
    kept = leave_one_out_report(Alphabetical(), split, exclude_seen=False)
    assert kept.RANK.tolist() == [2.0, 5.0]


def test_unknown_part_is_refused():
    split = leave_one_out(Interactions.from_frame(events(p="abcde")))
    with pytest.raises(ValueError, match="'training'"):
        leave_one_out_report(Alphabetical(), split, part="training")


def test_paired_difference_by_hand():
    questions = pd.DataFrame({"USER_ID": ["p", "q", "r"], "ITEM_ID": ["a", "b", "c"]})
    one = questions.assign(**{"NDCG@10": [1.0, 0.5, 0.0]})
    two = questions.assign(**{"NDCG@10": [0.0, 0.5, 0.5]})
    mean, error = paired_difference(one, two)
    # differences 1, 0, -0.5: mean 1/6, sample variance ((5/6)^2 + (1/6)^2 + (2/3)^2) / 2
    assert mean == pytest.approx(1 / 6)
    assert error == pytest.approx(np.sqrt((25 / 36 + 1 / 36 + 4 / 9) / 2 / 3))
    with pytest.raises(ValueError, match="different questions"):
        paired_difference(one, two.iloc[::-1].reset_index(drop=True))
