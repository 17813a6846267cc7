"""Requests that come together are scored together, and each gets its own scores."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from personalens.datasets.interactions import History
from personalens.runtime.users import JointScoring


class Doubler:
    """Scores a history by twice its items; the first call waits until it may go on."""

    def __init__(self):
        self.sizes, self.has_begun, self.may_end = [], threading.Event(), threading.Event()

    def score(self, histories):
        self.sizes.append(len(histories))
        if len(self.sizes) == 1:
            self.has_begun.set()
            assert self.may_end.wait(20)
        if any(len(history) > 5 for history in histories):
            raise ValueError("too long")
        return np.array([[2.0 * history.item_codes[0], 0.0] for history in histories])


def history(code, length=1):
    return History(np.full(length, code, np.int32), np.zeros(length, np.int64))


def ask(scoring, model, codes, *, length=1):
    """Ask for all ``codes`` at once, while a first question holds the model; return the answers."""
    answers = {}

    def work(code, length):
        try:
            answers[code] = scoring.score(model, history(code, length)).tolist()
        except ValueError as error:
            answers[code] = str(error)

    threads = [threading.Thread(target=work, args=(0, 1))]
    threads[0].start()
    assert model.has_begun.wait(20)
    threads += [threading.Thread(target=work, args=(code, length)) for code in codes]
    for thread in threads[1:]:
        thread.start()
    while len(scoring._waiting) < len(codes):
        threading.Event().wait(0.001)
    model.may_end.set()
    for thread in threads:
        thread.join()
    return answers


def test_those_who_wait_are_scored_in_one_call():
    model = Doubler()
    answers = ask(JointScoring(), model, range(1, 9))
    assert answers == {code: [2.0 * code, 0.0] for code in range(9)}
    assert model.sizes == [1, 8]


def test_an_error_reaches_all_who_asked_together_and_nobody_else():
    scoring, model = JointScoring(), Doubler()
    answers = ask(scoring, model, [1, 2], length=6)
    assert answers == {0: [0.0, 0.0], 1: "too long", 2: "too long"}
    assert scoring.score(model, history(3)).tolist() == [6.0, 0.0]


def test_questions_to_another_model_are_left_to_its_own_turn():
    scoring, model, other = JointScoring(), Doubler(), Doubler()
    other.may_end.set()
    answers = []
    asking = threading.Thread(target=lambda: answers.append(scoring.score(other, history(7))))
    first = threading.Thread(target=lambda: scoring.score(model, history(1)))
    first.start()
    assert model.has_begun.wait(20)
    asking.start()
    while not scoring._waiting:
        threading.Event().wait(0.001)
    model.may_end.set()
    first.join()
    asking.join()
    assert answers[0].tolist() == [14.0, 0.0]
    assert (model.sizes, other.sizes) == ([1], [1])


@pytest.mark.parametrize("count", [1, 40])
def test_nothing_is_kept(count):
    scoring, model = JointScoring(), Doubler()
    model.may_end.set()
    for code in range(count):
        scoring.score(model, history(code))
    assert scoring._waiting == []
