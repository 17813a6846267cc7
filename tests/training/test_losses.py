"""The blockwise softmax loss against PyTorch's own."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from personalens.networks.session_network import SessionNetwork, seen_before
from personalens.training import losses
from personalens.training.losses import FullSoftmax, SampledSoftmax, blockwise_cross_entropy

ITEMS, STEPS, BATCH, WIDTH = 50, 10, 4, 6


@pytest.fixture
def case():
    """Four histories of ten steps, every place asked, with repeats among the items."""
    torch.manual_seed(0)
    items = torch.randint(12, (STEPS, BATCH))
    positions = torch.arange(STEPS * BATCH)
    inputs = [
        torch.randn(len(positions), WIDTH, dtype=torch.double, requires_grad=True),
        torch.randn(ITEMS, WIDTH, dtype=torch.double, requires_grad=True),
        torch.randn(ITEMS, dtype=torch.double, requires_grad=True),
        torch.tensor(-1.3, dtype=torch.double, requires_grad=True),
    ]
    return inputs, torch.randint(ITEMS, (len(positions),)), items, positions


def seen_mask(items, positions):
    """Which items came up at or before each place, by plain loops."""
    mask = torch.zeros(len(positions), ITEMS, dtype=torch.double)
    for row, position in enumerate(positions.tolist()):
        step, window = divmod(position, BATCH)
        for item in items[: step + 1, window].tolist():
            mask[row, item] = 1.0
    return mask


@pytest.mark.parametrize("rows_a_block", [1, 7, 1000])
def test_value_and_gradients_equal_cross_entropy(case, rows_a_block, monkeypatch):
    monkeypatch.setattr(losses, "_FEWEST_ROWS", 1)
    monkeypatch.setattr(losses, "_BLOCK_BYTES", rows_a_block * 8 * ITEMS)
    inputs, targets, items, positions = case
    vectors, table, bias, repeat = inputs
    scores = functional.linear(vectors, table, bias) + repeat * seen_mask(items, positions)
    expected = functional.cross_entropy(scores, targets)
    seen = seen_before(items, positions, ITEMS)
    loss = blockwise_cross_entropy(*inputs, targets, seen)
    torch.testing.assert_close(loss, expected)
    ours, theirs = (torch.autograd.grad(3 * value, inputs) for value in (loss, expected))
    for mine, peer in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, peer)


def test_sampling_everything_is_the_full_softmax():
    network = SessionNetwork(ITEMS, 3, hidden_size=5, embedding_size=WIDTH)
    torch.manual_seed(0)
    items = torch.randint(12, (STEPS, BATCH))
    positions = torch.arange(STEPS * BATCH)
    vectors = torch.randn(len(positions), WIDTH)
    targets = torch.randint(ITEMS, (len(positions),))
    seen = seen_before(items, positions, ITEMS)
    sampled = SampledSoftmax(np.ones(ITEMS), certain=ITEMS)
    torch.testing.assert_close(
        sampled(network, vectors, targets, seen), FullSoftmax()(network, vectors, targets, seen)
    )
