"""The hand-written recurrence against PyTorch's own."""

import pytest
import torch

from personalens.networks.gru import GRU


def gradients(layer: GRU, run, inputs: torch.Tensor, state: torch.Tensor) -> list[torch.Tensor]:
    """Gradients of a weighted sum of all states, for the inputs, the state and every weight."""
    weights = torch.linspace(-1, 1, inputs.shape[0] * inputs.shape[1] * layer.hidden_size)
    weights = weights.double().view(inputs.shape[0], inputs.shape[1], -1)
    loss = (run(inputs, state) * weights).sum()
    return list(torch.autograd.grad(loss, [inputs, state, *layer.parameters()]))


@pytest.fixture
def case():
    torch.manual_seed(0)
    layer = GRU(4, 3, truncate=5).double()
    inputs = torch.randn(12, 2, 4, dtype=torch.double, requires_grad=True)
    state = torch.randn(2, 3, dtype=torch.double, requires_grad=True)
    return layer, inputs, state


def test_states_equal_pytorchs(case):
    layer, inputs, state = case
    expected, _ = layer.cell(inputs, state[None])
    torch.testing.assert_close(layer(inputs, state), expected)


def test_gradients_equal_pytorchs_when_nothing_is_truncated(case):
    layer, inputs, state = case
    layer.truncate = 100
    expected = gradients(layer, lambda x, h: layer.cell(x, h[None])[0], inputs, state)
    for ours, theirs in zip(gradients(layer, layer, inputs, state), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_truncated_gradients_equal_those_of_detached_blocks(case):
    layer, inputs, state = case

    def detached(x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        pieces = []
        for block in x.split(5):
            pieces.append(layer.cell(block, h[None])[0])
            h = pieces[-1][-1].detach()
        return torch.cat(pieces)

    expected = gradients(layer, detached, inputs, state)
    for ours, theirs in zip(gradients(layer, layer, inputs, state), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_truncation_stops_the_gradient_at_the_border_but_not_the_state(case):
    layer, inputs, state = case
    last = layer(inputs, state)[-1].sum()
    (gradient,) = torch.autograd.grad(last, [inputs])
    reached = gradient.abs().sum((1, 2)) > 0
    assert reached.tolist() == [False] * 10 + [True] * 2
    moved = layer(inputs.detach() + torch.eye(12, dtype=torch.double)[0][:, None, None], state)
    assert not torch.equal(moved[-1], layer(inputs, state)[-1])
