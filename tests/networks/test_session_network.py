"""What the network must not see, and the two ways in which it can read a history."""

import numpy as np
import pytest
import torch

from personalens.networks.session_network import Events, SessionNetwork, seen_before

ITEMS, FEATURES = 20, 7


@pytest.fixture
def network() -> SessionNetwork:
    network = SessionNetwork(ITEMS, FEATURES, hidden_size=8, embedding_size=6, truncate=4)
    torch.manual_seed(0)
    with torch.no_grad():
        for weights in network.parameters():
            weights.add_(torch.randn_like(weights) * 0.3)
    return network.eval()


@pytest.fixture
def events() -> Events:
    rng = torch.Generator().manual_seed(1)
    items = torch.randint(ITEMS, (15, 3), generator=rng)
    features = torch.stack(
        [torch.randint(0, 4, (15, 3), generator=rng), torch.randint(4, 7, (15, 3), generator=rng)],
        dim=-1,
    )
    items[0] = ITEMS
    return Events(items, features)


def all_vectors(network: SessionNetwork, events: Events) -> torch.Tensor:
    steps, batch = events.items.shape
    return network(events, torch.arange(steps * batch)).view(steps, batch, -1)


def all_scores(network: SessionNetwork, events: Events) -> torch.Tensor:
    positions = torch.arange(events.items.numel())
    seen = seen_before(events.items, positions, ITEMS)
    return network.scores(network(events, positions), seen).view(*events.items.shape, -1)


@pytest.mark.parametrize("training", [False, True])
def test_the_future_does_not_change_the_past(network, events, training):
    network.train(training)  # without dropout: the hand-written recurrence instead of PyTorch's
    before = all_scores(network, events)
    items, features = events.items.clone(), events.features.clone()
    items[9:] = (items[9:] + 1) % ITEMS
    features[9:, :, 0] = (features[9:, :, 0] + 1) % 4
    after = all_scores(network, Events(items, features))
    torch.testing.assert_close(after[:9], before[:9])
    assert not torch.allclose(after[9:], before[9:])


def test_company_and_padding_change_nothing(network, events):
    alone = Events(events.items[:6, 1:2], events.features[:6, 1:2])
    torch.testing.assert_close(all_scores(network, alone)[:, 0], all_scores(network, events)[:6, 1])


def test_step_by_step_ends_where_one_pass_ends(network, events):
    state = network.start(3)
    for items, features, expected in zip(*events, all_vectors(network, events), strict=True):
        state = network.step(state, Events(items, features))
        torch.testing.assert_close(network.decode(state), expected)


def test_seen_are_the_items_up_to_each_position_once():
    items = torch.tensor([[ITEMS, 3, 5, 3, 7], [4, 4, 4, 4, 4]]).t()  # two windows of five steps
    positions = torch.tensor(
        [0, 4, 6, 7, 8]
    )  # steps 0, 2, 3 of window 0; steps 3 of window 1, 4 of 0
    found, counts = seen_before(items, positions, ITEMS).at(slice(None))
    sets = [sorted(row[kept].tolist()) for row, kept in zip(found, counts, strict=True)]
    assert sets == [[], [3, 5], [3, 5], [4], [3, 5, 7]]


def test_repeat_is_added_to_seen_items_only(network, events):
    with torch.no_grad():
        before = all_scores(network, events).clone()
        network.repeat += 10.0
        gained = all_scores(network, events) - before
    for window in range(3):
        seen: set[int] = set()
        for step in range(15):
            seen |= {int(events.items[step, window])} - {ITEMS}
            expected = torch.tensor([10.0 if item in seen else 0.0 for item in range(ITEMS)])
            torch.testing.assert_close(gained[step, window], expected, atol=1e-4, rtol=0)


def test_the_start_weights_follow_from_the_seed():
    def weights(seed: int) -> torch.Tensor:
        network = SessionNetwork(
            ITEMS, 3, hidden_size=8, embedding_size=6, rng=np.random.default_rng(seed)
        )
        return torch.cat([parameter.flatten() for parameter in network.parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))
