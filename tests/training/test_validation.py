"""The validation hold-out, and the figure that early stopping follows."""

import itertools

import numpy as np
import pytest
import torch

from personalens.training.batches import NO_TARGET, Sequences, Windows
from personalens.training.trainer import NextItemValidation, newest_events


def test_at_most_a_third_of_a_history_is_held_out():
    counts = [1, 2, 3, 5, 6, 100]
    offsets = np.concatenate([[0], np.cumsum(counts)])
    held = newest_events(offsets, np.random.default_rng(0), events=2)
    per_history = [held[a:b].sum() for a, b in itertools.pairwise(offsets)]
    assert per_history == [0, 0, 1, 1, 2, 2]
    assert held[offsets[6] - 2 :].all()


def test_of_many_histories_only_some_are_touched():
    offsets = np.arange(0, 1001, 10)
    held = newest_events(offsets, np.random.default_rng(0), events=2, histories=30)
    assert held.sum() == 60
    assert np.count_nonzero(held.reshape(100, 10).any(axis=1)) == 30
    again = newest_events(offsets, np.random.default_rng(0), events=2, histories=30)
    assert np.array_equal(held, again)


class KnownRanks:
    """Stands for a network that puts item 0 first, 1 second and so on, whatever it reads."""

    catalogue_size = 20
    device = torch.device("cpu")

    def eval(self):
        return self

    def __call__(self, events, positions):
        return torch.zeros(len(positions), 2)

    def scores(self, vectors, seen):
        return -torch.arange(20.0).expand(len(vectors), 20)


def test_the_figure_is_the_mean_gain_at_the_ranks_of_the_targets():
    # Asked for: item 0 at rank 1, item 2 at rank 3, item 11 at rank 12, out of ten.
    targets = np.array([5, 0, 2, NO_TARGET, 11, NO_TARGET])
    sequences = Sequences(
        items=np.array([20, 5, 0, 2, 20, 11]),
        features=np.zeros((6, 1), np.int64),
        targets=targets,
        offsets=np.array([0, 4, 6]),
        queries=np.zeros((6, 0), np.int64),
    )
    windows = Windows(np.array([0, 4]), np.array([4, 6]), np.array([1, 4]))
    figure = NextItemValidation(sequences, windows)(KnownRanks())
    assert figure == pytest.approx((1.0 + 0.5 + 0.0) / 3)
    heavy = sequences.weighted(np.array([9.0, 4.0, 1.0, 1.0]))  # of items 5, 0, 2, 11
    figure = NextItemValidation(heavy, windows)(KnownRanks())
    assert figure == pytest.approx((4 * 1.0 + 0.5 + 0.0) / 6)
