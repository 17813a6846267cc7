"""Two networks asked together: whose scores count how much, and those of items nobody has met."""

import pytest
import torch

from personalens.networks.session_network import Events, FieldValues, Seen, seen_before
from personalens.networks.twin_network import TwinNetwork
from tests.tiny_network import tiny_network

ITEMS, FEATURES, KNOWN = 12, 5, 9


@pytest.fixture
def network() -> TwinNetwork:
    """The last three items are new."""
    codes = torch.arange(ITEMS)[:, None] % 3
    fields = FieldValues(codes, torch.ones(ITEMS, 1))
    first = tiny_network(ITEMS, FEATURES, fields=fields, query_sizes=(3,))
    network = TwinNetwork(
        first.items,
        first.encoder,
        FEATURES,
        query=first.query,
        beside=tiny_network(ITEMS, FEATURES),
    )
    torch.manual_seed(0)
    with torch.no_grad():
        for weights in network.parameters():
            weights.add_(torch.randn_like(weights) * 0.3)
    network.is_known[KNOWN:] = False
    return network.eval()


@pytest.fixture
def events() -> Events:
    rng = torch.Generator().manual_seed(1)

    def draw(high: int, *shape: int) -> torch.Tensor:
        return torch.randint(high, (7, 2, *shape), generator=rng)

    items = draw(KNOWN)
    items[0] = ITEMS
    return Events(items, draw(FEATURES, 2), draw(3, 1))


@pytest.fixture
def asked(events) -> tuple[torch.Tensor, Seen]:
    positions = torch.arange(events.items.numel())
    return positions, seen_before(events.items, positions, ITEMS)


def shares(scores: torch.Tensor) -> torch.Tensor:
    """Of the known items alone."""
    return scores[:, :KNOWN].softmax(1)


@torch.no_grad()
def test_what_is_known_is_the_mean_of_both_and_what_is_new_as_the_first_has_it(
    network, events, asked
):
    positions, seen = asked
    scores = network.scores(network(events, positions), seen)
    own, beside = network.halves(network(events, positions))
    first = super(TwinNetwork, network).scores(own, seen)
    second = network.beside.scores(beside, seen)
    mean = (shares(first).log() + shares(second).log()) / 2
    torch.testing.assert_close(shares(scores), mean.softmax(1))
    # Against all known items together a new one stands where the first network has it.
    of_all = [s[:, KNOWN:] - s[:, :KNOWN].logsumexp(1, keepdim=True) for s in (scores, first)]
    torch.testing.assert_close(*of_all)
    for share, alone in ((0.0, first), (1.0, second)):
        network.share.fill_(share)
        mixed = network.scores(network(events, positions), seen)
        torch.testing.assert_close(shares(mixed), shares(alone))


@torch.no_grad()
@pytest.mark.parametrize("cut", [1, 4])
def test_reading_on_ends_where_reading_the_whole_ends(network, events, cut):
    steps, batch = events.items.shape
    last = (steps - 1) * batch + torch.arange(batch)
    state = network.start(batch)
    for part in (slice(0, cut), slice(cut, steps)):
        state = network.read(state, Events(*(each[part] for each in events)))
    vectors = network.decode(state, Events(*(each[-1] for each in events)))
    torch.testing.assert_close(vectors, network(events, last), rtol=1e-4, atol=1e-5)


def test_neither_learns_from_what_the_other_gets_wrong(network, events, asked):
    from personalens.recipes.network_builders import TwinLoss
    from personalens.training.losses import FullSoftmax

    positions, seen = asked
    targets = torch.arange(len(positions)) % KNOWN
    gradients = []
    for change in (0.0, 1.0):
        with torch.no_grad():
            network.beside.items.own_bias[0] += change
        network.zero_grad()
        loss = TwinLoss(FullSoftmax())(network, network(events, positions), targets, seen)
        loss.backward()
        gradients.append(network.items.own.weight.grad.clone())
        own, beside = network.halves(network(events, positions))
        apart = [
            FullSoftmax()(network, own.contiguous(), targets, seen),
            FullSoftmax()(network.beside, beside.contiguous(), targets, seen),
        ]
        assert loss.item() == pytest.approx(sum(apart).item() / 2)
    torch.testing.assert_close(*gradients)
