"""What stood behind a recommendationId, here and in another process' memory."""

from __future__ import annotations

import time

from personalens.control import recommendation_memory
from personalens.control.recommendation_memory import RecommendationMemory
from personalens.control.resource_store import ResourceStore
from personalens.home import Home


def wait_for(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_list_is_known_at_once_here_and_soon_elsewhere(tmp_path):
    home = Home(tmp_path / "home")
    ResourceStore(home).list("schema")  # makes the home
    here, there = RecommendationMemory(home), RecommendationMemory(home)
    for number in range(50):
        here.remember(f"RID-{number}", "arn:campaign", [str(number), "b|c"])
        assert here.find(f"RID-{number}") == ("arn:campaign", [str(number), "b|c"])
    wait_for(lambda: there.find("RID-49"))
    assert [there.find(f"RID-{n}").item_ids[0] for n in range(50)] == [str(n) for n in range(50)]
    assert there.find("RID-50") is here.find(None) is None
    wait_for(lambda: not here._pending)
    assert here.find("RID-7") == ("arn:campaign", ["7", "b|c"])


def test_the_oldest_lists_are_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr(recommendation_memory, "KEPT", 3)
    home = Home(tmp_path / "home")
    ResourceStore(home).list("schema")
    memory = RecommendationMemory(home)
    for number in range(5):
        memory.remember(f"RID-{number}", "arn:campaign", ["a"])
        wait_for(lambda: not memory._pending)
    assert [memory.find(f"RID-{n}") is not None for n in range(5)] == [False] * 2 + [True] * 3


def test_a_deleted_home_is_not_made_again(tmp_path):
    memory = RecommendationMemory(Home(tmp_path / "home"))
    memory.remember("RID-1", "arn:campaign", ["a"])
    wait_for(lambda: not memory._pending)
    assert not (tmp_path / "home").exists()
