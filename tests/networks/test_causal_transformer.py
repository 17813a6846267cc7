"""What the transformer must not see, and the two ways in which it can read a history."""

import numpy as np
import pytest
import torch

from personalens.networks.causal_transformer import TransformerEncoder
from personalens.networks.session_network import Dropout

STEPS, BATCH, WIDTH = 15, 3, 6


def encoder_of(*, recency_bias: bool = True, dropout: float = 0.0) -> TransformerEncoder:
    encoder = TransformerEncoder(
        WIDTH,
        8,
        blocks=2,
        recency_bias=recency_bias,
        decays=(0.0, 0.8) if recency_bias else (),
        drop=Dropout(dropout, np.random.default_rng(0)),
        drop_inside=Dropout(dropout, np.random.default_rng(1)),
    )
    encoder.initialise(torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    with torch.no_grad():
        for weights in encoder.parameters():
            weights.add_(torch.randn_like(weights) * 0.3)
    return encoder.eval()


@pytest.fixture(params=[True, False], ids=["recent first", "all alike"])
def encoder(request) -> TransformerEncoder:
    return encoder_of(recency_bias=request.param)


@pytest.fixture
def events() -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors of items and whole inputs."""
    generator = torch.Generator().manual_seed(1)
    items, features = torch.randn(2, STEPS, BATCH, WIDTH, generator=generator)
    return items, items + features


def read(encoder: TransformerEncoder, items: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    steps, batch = items.shape[:2]
    return encoder(items, inputs, torch.arange(steps * batch)).view(steps, batch, -1)


def test_the_future_does_not_change_the_past(encoder, events):
    before = read(encoder, *events)
    changed = [part.clone() for part in events]
    for part in changed:
        part[9:] += 1.0
    after = read(encoder, *changed)
    assert torch.equal(after[:9], before[:9])
    assert not torch.allclose(after[9:], before[9:])


def test_no_gradient_comes_from_the_future(encoder, events):
    items, inputs = (part.clone().requires_grad_() for part in events)
    read(encoder, items, inputs)[7, 1].sum().backward()
    for gradient in (items.grad, inputs.grad):
        assert gradient[:8, 1].abs().sum() > 0
        assert gradient[8:].abs().sum() == 0
        assert gradient[:, [0, 2]].abs().sum() == 0


def test_company_and_padding_change_nothing(encoder, events):
    alone = read(encoder, *(part[:6, 1:2] for part in events))
    torch.testing.assert_close(alone[:, 0], read(encoder, *events)[:6, 1])


def test_only_the_positions_asked_for_are_returned(encoder, events):
    positions = torch.tensor([44, 3, 3, 20])
    whole = read(encoder, *events).flatten(0, 1)
    torch.testing.assert_close(encoder(*events, positions), whole[positions])


def test_step_by_step_ends_where_one_pass_ends(encoder, events):
    state = encoder.start(BATCH)
    for items, inputs, expected in zip(*events, read(encoder, *events), strict=True):
        state = encoder.read(state, items[None], inputs[None])
        torch.testing.assert_close(encoder.decode(state), expected)


def test_without_recency_bias_one_block_reads_a_set(events):
    for recency_bias in (True, False):
        encoder = encoder_of(recency_bias=recency_bias)
        encoder.blocks = encoder.blocks[:1]
        order = torch.tensor([2, 0, 3, 1, 4])  # the newest stays the newest
        before = read(encoder, *(part[:5] for part in events))[-1]
        after = read(encoder, *(part[order] for part in events))[-1]
        assert torch.allclose(after, before, atol=1e-5) == (not recency_bias)


def test_the_start_weights_follow_from_the_generator():
    def weights(seed: int) -> torch.Tensor:
        encoder = encoder_of()
        encoder.initialise(torch.Generator().manual_seed(seed))
        return torch.cat([layer.flatten() for layer in encoder.parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_dropout_is_for_training_only(events):
    encoder = encoder_of(dropout=0.5)
    assert torch.equal(read(encoder, *events), read(encoder, *events))
    encoder.train()
    assert not torch.allclose(read(encoder, *events), read(encoder, *events))
