"""Windows and batches: every target once, nothing that counts after a pad."""

import numpy as np
import pytest

from personalens.training.batches import (
    NO_TARGET,
    Sequences,
    bucketed_batches,
    cut_windows,
    make_batch,
)


def sequences_of(lengths: list[int]) -> Sequences:
    """Histories whose items are numbered through, so that an item tells its row."""
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    items = np.arange(offsets[-1])
    targets = items + 1
    targets[offsets[1:] - 1] = NO_TARGET
    return Sequences(items, items[:, None] % 7, targets, offsets, items[:, None] % 5)


@pytest.mark.parametrize("context", [0, 3])
def test_windows_cover_every_row_once_and_stay_inside_their_history(context):
    lengths = [1, 5, 6, 7, 23]
    windows = cut_windows(sequences_of(lengths).offsets, 6, context=context)
    pairs = zip(windows.first_targets, windows.stops, strict=True)
    counted = np.concatenate([np.arange(first, stop) for first, stop in pairs])
    assert sorted(counted.tolist()) == list(range(sum(lengths)))
    history = np.repeat(np.arange(5), lengths)
    assert (history[windows.starts] == history[windows.stops - 1]).all()
    begin = sequences_of(lengths).offsets[history[windows.starts]]
    led_in = windows.first_targets - windows.starts
    assert np.array_equal(led_in, np.minimum(context, windows.first_targets - begin))


def test_every_target_is_in_one_batch_at_its_own_position():
    sequences = sequences_of([4, 9, 2, 17, 1])
    windows = cut_windows(sequences.offsets, 5, context=2)
    found = []
    for chosen in bucketed_batches(windows.lengths, 3, np.random.default_rng(0)):
        batch = make_batch(sequences, windows, chosen)
        items = batch.events.items.flatten()[batch.positions]
        features = batch.events.features.flatten(0, 1)[batch.positions, 0]
        assert (batch.targets == items + 1).all()
        assert (features == items % 7).all()
        assert (windows.starts[batch.owners] <= items.numpy()).all()
        assert (items.numpy() < windows.stops[batch.owners]).all()
        found += batch.targets.tolist()
    assert sorted(found) == sorted(sequences.targets[sequences.targets != NO_TARGET].tolist())


def test_pads_come_last_and_have_no_target():
    sequences = sequences_of([3, 8])
    windows = cut_windows(sequences.offsets, 100)
    batch = make_batch(sequences, windows, np.array([0, 1]))
    assert batch.events.items[:, 0].tolist() == [0, 1, 2, 2, 2, 2, 2, 2]
    assert batch.targets.tolist() == [1, 4, 2, 5, 6, 7, 8, 9, 10]


def test_batches_hold_windows_of_like_length():
    lengths = np.random.default_rng(0).integers(1, 200, 300)
    batches = bucketed_batches(lengths, 16, np.random.default_rng(1))
    assert sorted(np.concatenate(batches).tolist()) == list(range(300))
    places = sum(lengths[batch].max() * len(batch) for batch in batches)
    assert lengths.sum() / places > 0.85


def test_a_target_has_the_weight_of_its_event():
    # Histories of 2 and 1 events, each after a start row; their events weigh 1, 3 and 2.
    sequences = Sequences(
        np.array([9, 0, 1, 9, 2]),
        np.zeros((5, 1), np.int64),
        np.array([0, 1, NO_TARGET, 2, NO_TARGET]),
        np.array([0, 3, 5]),
        np.zeros((5, 0), np.int64),
    ).weighted(np.array([1.0, 3.0, 2.0]))
    batch = make_batch(sequences, cut_windows(sequences.offsets, 9), np.array([0, 1]))
    of_target = dict(zip(batch.targets.tolist(), batch.weights.tolist(), strict=True))
    assert of_target == {0: 0.5, 1: 1.5, 2: 1.0}  # 1 on average
