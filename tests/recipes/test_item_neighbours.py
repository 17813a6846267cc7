"""Blocked, threaded counting equals the definition worked out with dense matrices."""

from itertools import pairwise

import numpy as np
import pytest

from personalens.progress import Cancelled
from personalens.recipes import item_neighbours
from personalens.recipes.item_neighbours import related_items, user_item_matrix

USERS, ITEMS = 120, 40


@pytest.fixture(scope="module")
def matrix():
    """Popular items have far more pairs than there are items, rare ones a handful."""
    rng = np.random.default_rng(0)
    popularity = 1 / np.arange(1, ITEMS + 1) ** 1.5
    items = rng.choice(ITEMS, 700, p=popularity / popularity.sum())
    return user_item_matrix(rng.integers(0, USERS, 700), items, (USERS, ITEMS))


def by_definition(matrix, discount, min_shared_users, k):
    """{item: [(other, similarity), ...]}, best first, lower codes first among equals."""
    ones = matrix.toarray().astype(np.float64)
    shared, users = ones.T @ ones, np.maximum(ones.sum(axis=0), 1)
    lists = {}
    for item in range(ITEMS):
        related = [
            (other, shared[item, other] / users[item] ** (1 - discount) / users[other] ** discount)
            for other in range(ITEMS)
            if other != item and shared[item, other] >= max(min_shared_users, 1)
        ]
        lists[item] = sorted(related, key=lambda pair: (-round(pair[1], 6), pair[0]))[:k]
    return lists


def rows_of(result):
    ends = result.indptr
    return {
        item: list(zip(result.indices[a:b].tolist(), result.data[a:b].tolist(), strict=True))
        for item, (a, b) in enumerate(pairwise(ends))
    }


def assert_same_lists(result, expected):
    for item, found in rows_of(result).items():
        # Where float32 cannot tell two similarities apart their order is free: compare as a set.
        assert [s for _, s in found] == pytest.approx([s for _, s in expected[item]], rel=1e-5)
        worst = expected[item][-1][1] if expected[item] else 0.0
        above = {other for other, s in expected[item] if s > worst * (1 + 1e-5)}
        assert above <= {other for other, _ in found}


@pytest.mark.parametrize("discount", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("min_shared_users", "k"), [(0, 100), (1, 5), (3, 8), (9, 3)])
def test_equals_the_definition(matrix, discount, min_shared_users, k):
    result = related_items(matrix, discount=discount, min_shared_users=min_shared_users, k=k)
    assert_same_lists(result, by_definition(matrix, discount, min_shared_users, k))


def test_both_ways_of_counting_are_at_work_and_agree(matrix, monkeypatch):
    counter = item_neighbours._PairCounter(matrix)
    ways = {block.by_sorting for block in counter.blocks()}
    assert ways == {True, False}
    for block in counter.blocks():
        found = []
        for by_sorting in (True, False):
            starts, codes, shared = counter.counts(
                item_neighbours._Block(block.items, block.rows, by_sorting)
            )
            rows = [slice(a, b) for a, b in pairwise(starts)]
            found.append([sorted(zip(codes[r], shared[r], strict=True)) for r in rows])
        assert found[0] == found[1]


def test_blocks_and_threads_do_not_change_the_answer(matrix, monkeypatch):
    settings = {"discount": 0.5, "min_shared_users": 2, "k": 6}
    whole = rows_of(related_items(matrix, threads=1, **settings))
    monkeypatch.setattr(item_neighbours, "PAIRS_AT_ONCE", 7)
    monkeypatch.setattr(item_neighbours, "COUNTS_AT_ONCE", 7)
    assert rows_of(related_items(matrix, threads=3, **settings)) == whole


def test_equal_similarities_stand_in_the_order_of_the_codes():
    # Users 0..3 each have item 5 and one of the items 4, 3, 2, 1: all four are equally similar.
    users = [0, 1, 2, 3, 0, 1, 2, 3]
    matrix = user_item_matrix(np.array(users), np.array([5, 5, 5, 5, 4, 3, 2, 1]), (4, 6))
    result = related_items(matrix, discount=0.5, min_shared_users=1, k=3)
    assert [other for other, _ in rows_of(result)[5]] == [1, 2, 3]


def test_a_user_who_comes_back_counts_once():
    matrix = user_item_matrix(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), (2, 2))
    assert matrix.toarray().tolist() == [[1, 1], [0, 1]]


def test_items_that_nobody_had_have_empty_rows(matrix):
    empty = user_item_matrix(np.zeros(0, int), np.zeros(0, int), (3, 4))
    result = related_items(empty, discount=0.5, min_shared_users=1, k=5)
    assert result.shape == (4, 4)
    assert result.nnz == 0


def test_progress_ends_at_one_and_can_stop_the_work(matrix, monkeypatch):
    monkeypatch.setattr(item_neighbours, "PAIRS_AT_ONCE", 7)
    fractions = []
    related_items(
        matrix,
        discount=0.5,
        min_shared_users=1,
        k=5,
        progress=lambda event: fractions.append(event.fraction),
    )
    assert fractions[-1] == 1.0
    assert fractions == sorted(fractions)

    def stop(event):
        raise Cancelled

    with pytest.raises(Cancelled):
        related_items(matrix, discount=0.5, min_shared_users=1, k=5, progress=stop)
