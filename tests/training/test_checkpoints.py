"""A training that is killed and goes on ends with the same weights, bit for bit."""

import json
import logging
import os

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open

from personalens.datasets.array_tree import flatten
from personalens.progress import ignore_progress
from personalens.recipes.hrnn import HRNN
from personalens.recipes.user_personalization import UserPersonalization
from personalens.training import trainer
from personalens.training.options import TrainingOptions
from personalens.training.trainer import Reporter, Trainer, train
from tests.training.test_loop import figures, make_trainer, weights

FIGURES = (0.1, 0.4, 0.2, 0.3)  # the second epoch is the best, the fourth the last


class Killed(BaseException):
    """Stands for kill -9."""


def trainers(folder, batch_size: int = 4) -> list[Trainer]:
    options = TrainingOptions(
        patience=2, batch_size=batch_size, min_batches=5, checkpoint_folder=str(folder)
    )
    return [make_trainer(0, options), make_trainer(5, options)]


def run(pair: list[Trainer], progress=ignore_progress, known=FIGURES) -> Reporter:
    reporter = Reporter(progress, "training", 6)
    train(pair[0], reporter, validate=figures(*known), patience=2, companion=pair[1])
    return reporter


def killed_at(epoch: int, done: int):
    """A listener that dies at the so-many-th report of an epoch."""
    heard = []

    def listen(event):
        heard.append(event.epoch)
        if heard.count(epoch) == done:
            raise Killed

    return listen


def same(first: list[Trainer], second: list[Trainer]) -> bool:
    return all(torch.equal(weights(a), weights(b)) for a, b in zip(first, second, strict=True))


def without_seconds(reporter: Reporter) -> list[dict]:
    return [{name: line[name] for name in line if name != "seconds"} for line in reporter.log]


@pytest.fixture(scope="module")
def whole() -> tuple[list[Trainer], Reporter]:
    pair = trainers("")
    return pair, run(pair)


@pytest.mark.parametrize("epoch", [1, 2, 3, 4])
def test_killed_within_an_epoch_it_goes_on_from_the_last_one(tmp_path, whole, epoch):
    with pytest.raises(Killed):
        run(trainers(tmp_path), killed_at(epoch, done=5))
    pair, heard = trainers(tmp_path), []
    reporter = run(pair, heard.append, FIGURES[epoch - 1 :])
    assert same(pair, whole[0])
    assert without_seconds(reporter) == without_seconds(whole[1])
    assert {event.epoch for event in heard} - {None} == set(range(epoch, 5))


def test_killed_within_an_epoch_it_goes_on_from_the_batch_that_was_saved(
    tmp_path, whole, monkeypatch
):
    monkeypatch.setattr(trainer, "_SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(trainer, "_SHARE_OF_TIME", 1e9)
    with pytest.raises(Killed):
        run(trainers(tmp_path), killed_at(2, done=6))
    pair, heard = trainers(tmp_path), []
    run(pair, heard.append, FIGURES[1:])
    assert same(pair, whole[0])
    batches = sum(event.epoch == 1 for event in heard), sum(event.epoch == 2 for event in heard)
    assert batches == (0, 3 + 1)  # saved after five of eight; the figure is one report more


def test_a_training_that_was_finished_is_not_run_again(tmp_path, whole):
    run(trainers(tmp_path))
    pair, heard = trainers(tmp_path), []
    reporter = run(pair, heard.append, known=())
    assert same(pair, whole[0])
    assert without_seconds(reporter) == without_seconds(whole[1])
    assert [event.fraction for event in heard] == [1.0]


def test_another_training_in_the_same_folder_begins_at_its_own_beginning(tmp_path, whole):
    run(trainers(tmp_path, batch_size=2))
    pair = trainers(tmp_path)
    run(pair)
    assert same(pair, whole[0])
    assert len(list(tmp_path.iterdir())) == 2


def test_other_data_are_another_training(tmp_path):
    one, other = trainers(tmp_path), trainers(tmp_path)
    other[0].sequences.targets[3] = 0
    run(one)
    run(other)
    assert len(list(tmp_path.iterdir())) == 2


def test_the_file_holds_tensors_and_json(tmp_path):
    pair = trainers(tmp_path)
    run(pair)
    (path,) = tmp_path.iterdir()
    with safe_open(path, "np") as file:
        state = json.loads(file.metadata()["state"])
        names = {name.split(".")[1] for name in file.keys()}  # noqa: SIM118
    assert state["course"] == {"epoch": 4, "best": 0.4, "best_epoch": 2}
    assert names == {"network", "kept", "optimizer"}
    assert len(state["trainers"]) == 2


def test_a_damaged_file_is_no_obstacle(tmp_path, whole, caplog):
    run(trainers(tmp_path))
    (path,) = tmp_path.iterdir()
    os.truncate(path, path.stat().st_size // 2)
    pair = trainers(tmp_path)
    with caplog.at_level(logging.WARNING):
        run(pair)
    assert same(pair, whole[0])
    assert "starts again" in caplog.text


def test_a_folder_that_cannot_be_written_does_not_stop_the_training(tmp_path, whole, caplog):
    (tmp_path / "file").write_text("not a folder")
    pair = trainers(tmp_path / "file")
    run(pair)
    assert same(pair, whole[0])
    assert "cannot write" in caplog.text


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(trainers(""))
    assert list(tmp_path.iterdir()) == []


def test_the_generators_of_the_network_are_found_once(tmp_path):
    trainer = make_trainer()
    assert trainer._generators() == [trainer.rng]
    trainer.network.encoder.drop._rng = np.random.default_rng(1)
    assert len(trainer._generators()) == 2


@pytest.mark.parametrize("recipe", [HRNN, UserPersonalization])
def test_a_recipe_trained_side_by_side_with_its_refit_goes_on_too(recipe, tmp_path):
    rows = [
        (f"u{user:02}", f"p{(5 * user + step) % 24:02}", 100 * user + step)
        for user in range(40)
        for step in range(9)
    ]
    events = pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"])
    part = events[events.USER_ID < "u30"]

    def fit(folder, progress=ignore_progress) -> tuple[HRNN, HRNN]:
        options = TrainingOptions(max_epochs=3, min_batches=5, checkpoint_folder=folder)
        measured = recipe(training=options)
        return measured, measured.fit_and_refit(part, events, progress=progress)

    expected = fit("")
    with pytest.raises(Killed):
        fit(str(tmp_path), killed_at(3, done=2))
    for resumed, model in zip(fit(str(tmp_path)), expected, strict=True):
        assert resumed.best_epochs_ == model.best_epochs_
        found = flatten(resumed._tensors())
        for name, array in flatten(model._tensors()).items():
            assert np.array_equal(found[name], array), name
    assert len(list(tmp_path.iterdir())) == 1
