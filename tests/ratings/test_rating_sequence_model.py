"""Windows of ratings: every known one counts once, and what comes later moves no border."""

import numpy as np
import pytest
import torch

from personalens.ratings.rating_sequence_model import (
    CONTEXT,
    WINDOW,
    RatingRows,
    known_windows,
    make_rating_batch,
    question_windows,
)


def rows_of(*lengths, unknown=()):
    count = sum(lengths)
    values = np.arange(count, dtype=np.float32)
    values[list(unknown)] = np.nan
    return RatingRows(
        items=np.arange(count),
        values=values,
        features=np.zeros((count, 2), np.int64),
        sessions=np.zeros((count, 3), np.int64),
        circumstances=np.zeros((count, 3), np.float32),
        places=np.concatenate([np.arange(n, dtype=np.float32) for n in lengths]),
        offsets=np.cumsum([0, *lengths]),
    )


@pytest.mark.parametrize("length", [1, CONTEXT, WINDOW, WINDOW + 1, 3 * WINDOW, 3 * WINDOW + 7])
def test_every_known_rating_counts_once(length):
    rows = rows_of(length, 3, unknown=[length + 1])
    counted = np.concatenate([window.rows[window.first :] for window in known_windows(rows)])
    assert sorted(counted) == np.flatnonzero(rows.known).tolist()
    for window in known_windows(rows):
        assert len(window.rows) <= WINDOW
        assert window.first in (0, CONTEXT)


def test_later_ratings_move_no_border():
    def start_of(place, length):
        for window in known_windows(rows_of(length)):
            if place in window.rows[window.first :]:
                return int(window.rows[0])

    for place in (0, CONTEXT, WINDOW - 1, WINDOW, WINDOW + CONTEXT):
        expected = CONTEXT * max(0, place // CONTEXT - 1)
        starts = {start_of(place, length) for length in range(place + 1, 4 * WINDOW, 17)}
        assert starts == {expected}
        asked = question_windows(rows_of(4 * WINDOW, unknown=[place]), np.array([place]))
        assert asked[0].rows[0] == (expected if place else 0)
        assert asked[0].rows[-1] == place


def test_questions_are_read_by_nobody():
    rows = rows_of(3, 4, unknown=[1, 5, 6])
    assert [window.rows.tolist() for window in known_windows(rows)] == [[0, 2], [3, 4]]
    windows = question_windows(rows, np.array([1, 5, 6]))
    assert [window.rows.tolist() for window in windows] == [[0, 1], [3, 4, 5], [3, 4, 6]]
    assert [window.first for window in windows] == [1, 2, 2]


def test_pads_are_not_present_and_do_not_count():
    rows = rows_of(3, 1)
    batch, counted = make_rating_batch(rows, known_windows(rows), torch.device("cpu"))
    assert batch.present.tolist() == [[True] * 3, [True, False, False]]
    assert batch.counts.tolist() == batch.present.tolist()
    assert counted.tolist() == [0, 1, 2, 3]
