"""The networks that read a user as fields: averages by hand, and both scores by their formulas."""

import numpy as np
import pytest
import torch

from personalens.networks import deep_fm
from personalens.networks.deep_fm import DeepFMNetwork
from personalens.networks.feed_forward import (
    LAST_EVENT,
    REQUEST,
    FeedForwardNetwork,
    FieldNetwork,
    HistoryFields,
)
from personalens.networks.session_network import (
    Dropout,
    Events,
    ItemVectors,
    QueryVectors,
    seen_before,
)

ITEMS, WIDTH, FEATURES = 9, 4, 3
NETWORKS = [FeedForwardNetwork, DeepFMNetwork]


def build(kind: type[FieldNetwork], *, seed: int = 0, has_query: bool = True) -> FieldNetwork:
    rng = np.random.default_rng(seed)
    query = QueryVectors([0], 4, WIDTH, withheld=0.0, rng=rng) if has_query else None
    network = kind(
        ItemVectors(ITEMS, WIDTH),
        HistoryFields((0.0, 0.5), drop=Dropout(0.0, rng)),
        FEATURES,
        query=query,
        hidden_sizes=(6, 3),
        drop=Dropout(0.0, rng),
        rng=rng,
    )
    torch.manual_seed(seed)
    with torch.no_grad():
        for tensor in (network.items.own_bias, network.feature.weight):
            tensor.normal_()
        network.repeat.fill_(-2.0)
        if query is not None:
            query.weight.normal_()
    return network.double().eval()


@pytest.fixture
def events() -> Events:
    """Two windows of five steps; each begins with a start row."""
    torch.manual_seed(2)
    items = torch.randint(ITEMS, (5, 2))
    items[0] = ITEMS
    return Events(
        items, torch.randint(FEATURES, (5, 2, 1)), torch.randint(4, (5, 2, 1), dtype=torch.long)
    )


def test_averages_look_back_as_far_as_their_decays(events):
    network = build(FeedForwardNetwork)
    fields = network.fields(events, torch.tensor([6]))  # step 3 of window 0
    first, second, third, fourth = network.items(events.items[:4, 0])
    torch.testing.assert_close(fields["average 0"][0], fourth)
    expected = 0.5 * fourth + 0.25 * third + 0.125 * second + 0.0625 * first
    torch.testing.assert_close(fields["average 1"][0], expected)
    feature = network.feature(events.features[3, :1])[0]
    torch.testing.assert_close(fields[LAST_EVENT][0], feature)
    torch.testing.assert_close(fields[REQUEST][0], network.query(events.queries[3, :1])[0])
    assert list(fields) == network.field_names


@pytest.mark.parametrize("kind", NETWORKS)
def test_what_comes_after_does_not_reach(kind, events):
    network, positions = build(kind), torch.tensor([4, 5])
    seen = seen_before(events.items, positions, ITEMS)
    later = events.items.clone()
    later[3:] = (later[3:] + 1) % ITEMS
    changed = events._replace(items=later)
    before = network.scores(network(events, positions), seen)
    after = network.scores(network(changed, positions), seen)
    torch.testing.assert_close(before, after)


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("has_query", [True, False])
def test_the_last_item_its_circumstances_and_the_request_all_matter(kind, has_query, events):
    network, positions = build(kind, has_query=has_query), torch.tensor([8])
    seen = seen_before(events.items, positions, ITEMS)

    def scores(changed: Events) -> torch.Tensor:
        return network.scores(network(changed, positions), seen)

    before = scores(events)
    for name in ("items", "features", "queries"):
        values = getattr(events, name).clone()
        values[4] = (values[4] + 1) % 3
        is_same = torch.allclose(scores(events._replace(**{name: values})), before)
        assert is_same == (name == "queries" and not has_query)


def test_a_feed_forward_score_is_a_tower_and_a_wide_path(events):
    network, positions = build(FeedForwardNetwork), torch.tensor([3, 8])
    fields = network.fields(events, positions)
    units = torch.cat(list(fields.values()), 1)
    for layer in network.tower.layers:
        units = torch.relu(layer(units))
    mix = network.encoder.means.weights
    wide = mix[0] * fields["average 0"] + mix[1] * fields["average 1"] + fields[REQUEST]
    vectors = network(events, positions)
    torch.testing.assert_close(vectors, network.tower.out(units) + wide)
    scores = network.scores(vectors, seen_before(events.items, positions, ITEMS))
    table, bias = network.output()
    expected = vectors @ table.t() + bias
    for row, (step, window) in enumerate([(1, 1), (4, 0)]):
        had = {item for item in events.items[: step + 1, window].tolist() if item < ITEMS}
        expected[row, list(had)] += network.repeat
    torch.testing.assert_close(scores, expected)


@pytest.mark.parametrize("units_at_once", [1, 10**6])
def test_a_deep_fm_score_is_all_pairs_and_the_layers(events, units_at_once, monkeypatch):
    monkeypatch.setattr(deep_fm, "_UNITS_AT_ONCE", units_at_once)
    network, positions = build(DeepFMNetwork), torch.tensor([2, 7, 9])
    fields = network.encoder.mix(network.fields(events, positions))
    scores = network.scores(
        network(events, positions), seen_before(events.items[:1], torch.tensor([0, 1, 0]), ITEMS)
    )
    table, bias = network.output()
    for item in range(ITEMS):
        row = network.deep_fm.part({**fields, "item": table[[item] * 3]}, [bias[[item] * 3]])
        torch.testing.assert_close(scores[:, item], network.deep_fm.score_rows(row))


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_same_seed_draws_the_same_network(kind):
    one, same, other = (build(kind, seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_what_deep_fm_keeps_of_the_items_is_forgotten_when_training_goes_on(events):
    network = build(DeepFMNetwork)
    with torch.inference_mode():
        kept = network.item_part()
        assert network.item_part() is kept
    network.train()
    with torch.no_grad():
        network.items.own_bias.add_(1.0)
    network.eval()
    with torch.inference_mode():
        torch.testing.assert_close(network.item_part().linear, kept.linear + 1.0)
