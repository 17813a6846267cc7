"""The blockwise losses against PyTorch's cross-entropy over the whole matrix of scores."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from personalens.networks.session_network import SessionNetwork, seen_before
from personalens.training import losses
from personalens.training.losses import FullSoftmax, SampledSoftmax
from tests.tiny_network import tiny_network

ITEMS = 50


@pytest.fixture
def network() -> SessionNetwork:
    network = tiny_network(ITEMS, 3, width=6, hidden_size=4).double()
    torch.manual_seed(0)
    with torch.no_grad():
        network.items.own.weight.normal_()
        network.items.own_bias.normal_()
        network.repeat.fill_(-1.5)
    return network


@pytest.fixture
def case(network):
    """40 positions in a batch of 10 steps of 4 windows, with repeated items and start rows."""
    torch.manual_seed(1)
    items = torch.randint(0, 12, (10, 4))
    items[0] = ITEMS
    vectors = torch.randn(40, 6, dtype=torch.double, requires_grad=True)
    targets = torch.randint(ITEMS, (40,))
    return vectors, targets, seen_before(items, torch.arange(40), ITEMS)


def gradients(loss: Tensor, vectors: Tensor, network: SessionNetwork) -> list[Tensor]:
    leaves = [vectors, network.items.own.weight, network.items.own_bias, network.repeat]
    return list(torch.autograd.grad(3 * loss, leaves))


@pytest.mark.parametrize("rows_a_block", [1, 7, 1000])
def test_full_softmax_equals_cross_entropy(network, case, rows_a_block, monkeypatch):
    monkeypatch.setattr(losses, "_FEWEST_ROWS", 1)
    monkeypatch.setattr(losses, "_BLOCK_BYTES", rows_a_block * 8 * ITEMS)
    vectors, targets, seen = case
    loss = FullSoftmax()(network, vectors, targets, seen)
    expected = functional.cross_entropy(network.scores(vectors, seen), targets)
    torch.testing.assert_close(loss, expected)
    pairs = zip(
        gradients(loss, vectors, network), gradients(expected, vectors, network), strict=True
    )
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("size", [1e-3, 30.0, 1e3])
def test_scores_of_any_size_keep_their_losses_and_gradients(network, case, size):
    """In float32, where the exponential of 90 is too large and that of -110 is 0."""
    vectors, targets, seen = case
    network.float()
    with torch.no_grad():
        network.items.own.weight *= size
    vectors = vectors.detach().float().requires_grad_()
    ours = FullSoftmax()(network, vectors, targets, seen)
    found = gradients(ours, vectors, network)
    network.double()
    exact = vectors.detach().double().requires_grad_()
    expected = functional.cross_entropy(network.scores(exact, seen), targets)
    torch.testing.assert_close(ours, expected.float(), rtol=1e-5, atol=1e-6)
    for part, other in zip(found, gradients(expected, exact, network), strict=True):
        torch.testing.assert_close(part, other.float(), rtol=1e-3, atol=1e-5 * max(1.0, size))


def test_sampled_softmax_is_the_full_one_when_every_item_is_certain(network, case):
    vectors, targets, seen = case
    sampled = SampledSoftmax(np.ones(ITEMS), certain=ITEMS)(network, vectors, targets, seen)
    full = FullSoftmax()(network, vectors, targets, seen)
    torch.testing.assert_close(sampled, full)
    pairs = zip(
        gradients(sampled, vectors, network), gradients(full, vectors, network), strict=True
    )
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs)


def test_sampled_softmax_equals_cross_entropy_over_candidates_with_their_offsets(network, case):
    vectors, targets, seen = case
    counts = np.arange(1.0, ITEMS + 1)
    loss = SampledSoftmax(counts, certain=5)(network, vectors, targets, seen)
    # Certain: the five most popular, 45 to 49. The others are there because a row asks for them.
    present = sorted({*range(45, 50), *targets.tolist()})
    chance = 1 - (1 - 40 / counts.sum()) ** counts
    chance[45:] = 1.0
    scores = network.scores(vectors, seen)
    weighted = scores - torch.from_numpy(np.log(chance))
    weighted[torch.arange(40), targets] = scores[torch.arange(40), targets]
    columns = torch.tensor([present.index(target) for target in targets.tolist()])
    expected = functional.cross_entropy(weighted[:, present], columns)
    torch.testing.assert_close(loss, expected)
    pairs = zip(
        gradients(loss, vectors, network), gradients(expected, vectors, network), strict=True
    )
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs)


def test_candidates_stand_for_the_catalogue_on_average():
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 30, ITEMS)
    values = rng.exponential(size=ITEMS)
    events = np.repeat(np.arange(ITEMS), counts)
    sums = []
    for _ in range(2000):
        batch = rng.choice(events, 60, replace=False)
        present = np.unique(batch)
        chance = 1 - (1 - 60 / len(events)) ** counts[present]
        sums.append((values[present] / chance).sum())
    assert np.mean(sums) == pytest.approx(values.sum(), rel=0.02)


def test_a_batch_without_targets_costs_nothing(network):
    vectors = torch.zeros(0, 6, dtype=torch.double)
    nothing = seen_before(torch.zeros(2, 2, dtype=torch.long), torch.zeros(0, dtype=torch.long), 50)
    loss = FullSoftmax()(network, vectors, torch.zeros(0, dtype=torch.long), nothing)
    assert loss.item() == 0.0


@pytest.mark.parametrize("loss", [FullSoftmax(), SampledSoftmax(np.ones(ITEMS), certain=ITEMS)])
def test_weights_are_factors_of_the_terms(network, case, loss):
    vectors, targets, seen = case
    weights = torch.rand(40, dtype=torch.double)
    weights[::3] = 0.0
    weighted = loss(network, vectors, targets, seen, weights)
    terms = functional.cross_entropy(network.scores(vectors, seen), targets, reduction="none")
    torch.testing.assert_close(weighted, (terms * weights).mean())
    pairs = zip(
        gradients(weighted, vectors, network),
        gradients((terms * weights).mean(), vectors, network),
        strict=True,
    )
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs)
