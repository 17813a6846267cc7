"""The blockwise loss over pairs against PyTorch's cross-entropy over the whole matrix of scores."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from personalens.networks.deep_fm import DeepFMNetwork, Part
from personalens.networks.feed_forward import HistoryFields
from personalens.networks.session_network import Dropout, ItemVectors, seen_before
from personalens.recipes.network_builders import PairSoftmax

ITEMS, ROWS = 12, 20


@pytest.fixture
def network() -> DeepFMNetwork:
    rng = np.random.default_rng(0)
    network = DeepFMNetwork(
        ItemVectors(ITEMS, 4),
        HistoryFields((0.0,), drop=Dropout(0.0, rng)),
        3,
        query=None,
        hidden_sizes=(5, 3),
        drop=Dropout(0.0, rng),
        rng=rng,
    ).double()
    torch.manual_seed(0)
    with torch.no_grad():
        network.items.own.weight.normal_()
        network.items.own_bias.normal_()
        network.repeat.fill_(-1.5)
    return network


@pytest.fixture
def case(network):
    torch.manual_seed(1)
    vectors = {name: torch.randn(ROWS, 4).double() for name in network.field_names}
    part = Part(*(values.detach().requires_grad_() for values in network.deep_fm.part(vectors)))
    items = torch.randint(ITEMS, (5, 4))
    return part, torch.randint(ITEMS, (ROWS,)), seen_before(items, torch.arange(ROWS), ITEMS)


@pytest.mark.parametrize("rows", [1, 7, 100])
@pytest.mark.parametrize("is_weighted", [True, False])
def test_it_is_cross_entropy_when_every_item_is_certain(network, case, rows, is_weighted):
    part, targets, seen = case
    weights = torch.linspace(0.5, 2.0, ROWS).double() if is_weighted else None
    loss = PairSoftmax(
        np.arange(1, ITEMS + 1), certain=ITEMS, rows=rows, rng=np.random.default_rng(0)
    )(network, part, targets, seen, weights)
    terms = functional.cross_entropy(network.scores(part, seen), targets, reduction="none")
    expected = terms.mean() if weights is None else (terms * weights).sum() / weights.sum()
    torch.testing.assert_close(loss, expected)
    leaves = [*part, *network.deep_fm.parameters(), network.items.own.weight, network.repeat]
    pairs = zip(
        torch.autograd.grad(3 * loss, leaves),
        torch.autograd.grad(3 * expected, leaves),
        strict=True,
    )
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs)


def test_the_sample_stands_for_the_catalogue(network, case):
    # Of one row, the exponential of the loss is the sum over the candidates, divided by what the
    # target has. Where the other rows' targets are drawn as often as the items occur, its mean is
    # the sum over the catalogue.
    part, _, seen = case
    rng = np.random.default_rng(0)
    counts = np.arange(1, ITEMS + 1) ** 2
    loss = PairSoftmax(counts, certain=3, rows=ROWS, rng=rng)
    weights = torch.zeros(ROWS, dtype=torch.double)
    weights[0] = 1.0
    with torch.no_grad():
        network.items.own.weight.mul_(0.3)
        found = []
        for targets in torch.from_numpy(rng.choice(ITEMS, (500, ROWS), p=counts / counts.sum())):
            targets[0] = 2
            found.append(loss(network, part, targets, seen, weights).exp().item())
        scores = network.scores(part, seen)[:1]
        expected = functional.cross_entropy(scores, torch.tensor([2])).exp().item()
    assert np.mean(found) == pytest.approx(expected, rel=0.1)
    assert np.std(found) > 0.01 * expected


def test_items_without_events_are_never_candidates(network, case):
    part, targets, seen = case
    counts = np.ones(ITEMS, np.int64)
    counts[5] = 0
    targets[targets == 5] = 6
    rng = np.random.default_rng(0)
    loss = PairSoftmax(counts, certain=ITEMS, rng=rng)(network, part, targets, seen)
    (gradient,) = torch.autograd.grad(loss, [network.items.own_bias])
    assert gradient[5] == 0
    assert (gradient[torch.arange(ITEMS) != 5] != 0).all()


def test_the_same_draws_give_the_same_loss(network, case):
    part, targets, seen = case

    def loss(seed: int) -> float:
        rng = np.random.default_rng(seed)
        return PairSoftmax(np.full(ITEMS, 9), certain=2, rows=4, rng=rng)(
            network, part, targets, seen
        ).item()

    assert loss(1) == loss(1)
    assert loss(1) != loss(2)
