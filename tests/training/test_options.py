"""Training options and the variables that set them."""

import pytest

from personalens.training.options import TrainingOptions


def test_variables_set_options(monkeypatch):
    monkeypatch.setenv("PERSONALENS_TRAINING_MAX_EPOCHS", "3")
    monkeypatch.setenv("PERSONALENS_TRAINING_LEARNING_RATE", "0.5")
    options = TrainingOptions.from_environment()
    assert (options.max_epochs, options.learning_rate) == (3, 0.5)
    assert options.patience == TrainingOptions().patience


def test_a_variable_that_is_no_number_is_named(monkeypatch):
    monkeypatch.setenv("PERSONALENS_TRAINING_MAX_EPOCHS", "few")
    with pytest.raises(ValueError, match=r"PERSONALENS_TRAINING_MAX_EPOCHS is 'few'"):
        TrainingOptions.from_environment()


@pytest.mark.parametrize("name", ["max_epochs", "patience", "batch_size", "min_batches"])
def test_nothing_may_be_less_than_one(name):
    with pytest.raises(ValueError, match=f"{name} is 0"):
        TrainingOptions(**{name: 0})


def test_few_windows_make_small_batches():
    options = TrainingOptions(batch_size=32, min_batches=20)
    assert [options.batch_size_for(windows) for windows in (1, 40, 640, 10_000)] == [1, 2, 32, 32]
