"""Attention against its formula; what the bias of distances decides, and what not."""

import math

import pytest
import torch

from personalens.networks.causal_transformer import CausalAttention, _group

STEPS, BATCH, WIDTH, HEADS = 13, 2, 6, 3


@pytest.fixture(params=[True, False], ids=["recent first", "all alike"])
def attention(request) -> CausalAttention:
    torch.manual_seed(0)
    attention = CausalAttention(WIDTH, HEADS, recency_bias=request.param).double()
    with torch.no_grad():
        for weights in attention.parameters():
            weights.add_(torch.randn_like(weights) * 0.5)
    return attention


@pytest.fixture
def inputs() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(STEPS, BATCH, WIDTH, generator=generator, dtype=torch.double)


def test_it_is_the_sum_that_it_says(attention, inputs):
    output, _ = attention(inputs)
    queries, keys, values = attention.into(inputs).chunk(3, dim=2)
    size = WIDTH // HEADS
    for user in range(BATCH):
        for t in range(STEPS):
            heads = []
            for head in range(HEADS):
                columns = slice(head * size, (head + 1) * size)
                scores = []
                for s in range(t + 1):
                    product = queries[t, user, columns] @ keys[s, user, columns]
                    score = product / math.sqrt(size)
                    if attention.bias is not None:
                        score = score + attention.bias[head, _group(torch.tensor(t - s))]
                    scores.append(score)
                shares = torch.stack(scores).softmax(0)
                heads.append(shares @ values[: t + 1, user, columns])
            torch.testing.assert_close(output[t, user], attention.out(torch.cat(heads)))


def test_reading_on_from_the_past_equals_reading_the_whole(attention, inputs):
    whole, _ = attention(inputs)
    first, past = attention(inputs[:5])
    second, past = attention(inputs[5:6], past)
    third, _ = attention(inputs[6:], past)
    torch.testing.assert_close(torch.cat([first, second, third]), whole)


def test_order_counts_only_with_the_bias(attention, inputs):
    order = torch.tensor([3, 0, 2, 4, 1, 5])  # the newest stays the newest
    before, _ = attention(inputs[:6])
    after, _ = attention(inputs[order])
    assert torch.allclose(after[-1], before[-1]) == (attention.bias is None)


def test_the_start_biases_favour_the_near_and_differ_by_head():
    bias = CausalAttention(WIDTH, HEADS).bias
    assert (bias[:, 1:] < bias[:, :-1]).all()
    assert bias[0, :3].tolist() == [0.0, -0.5, -1.0]
    torch.testing.assert_close(bias[1], bias[0] / 4)


def test_heads_divide_the_width():
    with pytest.raises(ValueError, match="6 does not divide into 4 heads"):
        CausalAttention(6, 4)
