"""Metrics against values worked out by hand."""

import numpy as np
import pytest

from personalens.evaluation import ranking_metrics as metrics

TWO_AND_FIVE = np.array([False, True, False, False, True])
LOG2_3, LOG2_6 = 1.584962500721156, 2.584962500721156


def test_hits_mark_the_first_place_of_each_relevant_item():
    hits = metrics.hit_matrix([["a", "b", "a"], ["c"]], [["a", "b"], {"x"}])
    assert hits.tolist() == [[True, True, False], [False, False, False]]


def test_hits_need_as_many_truths_as_lists():
    with pytest.raises(ValueError, match="2 lists, but relevant items for 1 users"):
        metrics.hit_matrix([["a"], ["b"]], [{"a"}])


def test_the_documented_example_of_the_service():
    assert metrics.ndcg_at_k(TWO_AND_FIVE, 5) == pytest.approx(0.6241, abs=5e-5)
    by_hand = (1 / LOG2_3 + 1 / LOG2_6) / (1 + 1 / LOG2_3)
    assert metrics.ndcg_at_k(TWO_AND_FIVE, 5) == pytest.approx(by_hand)
    assert metrics.dcg_at_k(TWO_AND_FIVE, 5) == pytest.approx(1 / LOG2_3 + 1 / LOG2_6)


def test_ndcg_of_the_service_sees_the_own_list_only():
    one_hit_on_top = [True, False, False]
    assert metrics.ndcg_at_k(one_hit_on_top, 3) == 1.0
    standard = metrics.ndcg_at_k(one_hit_on_top, 3, ideal="all_relevant", relevant_counts=2)
    assert standard == pytest.approx(1 / (1 + 1 / LOG2_3))


def test_standard_ndcg_cannot_ask_for_more_than_k_hits():
    perfect = metrics.ndcg_at_k([True, True], 2, ideal="all_relevant", relevant_counts=9)
    assert perfect == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"ideal": "all_relevant"}, "relevant_counts"), ({"ideal": "best"}, "'best'")],
)
def test_ndcg_refuses_an_unclear_ideal(options, message):
    with pytest.raises(ValueError, match=message):
        metrics.ndcg_at_k(TWO_AND_FIVE, 5, **options)


def test_ndcg_accepts_gains():
    gains = [0.5, 1.5]  # ideal order: 1.5, 0.5
    by_hand = (0.5 + 1.5 / LOG2_3) / (1.5 + 0.5 / LOG2_3)
    assert metrics.ndcg_at_k(gains, 2) == pytest.approx(by_hand)


def test_precision_divides_by_k_even_when_the_list_is_shorter():
    assert metrics.precision_at_k(TWO_AND_FIVE, 5) == pytest.approx(2 / 5)
    assert metrics.precision_at_k(TWO_AND_FIVE, 2) == pytest.approx(1 / 2)
    assert metrics.precision_at_k([True], 10) == pytest.approx(1 / 10)


def test_reciprocal_rank_takes_the_first_hit():
    assert metrics.reciprocal_rank_at_k(TWO_AND_FIVE) == 0.5
    assert metrics.reciprocal_rank_at_k(TWO_AND_FIVE, 1) == 0.0
    assert metrics.mean_reciprocal_rank([TWO_AND_FIVE, np.roll(TWO_AND_FIVE, -1)]) == 0.75


def test_average_precision_by_both_definitions():
    assert metrics.average_precision_at_k(TWO_AND_FIVE, 5) == pytest.approx((1 / 2 + 2 / 5) / 2)
    among_four = metrics.average_precision_at_k(TWO_AND_FIVE, 5, relevant_counts=4)
    assert among_four == pytest.approx((1 / 2 + 2 / 5) / 4)
    assert metrics.average_precision_at_k([False, False], 2) == 0.0
    lists = [TWO_AND_FIVE, np.ones(5, bool), np.zeros(5, bool)]
    assert metrics.mean_average_precision(lists, 5) == pytest.approx((0.45 + 1 + 0) / 3)


def test_recall_and_hit_rate():
    hits = np.stack([TWO_AND_FIVE, np.zeros(5, bool)])
    assert metrics.recall_at_k(hits, 5, [4, 2]).tolist() == [0.5, 0.0]
    assert metrics.recall_at_k(hits, 5, [4, 0]).tolist() == [0.5, 0.0]
    assert metrics.hit_rate_at_k(hits, 1).tolist() == [0.0, 0.0]
    assert metrics.hit_rate_at_k(hits, 2).tolist() == [1.0, 0.0]


def test_coverage_counts_distinct_items_and_no_empty_places():
    assert metrics.coverage([["a", "b"], ["a"]], 4) == 0.5
    assert metrics.coverage(np.array([[3, 1, -1], [1, -1, -1]]), 4) == 0.5
    with pytest.raises(ValueError, match="catalogue_size is 0"):
        metrics.coverage([["a"]], 0)


@pytest.mark.parametrize("k", [1, 3, 5, 25])
def test_many_lists_give_what_one_list_gives(k):
    hits = np.random.default_rng(0).random((50, 12)) < 0.2
    for metric in (
        metrics.precision_at_k,
        metrics.hit_rate_at_k,
        metrics.reciprocal_rank_at_k,
        metrics.dcg_at_k,
        metrics.ndcg_at_k,
        metrics.average_precision_at_k,
    ):
        together = metric(hits, k)
        assert together.shape == (50,)
        assert together.tolist() == pytest.approx([metric(row, k) for row in hits])


def test_metrics_stay_between_zero_and_one_and_agree_on_no_hits():
    hits = np.random.default_rng(1).random((200, 25)) < 0.1
    empty = ~hits.any(axis=1)
    for metric in (metrics.ndcg_at_k, metrics.average_precision_at_k, metrics.precision_at_k):
        values = metric(hits, 25)
        assert ((values >= 0) & (values <= 1)).all()
        assert ((values == 0) == empty).all()


def test_k_must_be_positive_and_there_must_be_lists():
    with pytest.raises(ValueError, match="k is 0"):
        metrics.precision_at_k(TWO_AND_FIVE, 0)
    with pytest.raises(ValueError, match="no lists"):
        metrics.mean_reciprocal_rank(np.zeros((0, 5), bool))
