"""One load per artifact, and the least used artifact leaves."""

import threading
from pathlib import Path

import pytest

from personalens.runtime.model_cache import ModelCache

A, B, C = Path("a"), Path("b"), Path("c")


class Loader:
    """Counts how often each folder is read and returns a new object each time."""

    def __init__(self):
        self.loads = []

    def __call__(self, folder):
        self.loads.append(folder)
        return object()


def test_an_artifact_is_read_once():
    cache, load = ModelCache(), Loader()
    assert cache.get(A, load) is cache.get(A, load)
    assert load.loads == [A]


def test_the_least_recently_used_model_leaves():
    cache, load = ModelCache(capacity=2), Loader()
    cache.get(A, load)
    cache.get(B, load)
    cache.get(A, load)
    cache.get(C, load)
    assert [folder in cache for folder in (A, B, C)] == [True, False, True]
    assert len(cache) == 2


def test_threads_that_ask_at_once_share_one_load():
    entered, go_on = threading.Event(), threading.Event()
    loads = []

    def slow_load(folder):
        loads.append(folder)
        entered.set()
        assert go_on.wait(10)
        return object()

    cache, answers = ModelCache(), []
    threads = [
        threading.Thread(target=lambda: answers.append(cache.get(A, slow_load))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    assert entered.wait(10)
    other = cache.get(B, Loader())  # is not held up by the load of A
    go_on.set()
    for thread in threads:
        thread.join()
    assert loads == [A]
    assert len(answers) == 4
    assert len(set(map(id, answers))) == 1
    assert answers[0] is not other


def test_a_failed_load_is_tried_again():
    def broken(folder):
        raise FileNotFoundError(folder)

    cache = ModelCache()
    with pytest.raises(FileNotFoundError):
        cache.get(A, broken)
    assert A not in cache
    assert cache.get(A, Loader()) is not None


def test_a_cache_for_no_model_is_refused():
    with pytest.raises(ValueError, match="at least one model"):
        ModelCache(capacity=0)
