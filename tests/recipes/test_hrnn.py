"""aws-hrnn."""

import numpy as np
import pandas as pd
import pytest

from personalens.recipes.hrnn import HRNN
from personalens.training.options import TrainingOptions
from personalens.training.progress import Cancelled


@pytest.fixture(scope="module")
def rounds():
    """Forty users who each walk round the same ring of twelve items from a place of their own."""
    rows = [
        (f"u{user:02}", f"i{(user + step) % 12:02}", 1000 * user + 60 * step)
        for user in range(40)
        for step in range(20)
    ]
    return pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"])


@pytest.fixture(scope="module")
def model(rounds):
    return HRNN(training=TrainingOptions(max_epochs=40, patience=40)).fit(rounds)


def test_predicts_what_follows_in_the_order(model):
    table = model.recommend(["u00", "u05"], k=1)
    assert table.ITEM_ID.tolist() == ["i08", "i01"]  # 0+19 and 5+19 were last, modulo 12


def test_same_seed_gives_the_same_model(rounds):
    options = TrainingOptions(max_epochs=1)
    first, second = (HRNN(seed=3, training=options).fit(rounds) for _ in range(2))
    histories = [first.history("u01")]
    assert np.array_equal(first.score(histories), second.score(histories))


def test_a_saved_model_answers_alike(model, tmp_path):
    model.save(tmp_path / "m")
    loaded = HRNN.load(tmp_path / "m")
    histories = [model.history("u03"), model.history("nobody")]
    assert np.array_equal(model.score(histories), loaded.score(histories))
    assert loaded.best_epochs_ == model.best_epochs_


def test_refit_trains_for_the_epochs_found(model, rounds):
    again = model.refit(rounds)
    assert len(again.training_log_) == again.best_epochs_ == model.best_epochs_


def test_training_stops_when_the_listener_says_so(rounds):
    seen = []

    def stop(event):
        seen.append(event)
        if len(seen) == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        HRNN().fit(rounds, progress=stop)
    assert len(seen) == 2
