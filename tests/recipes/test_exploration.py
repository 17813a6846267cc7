"""The bonus of items of which little is known."""

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.interactions import Interactions
from personalens.datasets.metadata import Metadata
from personalens.recipes.exploration import ItemExposure, exploration_bonus

DAY = 86_400


def bonus(exposures, ages, *, seed: int = 0, past=(), vectors=None, **options) -> np.ndarray:
    exposure = ItemExposure(np.array(exposures, np.float32), np.array(ages, np.float32))
    vectors = np.eye(len(ages), 8, dtype=np.float32) if vectors is None else vectors
    options = {"weight": 0.3, "cutoff_days": 30.0, "rng": np.random.default_rng(seed)} | options
    return exploration_bonus(exposure, vectors, np.array(past, np.int32), **options)


def mean_bonus(exposures, ages, **options) -> np.ndarray:
    return np.mean([bonus(exposures, ages, seed=seed, **options) for seed in range(300)], axis=0)


def test_it_shrinks_with_exposure():
    gains = mean_bonus([0, 1, 5, 50, 5000], [1] * 5)
    assert (np.diff(gains) < 0).all()
    assert gains[-1] < 0.35 * gains[0]


def test_weight_nought_is_none_and_it_grows_with_the_weight():
    assert not bonus([0, 3], [1, 1], weight=0.0).any()
    low, high = mean_bonus([0, 3], [1, 1], weight=0.3), mean_bonus([0, 3], [1, 1], weight=0.9)
    np.testing.assert_allclose(high, 3 * low, rtol=1e-5)


def test_items_of_the_cutoff_age_and_older_get_none():
    gains = bonus([0, 0, 0], [29.9, 30.0, 400.0])
    assert gains[0] > 0
    assert gains[1:].tolist() == [0.0, 0.0]
    assert bonus([0, 0], [1.5, 40.0], cutoff_days=1.0).tolist() == [0.0, 0.0]


def test_what_is_far_from_the_users_past_gets_more():
    gains = mean_bonus([0, 0, 0], [1, 1, 90], past=[2, 2], vectors=np.eye(3)[[0, 1, 1]])
    assert gains[0] > gains[1] > 0


def test_requests_differ_and_a_seed_repeats():
    first, again, other = (bonus([0] * 5, [1] * 5, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_nothing_young_no_bonus():
    assert bonus([1, 2], [50, 60]).tolist() == [0.0, 0.0]


@pytest.fixture
def interactions() -> Interactions:
    frame = pd.DataFrame(
        {
            "USER_ID": ["u", "u", "v"],
            "ITEM_ID": ["a", "b", "a"],
            "TIMESTAMP": [0, 8 * DAY, 10 * DAY],
            "IMPRESSION": ["a|b", None, "a|c|unheard of"],
        }
    )
    return Interactions.from_frame(frame, items=None).with_items(_ids())


def _ids():
    from personalens.datasets.id_maps import IdMap

    return IdMap(["a", "b", "c", "d"])


def test_events_and_impressions_are_exposures(interactions):
    assert ItemExposure.count(interactions, None).exposures.tolist() == [4, 2, 1, 0]


def test_age_is_that_of_the_first_event_or_of_the_creation(interactions):
    assert ItemExposure.count(interactions, None).ages.tolist() == [10, 2, 0, 0]
    created = pd.DataFrame(
        {"ITEM_ID": ["a", "c", "d"], "CREATION_TIMESTAMP": [-5 * DAY, 3 * DAY, 20 * DAY]}
    )
    items = Metadata.from_frame(created, "ITEM_ID").align(_ids())
    assert ItemExposure.count(interactions, items).ages.tolist() == [15, 2, 7, 0]
