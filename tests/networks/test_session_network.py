"""What the network must not see, the two ways in which it can read a history, and its sums."""

import numpy as np
import pytest
import torch

from personalens.networks.session_network import (
    Events,
    FieldValues,
    QueryVectors,
    SessionNetwork,
    seen_before,
)
from tests.tiny_network import tiny_network

ITEMS, FEATURES, QUERIES = 20, 7, (3, 4)


def fields() -> FieldValues:
    """Value 0 for all; one of the values 1 to 4; every other item one of 5 and 6, too."""
    item = torch.arange(ITEMS)
    codes = torch.stack([torch.zeros_like(item), 1 + item % 4, (item % 2) * (5 + item % 3 % 2)], 1)
    weights = torch.stack([torch.ones(ITEMS), torch.full((ITEMS,), 0.5), (item % 2).float()], 1)
    return FieldValues(codes, weights)


@pytest.fixture(params=["plain", "with metadata and context"])
def network(request) -> SessionNetwork:
    extra = {} if request.param == "plain" else {"fields": fields(), "query_sizes": QUERIES}
    network = tiny_network(ITEMS, FEATURES, **extra)
    torch.manual_seed(0)
    with torch.no_grad():
        for weights in network.parameters():
            weights.add_(torch.randn_like(weights) * 0.3)
        network.encoder.direction.fill_(0.5)
    return network.eval()


@pytest.fixture
def events() -> Events:
    rng = torch.Generator().manual_seed(1)

    def draw(low: int, high: int) -> torch.Tensor:
        return torch.randint(low, high, (15, 3), generator=rng)

    items = draw(0, ITEMS)
    items[0] = ITEMS
    features = torch.stack([draw(0, 4), draw(4, 7)], dim=-1)
    return Events(items, features, torch.stack([draw(0, 3), draw(3, 7)], dim=-1))


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
    items, features, queries = (part.clone() for part in events)
    items[9:] = (items[9:] + 1) % ITEMS
    features[9:, :, 0] = (features[9:, :, 0] + 1) % 4
    queries[9:, :, 0] = (queries[9:, :, 0] + 1) % 3
    after = all_scores(network, Events(items, features, queries))
    torch.testing.assert_close(after[:9], before[:9])
    assert not torch.allclose(after[9:], before[9:])


def test_company_and_padding_change_nothing(network, events):
    alone = Events(*(part[:6, 1:2] for part in events))
    torch.testing.assert_close(all_scores(network, alone)[:, 0], all_scores(network, events)[:6, 1])


def test_step_by_step_ends_where_one_pass_ends(network, events):
    state = network.start(3)
    for step, expected in zip(zip(*events, strict=True), all_vectors(network, events), strict=True):
        state = network.read(state, Events(*(part[None] for part in step)))
        torch.testing.assert_close(network.decode(state, Events(*step)), expected)


def test_a_score_is_the_factorisation_machine_between_history_context_and_metadata(events):
    network = tiny_network(ITEMS, FEATURES, fields=fields(), query_sizes=QUERIES).eval()
    torch.manual_seed(2)
    with torch.no_grad():
        for weights in network.parameters():
            weights.copy_(torch.randn_like(weights))
    got = all_scores(network, events)[6, 2]
    without = tiny_network(ITEMS, FEATURES, fields=fields())
    without.load_state_dict({n: w for n, w in network.state_dict().items() if n != "query.weight"})
    state = all_vectors(without.eval(), events)[6, 2]
    query = [network.query.weight[code] for code in events.queries[6, 2]]
    for item in range(ITEMS):
        parts = [(network.items.own.weight[item], network.items.own_bias[item], 1.0)]
        for code, weight in zip(*(part[item] for part in fields()), strict=True):
            parts.append((network.items.field[code, :-1], network.items.field[code, -1], weight))
        score = sum(w * (left @ v) for left in [state, *query] for v, _, w in parts)
        score += sum(w * bias for _, bias, w in parts)
        score += network.repeat if item in events.items[:7, 2] else 0.0
        torch.testing.assert_close(got[item], score, rtol=1e-4, atol=1e-4)


def test_some_items_vectors_are_rows_of_all():
    network = tiny_network(ITEMS, FEATURES, fields=fields())
    torch.nn.init.normal_(network.items.field)
    some = torch.tensor([4, 19, 4, 0])
    for part, whole in zip(network.output(some), network.output(), strict=True):
        torch.testing.assert_close(part, whole[some])
    torch.testing.assert_close(network.items(some[:, None])[:, 0], network.output().table[some])


def test_what_is_withheld_in_training_is_the_request():
    rng = np.random.default_rng(0)
    network = tiny_network(ITEMS, FEATURES, query_sizes=QUERIES, withheld=0.5, rng=rng)
    torch.nn.init.normal_(network.query.weight)
    codes = torch.tensor([[2, 5]]).expand(400, 2)
    tokens = network.query(codes)
    weight = network.query.weight
    told = torch.isclose(tokens, weight[2] + weight[5]).all(1).float().mean()
    nothing = torch.isclose(tokens, weight[0] + weight[3]).all(1).float().mean()
    assert told == pytest.approx(0.5**3, abs=0.06)
    assert nothing == pytest.approx(0.5 + 0.5**3, abs=0.08)


def test_numbers_of_a_request_are_dropped_in_training_only():
    query = QueryVectors([0], 2, 400, withheld=0.0, dropout=0.5, rng=np.random.default_rng(0))
    torch.nn.init.ones_(query.weight)
    codes = torch.tensor([[1]])
    values = query.train()(codes)
    assert set(values.unique().tolist()) == {0.0, 2.0}
    assert values.mean().item() == pytest.approx(1.0, abs=0.2)
    assert (query.eval()(codes) == 1.0).all()


def test_seen_are_the_items_up_to_each_position_once():
    items = torch.tensor([[ITEMS, 3, 5, 3, 7], [4, 4, 4, 4, 4]]).t()  # two windows of five steps
    positions = torch.tensor(
        [0, 4, 6, 7, 8]
    )  # steps 0, 2, 3 of window 0; steps 3 of window 1, 4 of 0
    found, counts = seen_before(items, positions, ITEMS).at(slice(None))
    sets = [sorted(row[kept].tolist()) for row, kept in zip(found, counts, strict=True)]
    assert sets == [[], [3, 5], [3, 5], [4], [3, 5, 7]]


def test_seen_of_early_positions_does_not_look_at_what_came_later():
    items = torch.randint(ITEMS, (30, 2), generator=torch.Generator().manual_seed(0))
    found, counts = seen_before(items, torch.arange(60), ITEMS).at(slice(2, 6))
    assert found.shape == counts.shape == (4, 3)  # steps 1 and 2


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
        network = tiny_network(ITEMS, 3, rng=np.random.default_rng(seed))
        return torch.cat([parameter.flatten() for parameter in network.parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))
