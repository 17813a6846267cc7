"""Running means, all steps at once and step by step."""

import pytest
import torch

from personalens.networks.session_network import RecentMeans


@pytest.mark.parametrize("decays", [(0.0, 0.8, 0.95), ()])
def test_step_by_step_ends_where_one_pass_ends(decays):
    torch.manual_seed(0)
    layer = RecentMeans(decays)
    vectors = torch.randn(30, 2, 4)
    state = layer.start(2, 4)
    for step, expected in zip(vectors, layer(vectors), strict=True):
        state = layer.read(state, step[None])
        torch.testing.assert_close(layer.mix(state), expected)


def test_decays_make_exponential_means():
    layer = RecentMeans([0.5])
    torch.nn.init.ones_(layer.weights)
    values = torch.tensor([8.0, 4.0, 2.0]).view(3, 1, 1)
    assert layer(values).flatten().tolist() == [4.0, 4.0, 3.0]


def test_without_decays_every_event_counts_alike():
    layer = RecentMeans([])
    torch.nn.init.ones_(layer.weights)
    values = torch.tensor([3.0, 6.0, 0.0]).view(3, 1, 1)
    torch.testing.assert_close(layer(values).flatten(), torch.tensor([3.0, 4.5, 3.0]))


def test_sequences_may_be_longer_than_laid_out():
    vectors = torch.randn(40, 1, 2)
    torch.testing.assert_close(
        RecentMeans([0.9], longest=8)(vectors), RecentMeans([0.9], longest=64)(vectors)
    )


def test_each_mean_can_be_had_alone():
    torch.manual_seed(0)
    layer = RecentMeans([0.0, 0.7], longest=8)
    for steps in (5, 20):  # within what is laid out, and beyond
        vectors = torch.randn(steps, 2, 3)
        each = layer.each(vectors)
        torch.testing.assert_close(each[0], vectors)
        torch.testing.assert_close(torch.einsum("k,ktbe->tbe", layer.weights, each), layer(vectors))
