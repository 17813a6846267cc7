"""DeepFM against its definition, written out pair by pair and layer by layer."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional

from personalens.networks.deep_fm import DeepFM, Part
from personalens.networks.session_network import Dropout

USER, ITEM = ("age", "history"), ("film", "genres", "year")
NAMES, SIZE, ROWS = (*USER, *ITEM), 5, 4


def deep_fm(seed: int = 0, dropout: float = 0.0) -> DeepFM:
    return DeepFM(
        NAMES,
        embedding_size=SIZE,
        hidden_sizes=(7, 3),
        drop=Dropout(dropout, np.random.default_rng(seed)),
        generator=torch.Generator().manual_seed(seed),
    )


@pytest.fixture
def network() -> DeepFM:
    network = deep_fm().double()
    with torch.no_grad():
        network.first_bias.copy_(torch.linspace(-1, 1, 7))
        network.out.bias.fill_(0.25)
    return network


@pytest.fixture
def vectors() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {name: torch.randn(ROWS, SIZE, dtype=torch.double) for name in NAMES}


@pytest.fixture
def weights() -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [torch.randn(ROWS, dtype=torch.double) for _ in NAMES]


def test_half_the_square_of_the_sum_less_the_squares_is_the_sum_over_pairs():
    # 2 * 3 + 2 * 4 + 3 * 4 = 26, and with the weights 0.5 and 1 more.
    found = [torch.tensor([[value]]) for value in (2.0, 3.0, 4.0)]
    part = Part(
        linear=torch.tensor([1.5]),
        total=sum(found),
        power=sum(value.square().sum(1) for value in found),
        hidden=torch.zeros(1, 1),
    )
    assert part.within.tolist() == [27.5]


def test_a_score_is_weights_and_pairs_and_a_deep_network_over_all_fields(network, vectors, weights):
    scores = network.score_rows(network.part(vectors, weights))
    pairs = itertools.combinations(vectors.values(), 2)
    expected = sum(weights) + sum((one * other).sum(1) for one, other in pairs)
    side_by_side = torch.cat(list(vectors.values()), 1)  # (n, F * E)
    units = functional.relu(side_by_side @ network.first.flatten(0, 1) + network.first_bias)
    units = functional.relu(network.layers[0](units))
    expected = expected + network.out(units)[:, 0]
    torch.testing.assert_close(scores, expected)


def test_the_parts_of_a_row_add_up(network, vectors, weights):
    user = network.part({name: vectors[name] for name in USER}, weights[:2])
    item = network.part({name: vectors[name] for name in reversed(ITEM)}, weights[2:])
    whole = network.part(vectors, weights)
    for ours, theirs in zip(user.joined(item), whole, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_every_user_with_every_item_is_every_pair_of_rows(network, vectors, weights):
    user = network.part({name: vectors[name] for name in USER}, weights[:2])
    item = network.part({name: vectors[name] for name in ITEM}, weights[2:])
    scores = network(user, item.take(slice(3)))
    assert scores.shape == (ROWS, 3)
    for row, column in itertools.product(range(ROWS), range(3)):
        pair = user.take([row]).joined(item.take([column]))
        torch.testing.assert_close(scores[row, column], network.score_rows(pair)[0])


def test_gradients_reach_the_vectors_through_both_halves(network, vectors):
    leaf = vectors["film"].requires_grad_()
    network.score_rows(network.part(vectors)).sum().backward()
    through_pairs = sum(values for name, values in vectors.items() if name != "film")
    assert leaf.grad.shape == leaf.shape
    assert (leaf.grad - through_pairs).abs().max() > 1e-3  # the rest came through the layers


def test_the_same_seed_draws_the_same_network():
    one, same, other = (deep_fm(seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["first"], other["first"])


def test_units_are_dropped_in_training_only(vectors):
    network = deep_fm(dropout=0.5).double()
    part = network.part(vectors)
    assert not torch.equal(network.score_rows(part), network.score_rows(part))
    network.eval()
    assert torch.equal(network.score_rows(part), network.score_rows(part))


def test_a_part_in_half_precision_becomes_one_in_single(network, vectors):
    half = Part(*(values.bfloat16() for values in network.part(vectors)))
    assert {values.dtype for values in half.float()} == {torch.float32}
