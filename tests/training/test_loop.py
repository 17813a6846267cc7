"""Early stopping, the best weights, the companion, and stopping when asked."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional

from personalens.networks.gru import GRU
from personalens.progress import Cancelled, ignore_progress
from personalens.training.batches import NO_TARGET, Sequences, cut_windows
from personalens.training.losses import FullSoftmax
from personalens.training.options import TrainingOptions
from personalens.training.trainer import Reporter, Trainer, train
from tests.tiny_network import tiny_network

ITEMS = 12
OPTIONS = TrainingOptions(max_epochs=6, patience=2, batch_size=4)


def make_trainer(seed: int = 0, options: TrainingOptions = OPTIONS) -> Trainer:
    """Thirty users who walk round a ring of twelve items."""
    items = np.concatenate([(user + np.arange(10)) % ITEMS for user in range(30)])
    offsets = np.arange(0, 301, 10)
    targets = (items + 1) % ITEMS
    targets[offsets[1:] - 1] = NO_TARGET
    sequences = Sequences(
        items, np.zeros((300, 1), np.int64), targets, offsets, np.zeros((300, 0), np.int64)
    )
    rng = np.random.default_rng(seed)
    network = tiny_network(ITEMS, 1, width=8, truncate=32, dropout=0.25, rng=rng)
    return Trainer(network, sequences, cut_windows(offsets, 100), FullSoftmax(), options, rng)


def weights(trainer: Trainer) -> torch.Tensor:
    return torch.cat([w.detach().flatten() for w in trainer.network.parameters()])


def reporter(progress=ignore_progress, epochs: int = OPTIONS.max_epochs) -> Reporter:
    return Reporter(progress, "training", epochs)


def figures(*values: float):
    """A validation whose figures are known in advance."""
    remaining = iter(values)
    return lambda network: next(remaining)


def test_training_lowers_the_loss():
    report = reporter()
    assert train(make_trainer(), report) == 6
    losses = [entry["loss"] for entry in report.log]
    assert losses[-1] < 0.7 * losses[0] < 0.7 * np.log(ITEMS) * 1.2


def test_the_loss_curve_is_that_of_plain_autograd(monkeypatch):
    """The hand-written recurrence and softmax against PyTorch's own, step by step."""
    ours, plain = reporter(), reporter()
    train(make_trainer(), ours)

    def cross_entropy(network, vectors, targets, seen, weights):
        return functional.cross_entropy(network.scores(vectors, seen), targets)

    monkeypatch.setattr(GRU, "_read", lambda gru, inputs, state: gru.cell(inputs, state[None])[0])
    trainer = make_trainer()
    trainer._loss = cross_entropy
    train(trainer, plain)
    curves = [[entry["loss"] for entry in report.log] for report in (ours, plain)]
    assert curves[0] == pytest.approx(curves[1], rel=1e-4)


def test_stops_after_patience_and_goes_back_to_the_best_epoch():
    trainer, report = make_trainer(), reporter()
    best = train(trainer, report, validate=figures(0.1, 0.5, 0.4, 0.3), patience=2)
    assert best == 2
    assert [entry["epoch"] for entry in report.log] == [1, 2, 3, 4]
    alone = make_trainer()
    train(alone, reporter(epochs=2))
    assert torch.equal(weights(trainer), weights(alone))


def test_of_equal_epochs_the_later_one_is_kept():
    figure = figures(0.1, 1.0, 1.0, 0.9, 1.0, 0.9)
    assert train(make_trainer(), reporter(), validate=figure, patience=2) == 5


def test_never_more_than_max_epochs():
    report = reporter()
    best = train(make_trainer(), report, validate=figures(*range(100)))
    assert (best, len(report.log)) == (6, 6)


def test_the_companion_ends_after_the_same_epoch_as_if_trained_alone():
    companion, alone = make_trainer(seed=5), make_trainer(seed=5)
    figure = figures(0.1, 0.2, 0.3, 0.0, 0.0)
    best = train(make_trainer(), reporter(), validate=figure, patience=2, companion=companion)
    assert best == 3
    train(alone, reporter(epochs=3))
    assert torch.equal(weights(companion), weights(alone))


def test_an_error_in_the_companion_is_raised():
    companion = make_trainer()
    companion._loss = None
    with pytest.raises(TypeError):
        train(make_trainer(), reporter(), companion=companion)


def test_a_listener_stops_both_trainings_within_a_batch():
    companion, seen = make_trainer(), []

    def stop(event):
        seen.append(event)
        if len(seen) == 3:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        train(make_trainer(), reporter(stop), companion=companion)
    assert len(seen) == 3
    after = weights(companion)
    companion.run_epoch(2)
    assert torch.equal(weights(companion), after)


def test_reports_tell_stage_fraction_epoch_loss_and_metric():
    events = []
    train(make_trainer(), reporter(events.append), validate=figures(*range(1, 7)))
    assert {event.stage for event in events} == {"training"}
    fractions = [event.fraction for event in events]
    assert all(a <= b for a, b in itertools.pairwise(fractions))
    assert fractions[-1] == 1.0
    assert [event.metric for event in events if event.metric is not None] == [1, 2, 3, 4, 5, 6]
    assert all(event.epochs == 6 for event in events)
    assert all(event.loss > 0 for event in events[:-1])


def test_the_learning_rate_rises_and_falls_to_nothing():
    trainer = make_trainer(options=TrainingOptions(max_epochs=2, warm_up_steps=5, batch_size=1))
    rates = []
    for epoch in (1, 2):
        trainer.run_epoch(epoch, lambda done, loss: rates.append(trainer.optimizer.learning_rate))
    peak = int(np.argmax(rates))
    assert peak == 4
    assert all(a > b for a, b in itertools.pairwise(rates[peak:]))
    assert rates[-1] < 0.01 * rates[peak]
