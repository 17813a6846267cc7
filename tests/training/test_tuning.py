"""The search for settings: what it finds, what it cuts, and that it goes on after a kill."""

from __future__ import annotations

import json
import sys
import threading

import pytest

from personalens.progress import Cancelled, ProgressEvent
from personalens.training.tuning import COMPLETE, CUT, FIRST_UNCUT, Range, Search, Trial

SPACE = (Range("x", "continuous", -1.0, 1.0), Range("n", "integer", 0, 5))


def valley(params, listen):
    """Highest at x = 0.5, n = 3."""
    listen(ProgressEvent("training", 0.5))
    return -((params["x"] - 0.5) ** 2) - 0.1 * abs(params["n"] - 3)


def test_it_finds_the_top_better_than_chance():
    best = Search(SPACE, trials=40).run(valley)
    assert best.params["n"] == 3
    assert best.params["x"] == pytest.approx(0.5, abs=0.15)


def test_the_wanted_settings_come_first_clipped_into_the_ranges():
    search = Search(SPACE, trials=3, first=[{"x": 7.0, "n": "2"}, {"x": 0.1, "n": -4}])
    search.run(valley)
    assert search.trials[0].params == {"x": 1.0, "n": 2}
    assert search.trials[1].params == {"x": 0.1, "n": 0}


@pytest.mark.parametrize("parallel", [1, 2, 3])
def test_the_same_seed_searches_alike_however_the_threads_run(parallel):
    found = []
    for _ in range(2):
        search = Search(SPACE, trials=8, parallel=parallel, seed=4)
        search.run(valley)
        found.append([(trial.number, trial.params, trial.value) for trial in search.trials])
    assert found[0] == found[1]
    other = Search(SPACE, trials=8, parallel=parallel, seed=5)
    other.run(valley)
    assert [trial.params for trial in other.trials] != [params for _, params, _ in found[0]]


@pytest.mark.parametrize("killed_at", [1, 4, 5, 7])
def test_a_killed_search_goes_on_as_if_nothing_had_happened(tmp_path, killed_at):
    whole = Search(SPACE, trials=8, parallel=2)
    whole.run(valley)
    calls = []

    def dies(params, listen):
        if len(calls) >= killed_at:  # two threads may pass the number together
            raise SystemExit
        calls.append(params)
        return valley(params, listen)

    journal = tmp_path / "search.json"
    with pytest.raises(SystemExit):
        Search(SPACE, trials=8, parallel=2, journal=journal).run(dies)
    kept = len(json.loads(journal.read_text())["trials"]) if journal.exists() else 0
    assert kept <= killed_at
    again = []
    resumed = Search(SPACE, trials=8, parallel=2, journal=journal)
    resumed.run(lambda params, listen: again.append(params) or valley(params, listen))
    assert len(again) == 8 - kept
    assert [(t.params, t.value) for t in resumed.trials] == [
        (t.params, t.value) for t in whole.trials
    ]


def test_a_journal_of_other_data_is_not_gone_on_with(tmp_path):
    calls = []

    def count(params, listen):
        calls.append(params)
        return 0.0

    for key in ("1000 events", "1000 events", "1001 events"):
        Search(SPACE, trials=3, journal=tmp_path / "search.json", key=key).run(count)
    assert len(calls) == 6


def learning(rates):
    """An objective whose figure grows by its rate with every epoch, five of them."""

    def train(params, listen):
        rate = rates[params["which"]]
        for epoch in range(1, 6):
            listen(ProgressEvent("training", epoch / 5, epoch=epoch, metric=rate * epoch))
        return rate * 5

    return train


def test_a_trial_below_the_median_is_cut_after_its_first_epoch_and_never_the_best():
    rates = {str(n): float(n) for n in range(1, 8)} | {"poor": 0.5}
    space = [Range("which", "categorical", values=tuple(rates))]
    first = [{"which": name} for name in ("4", "5", "6", "7", "poor", "3", "1")]
    search = Search(space, trials=7, first=first)
    best = search.run(learning(rates))
    assert [trial.state for trial in search.trials] == [COMPLETE] * FIRST_UNCUT + [CUT] * 3
    poor = search.trials[4]
    assert (poor.figures, poor.value) == ({1: 0.5}, None)
    assert best.params == {"which": "7"}
    uncut = Search(space, trials=7, first=first, cut=False)
    uncut.run(learning(rates))
    assert {trial.state for trial in uncut.trials} == {COMPLETE}


def test_settings_that_were_tried_are_not_trained_again():
    calls = []

    def count(params, listen):
        calls.append(params["which"])
        return float(params["which"])

    search = Search([Range("which", "categorical", values=("1", "2"))], trials=6)
    assert search.run(count).value == 2.0
    assert sorted(calls) == ["1", "2"]
    assert len(search.trials) == 6


def test_progress_tells_the_trial_and_the_best_so_far_and_only_grows():
    events = []
    search = Search(SPACE, trials=3, first=[{"x": 0.4, "n": 3}], figure="NDCG@25", title="training")
    search.run(valley, events.append)
    assert [event.stage for event in events] == [
        "training 1 of 3",
        "training 2 of 3, best NDCG@25 -0.010",
        "training 3 of 3, best NDCG@25 -0.010",
    ]
    assert [event.fraction for event in events] == pytest.approx([1 / 6, 3 / 6, 5 / 6])


def test_two_trials_run_at_the_same_time():
    together = threading.Barrier(2, timeout=60)

    def meet(params, listen):
        together.wait()  # alone it would wait in vain, and raise
        return 0.0

    search = Search(SPACE, trials=4, parallel=2)
    search.run(meet)
    assert len(search.trials) == 4


@pytest.mark.parametrize("parallel", [1, 2])
def test_a_cancelled_search_ends_all_its_trials(parallel):
    def stop(event):
        raise Cancelled("stop")

    with pytest.raises(Cancelled, match="stop"):
        Search(SPACE, trials=4, parallel=parallel).run(valley, stop)


def test_an_error_of_the_objective_ends_the_search_and_its_neighbour():
    begun = threading.Event()

    def fail_or_go_on(params, listen):
        if not begun.is_set():
            begun.set()
            raise ZeroDivisionError
        while True:
            listen(ProgressEvent("training"))

    with pytest.raises(ZeroDivisionError):
        Search(SPACE, trials=2, parallel=2).run(fail_or_go_on)


def test_a_trial_survives_json():
    trial = Trial(3, {"x": 0.5}, COMPLETE, 0.25, {1: 0.1, 2: 0.2}, 1.5)
    assert Trial.from_json(json.loads(json.dumps(trial.__dict__))) == trial


def test_a_range_of_one_value_is_trained_with_once():
    calls = []
    space = [Range("n", "integer", 3, 3), Range("w", "categorical", values=("a",))]
    best = Search(space, trials=4).run(lambda params, listen: calls.append(params) or 1.0)
    assert calls == [best.params] == [{"n": 3, "w": "a"}]


def test_without_optuna_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"pip install 'personalens\[hpo\]'"):
        Search(SPACE, trials=1).run(valley)
