"""Small worlds that several recipes are shown, and what of a model's lists goes where."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.interactions import History
from personalens.recipes.base import Recipe


@pytest.fixture(scope="session")
def evenings() -> pd.DataFrame:
    """Sixty users who watch news on the phone and films on the tv, adults other ones than
    children."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(60):
        who = ("child", "adult")[user % 2]
        for step in range(8):
            device = ("phone", "tv")[int(rng.integers(2))]
            item = f"{who}-{device}-{rng.integers(5)}"
            rows.append((f"u{user}", item, 1000 * user + step, device))
    return pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP", "DEVICE"])


@pytest.fixture(scope="session")
def viewers() -> pd.DataFrame:
    """What is known of the sixty users: their age."""
    ages = [(8, 40)[user % 2] + user // 6 for user in range(60)]
    return pd.DataFrame({"USER_ID": [f"u{user}" for user in range(60)], "AGE": ages})


@pytest.fixture(scope="session")
def ring() -> pd.DataFrame:
    """Sixty users who go round a ring of twenty-four pages, nine or ten steps from a place of their
    own."""
    rows = [
        (f"u{user:02}", f"p{(5 * user + step) % 24:02}", 1000 * user + 30 * step)
        for user in range(60)
        for step in range(9 + user % 2)
    ]
    return pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"])


def share_of(model: Recipe, history: History, word: str) -> float:
    """The share of the softmax that goes to items with a word in their name."""
    scores = model.score([history])[0].astype(np.float64)
    shares = np.exp(scores - scores.max())
    return shares[[word in item for item in model.items_.ids]].sum() / shares.sum()


def assert_the_context_decides(model: Recipe, share: float) -> None:
    """In each of two contexts its own items have more than a share, whoever asks."""
    for who in ("u0", "u1", "a new user"):
        past = model.history(who)
        for device in ("tv", "phone"):
            asked = replace(past, context={"DEVICE": device})
            assert share_of(model, asked, f"-{device}-") > share
