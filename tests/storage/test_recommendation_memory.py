"""What stood behind a recommendationId, here and in another process' memory."""

from __future__ import annotations

import time

from personalens.home import Home
from personalens.storage import recommendation_memory
from personalens.storage.recommendation_memory import RecommendationMemory
from personalens.storage.resource_store import ResourceStore


def wait_for(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_list_is_known_at_once_here_and_soon_elsewhere(tmp_path):
    home = Home(tmp_path / "home")
    ResourceStore(home).list("schema")  # makes the home
    here, there = RecommendationMemory(home), RecommendationMemory(home)
    given = []
    for number in range(50):
        given.append(here.remember("arn:campaign", [str(number), "b|c"]))
        assert here.find(given[-1]) == ("arn:campaign", [str(number), "b|c"])
    wait_for(lambda: there.find(given[-1]))
    assert [there.find(id).item_ids[0] for id in given] == [str(n) for n in range(50)]
    assert len(set(given)) == 50
    wait_for(lambda: not here._pending)
    assert here.find(given[7]) == ("arn:campaign", ["7", "b|c"])


def test_an_id_that_was_not_given_names_nothing(tmp_path):
    home = Home(tmp_path / "home")
    ResourceStore(home).list("schema")
    memory = RecommendationMemory(home)
    given = memory.remember("arn:campaign", ["a"])
    wait_for(lambda: not memory._pending)
    other = "0" if given[-1] != "0" else "1"
    for unknown in (None, "", "RID-1", "RID-unheard-of", given[:-1] + other, f"RID-{'f' * 32}"):
        assert memory.find(unknown) is None
    assert memory.find(given) is not None


def test_the_oldest_lists_are_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr(recommendation_memory, "KEPT", 3)
    home = Home(tmp_path / "home")
    ResourceStore(home).list("schema")
    memory = RecommendationMemory(home)
    given = []
    for _ in range(5):
        given.append(memory.remember("arn:campaign", ["a"]))
        wait_for(lambda: not memory._pending)
    assert [memory.find(id) is not None for id in given] == [False] * 2 + [True] * 3


def test_a_deleted_home_is_not_made_again(tmp_path):
    memory = RecommendationMemory(Home(tmp_path / "home"))
    memory.remember("arn:campaign", ["a"])
    wait_for(lambda: not memory._pending)
    assert not (tmp_path / "home").exists()
