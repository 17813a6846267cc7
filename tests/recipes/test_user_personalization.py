"""aws-user-personalization: the contract, items that nobody has had, exploration, UPDATE."""

from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.interactions import Interactions
from personalens.datasets.metadata import Metadata
from personalens.progress import Cancelled
from personalens.recipes.user_personalization import CHOICES, UserPersonalization
from personalens.testing.recipe_contract import RecipeContract
from personalens.testing.tiny_world import same_scores
from personalens.training.options import TrainingOptions


class TestUserPersonalization(RecipeContract):
    recipe = UserPersonalization
    overrides: ClassVar[dict[str, Any]] = {
        "hidden_dimension": 32,
        "training": TrainingOptions(max_epochs=3),
    }
    floor = 0.5


SHELVES = ("cats", "dogs", "birds")


@pytest.fixture(scope="module")
def events() -> pd.DataFrame:
    """Ninety readers who keep to one of three shelves of eight books."""
    rng = np.random.default_rng(0)
    rows = [
        (f"u{user:02}", f"{SHELVES[user % 3]}-{book}", 1000 * user + step)
        for user in range(90)
        for step, book in enumerate(rng.permutation(8)[:6])
    ]
    return pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"])


def books(numbers: range) -> pd.DataFrame:
    rows = [(f"{shelf}-{book}", shelf) for shelf in SHELVES for book in numbers]
    return pd.DataFrame(rows, columns=["ITEM_ID", "SHELF"])


@pytest.fixture(scope="module")
def model(events) -> UserPersonalization:
    """On each shelf there are two books more than anybody has read."""
    return UserPersonalization().fit(events, items=books(range(10)))


def own_shelf_first(model: UserPersonalization, new: int) -> float:
    """How often a reader's shelf comes first among books that nobody has read."""
    ranked = [
        model.rank(f"u{user:02}", [f"{shelf}-{new}" for shelf in SHELVES]).ITEM_ID[0]
        for user in range(90)
    ]
    return np.mean([item.startswith(SHELVES[user % 3]) for user, item in enumerate(ranked)])


def test_books_that_nobody_has_read_are_known_by_their_shelf(model):
    assert len(model.items_) == 30
    assert own_shelf_first(model, 8) == own_shelf_first(model, 9) > 0.95
    table, bias = (part.numpy() for part in model.model_.network.output())
    first, second = model.items_.encode(["cats-8", "cats-9"])
    assert np.array_equal(table[first], table[second])
    assert bias[first] == bias[second]


def test_exploration_brings_what_nobody_knows_among_the_best(model):
    history = model.history("u00")
    scores = model.score([history])[0]
    rng = np.random.default_rng(0)
    settings = {"cutoff_days": 30.0, "rng": rng}
    explored = model.explore(scores, history, weight=1.0, **settings)
    places = [model.items_.ids[np.argsort(-each)].tolist() for each in (scores, explored)]
    before, after = ([place.index(f"cats-{new}") for new in (8, 9)] for place in places)
    assert max(after) <= 2 < max(before)
    same = model.explore(scores, history, weight=0.0, **settings)
    assert same_scores(same, scores)


def test_an_update_adds_items_and_events_and_leaves_the_network(model, events):
    later = pd.DataFrame({"USER_ID": "late", "ITEM_ID": ["dogs-1", "dogs-10"], "TIMESTAMP": 10**6})
    reports = []
    updated = model.update(
        pd.concat([events, later], ignore_index=True),
        items=books(range(12)),
        progress=reports.append,
    )
    assert len(updated.items_) == 36
    assert "cats-10" not in model.items_
    assert own_shelf_first(updated, 11) > 0.95
    for user in ("u05", "nobody"):
        before = model.model_.score([model.history(user)])[0]
        after = updated.model_.score([updated.history(user)])[0]
        after = after[updated.items_.encode(model.items_.ids)]
        np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)
    assert len(updated.history("late")) == 2
    assert updated.exposure_.exposures[updated.items_.code("dogs-10")] == 1
    assert reports[-1].fraction == 1.0


def test_an_updated_model_can_be_saved_and_updated_again(model, events, tmp_path):
    updated = model.update(events, items=books(range(12)))
    updated.save(tmp_path / "model")
    loaded = UserPersonalization.load(tmp_path / "model")
    history = updated.history("u07")
    assert same_scores(loaded.score([history]), updated.score([history]))
    assert np.array_equal(loaded.exposure_.ages, updated.exposure_.ages)
    again = loaded.update(events, items=books(range(13)))
    assert len(again.items_) == 39


def test_a_recount_changes_exposure_and_nothing_else(model, events):
    updated, shelves = model.update(events, items=books(range(12))), books(range(12))
    later = pd.DataFrame({"USER_ID": "late", "ITEM_ID": ["dogs-1", "dogs-10"], "TIMESTAMP": 10**6})
    more = Interactions.from_frame(pd.concat([events, later], ignore_index=True))
    before, scores = updated.exposure_.exposures, updated.score([updated.history("u07")])
    updated.recount(more, Metadata.from_frame(shelves, "ITEM_ID"))
    gained = updated.exposure_.exposures - before
    assert sorted(updated.items_.ids[gained == 1]) == ["dogs-1", "dogs-10"]
    assert gained.sum() == 2
    assert len(updated.history("late")) == 0
    assert same_scores(updated.score([updated.history("u07")]), scores)
    with pytest.raises(ValueError, match="all items that the model knows"):
        updated.recount(more, Metadata.from_frame(books(range(3)), "ITEM_ID"))


def test_an_update_without_an_items_table_keeps_what_is_known(model, events):
    updated = model.update(events)
    history = model.history("u07")
    kept = updated.model_.score([updated.history("u07")])[0]
    before = model.model_.score([history])[0][model.items_.encode(updated.items_.ids)]
    np.testing.assert_allclose(kept, before, rtol=1e-4, atol=1e-5)


def test_an_update_can_be_cancelled(model, events):
    def stop(event):
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        model.update(events, items=books(range(12)), progress=stop)


def test_new_items_do_not_learn_that_they_are_unwanted(events):
    # A shelf of which nobody has read a book, beside twenty copies of a known one.
    items = pd.concat([books(range(8)), books(range(8, 28))], ignore_index=True)
    model = UserPersonalization().fit(events, items=items)
    ranked = model.recommend(["u00"], k=len(model.items_))
    place = ranked.set_index("ITEM_ID").RANK
    assert place["cats-27"] < place["birds-7"]


def test_new_books_stand_where_their_shelf_puts_them_whatever_the_other_network_says(model):
    network, history = model.model_.network, model.history("u00")
    assert network.is_known.sum() == 24
    new = ~network.is_known.numpy()
    share, found = float(network.share), []
    for beside in (0.0, 0.5):
        network.share.fill_(beside)
        scores = model.model_.score([history])[0]
        found.append(scores[new] - np.logaddexp.reduce(scores[~new]))
    network.share.fill_(share)
    np.testing.assert_allclose(*found, rtol=1e-4)


def test_an_update_keeps_both_networks_and_what_they_have_met(model, events):
    updated = model.update(events, items=books(range(12)))
    before, after = model.model_.network, updated.model_.network
    assert float(after.share) == float(before.share)
    old = updated.items_.encode(model.items_.ids)
    assert np.array_equal(after.is_known[old], before.is_known)
    assert not after.is_known[updated.items_.encode(["cats-10", "cats-11"])].any()
    table, known = after.beside.items.own.weight, before.beside.items.own.weight
    assert np.array_equal(table[old].detach(), known[:-1].detach())
    assert np.array_equal(table[-1].detach(), known[-1].detach())


def test_the_usual_shares_come_first():
    assert CHOICES[0] == (0.25, (0.05, 0.0))
    assert len(set(CHOICES)) == 48
    assert CHOICES[-1][1] == (0.2, 0.2)


def test_how_much_each_model_counts_is_found_and_taken_over():
    # Whoever had a thing gets its twin, at any later time: what pairs tell and sequences blur.
    def choice(model: UserPersonalization) -> tuple[float, tuple[float, ...]]:
        return float(model.model_.network.share), model.wide_.shares

    rng = np.random.default_rng(0)
    rows = []
    for user in range(150):
        items = [f"{side}{number}" for number in rng.permutation(20)[:4] for side in "ab"]
        rows += [(f"u{user}", item, 100 * user + step) for step, item in enumerate(items)]
    frame = pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"])
    options = TrainingOptions(max_epochs=2)
    searched = UserPersonalization(training=options).fit(frame, refit=False)
    refitted = searched.refit(frame)
    assert choice(searched) in CHOICES
    assert choice(refitted) == choice(searched)
    leader = UserPersonalization(training=options)
    beside = leader.fit_and_refit(frame, frame)
    assert choice(beside) == choice(leader) == choice(searched)
    history = refitted.history("u3")
    assert same_scores(beside.score([history]), refitted.score([history]))
