"""The blockwise softmax loss against PyTorch's own."""

import pytest
import torch
from torch.nn import functional

from personalens.training import losses
from personalens.training.losses import softmax_loss


@pytest.mark.parametrize("rows_a_block", [1, 7, 1000])
def test_value_and_gradients_equal_cross_entropy(rows_a_block, monkeypatch):
    monkeypatch.setattr(losses, "_MIN_ROWS", 1)
    monkeypatch.setattr(losses, "_BLOCK_BYTES", rows_a_block * 8 * 50)
    torch.manual_seed(0)
    vectors = torch.randn(40, 6, dtype=torch.double, requires_grad=True)
    table = torch.randn(50, 6, dtype=torch.double, requires_grad=True)
    bias = torch.randn(50, dtype=torch.double, requires_grad=True)
    targets = torch.randint(50, (40,))
    expected = functional.cross_entropy(functional.linear(vectors, table, bias), targets)
    loss = softmax_loss(vectors, table, bias, targets)
    torch.testing.assert_close(loss, expected)
    inputs = [vectors, table, bias]
    for ours, theirs in zip(
        torch.autograd.grad(3 * loss, inputs),
        torch.autograd.grad(3 * expected, inputs),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)
