"""Metrics of lists, by hand."""

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.interactions import Interactions


@pytest.fixture
def a_round():
    """Two users with three and two events; the last of each is asked for. Items a..e are 0..4."""
    from benchmarks.splits import split_interactions

    rows = [("1", "a", 0), ("1", "b", 1), ("1", "c", 2), ("2", "d", 0), ("2", "e", 1)]
    frame = pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"])
    first = split_interactions(Interactions.from_frame(frame), "unseen-users", rounds=2).rounds
    return next(each for each in first if each.users[0] == 0)


def lists(*rows):
    return np.array([[*row, *[-1] * (25 - len(row))] for row in rows], np.int32)


def test_a_hit_at_the_third_place(a_round):
    from benchmarks.figures import question_figures, summary_row

    report = question_figures(a_round, lists([3, 4, 2]), run=0)
    assert report["NDCG@10"].tolist() == [0.5]  # 1 / log2(1 + 3)
    assert report["HR@10"].tolist() == [1.0]
    assert report["MRR@25"].tolist() == [1 / 3]
    assert report["P@5"].tolist() == [0.2]
    row = summary_row(report)
    assert (row["runs"], row["sd"], row["NDCG@10"]) == (1, None, 0.5)
    assert row["coverage"] == 3 / 5


def test_a_truth_beyond_the_tenth_place(a_round):
    from benchmarks.figures import question_figures

    many = [item for item in range(30) if item not in (0, 1, 2)][:11]
    report = question_figures(a_round, lists([*many, 2]), run=0)
    assert report["HR@10"].tolist() == [0.0]
    assert report["NDCG@10"].tolist() == [0.0]
    assert report["MRR@25"].tolist() == [1 / 12]


@pytest.mark.parametrize(
    ("row", "mistake"), [([3, 3], "twice"), ([1, 3], "has had"), ([0], "has had")]
)
def test_a_list_that_breaks_the_rules_is_refused(a_round, row, mistake):
    from benchmarks.figures import question_figures

    with pytest.raises(ValueError, match=mistake):
        question_figures(a_round, lists(row), run=0)


def test_lists_for_other_questions_are_refused(a_round):
    from benchmarks.figures import question_figures

    with pytest.raises(ValueError, match="2 lists for 1 questions"):
        question_figures(a_round, lists([3], [4]), run=0)


def report(values, run=0):
    return pd.DataFrame(
        {
            "run": run,
            "USER_ID": [user for user, _, _ in values],
            "ITEM_ID": [question for _, question, _ in values],
            "NDCG@10": [value for _, _, value in values],
        }
    )


def test_differences_are_paired_over_users():
    from benchmarks.figures import difference_rows

    ours = pd.concat(
        [
            report([("1", "q0", 1.0), ("2", "q1", 0.4), ("3", "q2", 0.0)], run=0),
            report([("1", "q0", 0.8), ("2", "q1", 0.4), ("3", "q2", 0.2)], run=1),
        ]
    )
    # The other has one run, and answered two of the questions.
    other = report([("1", "q0", 0.5), ("2", "q1", 0.4)])
    [row] = difference_rows({"aws-x": ours, "peer": other}, ["aws-x"])
    assert row["users"] == 2
    assert row["difference"] == pytest.approx(0.2)  # (0.9 - 0.5) and (0.4 - 0.4)
    assert row["standard_error"] == pytest.approx(0.2)  # sd .2828 over the root of 2


def test_the_spread_is_that_of_the_runs():
    from benchmarks.figures import METRICS, summary_row

    values = [0.25, 0.1, 0.25]
    runs = pd.concat([report([("1", "q", value)], run) for run, value in enumerate(values)])
    runs = runs.assign(**dict.fromkeys((*METRICS, "coverage"), runs["NDCG@10"]))
    row = summary_row(runs)
    assert row["NDCG@10"] == pytest.approx(0.2)
    assert row["sd"]["NDCG@10"] == pytest.approx(0.0075**0.5)
    assert [row[name]["NDCG@10"] for name in ("first", "lowest", "highest")] == [0.25, 0.1, 0.25]
