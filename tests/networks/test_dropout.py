"""Dropout that belongs to one network."""

import numpy as np
import pytest
import torch

from personalens.networks.session_network import Dropout


@pytest.mark.parametrize("rate", [0.25, 0.5])
def test_drops_the_stated_share_and_keeps_the_mean(rate):
    dropped = Dropout(rate, np.random.default_rng(0))(torch.ones(100_000))
    assert (dropped == 0).float().mean().item() == pytest.approx(rate, abs=0.01)
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.02)


def test_draws_are_its_own():
    values = torch.ones(1000)
    first = Dropout(0.5, np.random.default_rng(3))(values)
    torch.rand(10)  # another user of the process-wide generator
    assert torch.equal(first, Dropout(0.5, np.random.default_rng(3))(values))


def test_the_gradient_passes_what_was_kept():
    values = torch.ones(1000, requires_grad=True)
    dropped = Dropout(0.25, np.random.default_rng(0))(values)
    dropped.sum().backward()
    assert torch.equal(values.grad, dropped.detach())


def test_serving_changes_nothing():
    values = torch.randn(10)
    assert Dropout(0.5, np.random.default_rng(0)).eval()(values) is values


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(ValueError, match="below 1"):
        Dropout(rate, np.random.default_rng(0))
