"""A request that must not wait ends before it reads or computes, and has changed nothing."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from personalens.datasets.histories import History
from personalens.runtime.model_cache import ModelCache
from personalens.runtime.user_histories import UserState
from personalens.runtime.user_scores import UserScores
from personalens.runtime.waiting import WouldWait, about_to_wait, without_waiting


class Scorer:
    calls = 0

    def score(self, histories):
        self.calls += 1
        return np.zeros((len(histories), 3))


def test_a_model_that_is_in_memory_is_given_and_no_other_is_read(tmp_path):
    cache, loads = ModelCache(), []

    def load(folder):
        loads.append(folder)
        return Scorer()

    with pytest.raises(WouldWait), without_waiting():
        cache.get(tmp_path, load)
    assert loads == []
    model = cache.get(tmp_path, load)
    with without_waiting():
        assert cache.get(tmp_path, load) is model


def test_scores_that_are_kept_are_given_and_no_others_are_computed():
    scores, model = UserScores(), Scorer()
    state = UserState(History.empty(), "somebody")
    with pytest.raises(WouldWait), without_waiting():
        scores.of(model, "version", state)
    assert model.calls == 0
    kept = scores.of(model, "version", state)
    with without_waiting():
        assert scores.of(model, "version", state) is kept


def test_other_threads_may_wait():
    with without_waiting():
        thread = threading.Thread(target=about_to_wait)
        thread.start()
        thread.join()
        with pytest.raises(WouldWait):
            about_to_wait()
    about_to_wait()
