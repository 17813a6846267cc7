"""aws-user-personalization-v2: the contract, and what its transformer reads of a history."""

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.interactions import History, Interactions
from personalens.recipes.user_personalization_v2 import UserPersonalizationV2
from personalens.testing.recipe_contract import RecipeContract
from personalens.training.options import TrainingOptions

QUICK = TrainingOptions(max_epochs=3)


class TestUserPersonalizationV2(RecipeContract):
    recipe = UserPersonalizationV2
    overrides: ClassVar[dict[str, Any]] = {"training": QUICK}
    floor = 0.4


def walk(pages: list[int]) -> History:
    codes = np.array(pages, np.int32)
    return History(codes, 1000 + 30 * np.arange(len(codes), dtype=np.int64))


@pytest.fixture(scope="module")
def ring_models(ring) -> dict[bool, UserPersonalizationV2]:
    return {
        True: UserPersonalizationV2().fit(ring),
        False: UserPersonalizationV2(apply_recency_bias=False, training=QUICK).fit(ring),
    }


def test_order_decides_not_company(ring_models):
    # The same four pages, walked up or down: only the order tells where it goes on.
    up, down = ring_models[True].score([walk([4, 5, 6, 7]), walk([7, 6, 5, 4])])
    assert up.argmax() == 8
    assert up[8] - up[3] > down[8] - down[3]


def test_an_update_of_what_knows_no_metadata_adds_events_alone(ring_models, ring):
    model = ring_models[True]
    pages = pd.DataFrame({"ITEM_ID": [f"p{page:02}" for page in range(26)]})
    later = pd.DataFrame({"USER_ID": "late", "ITEM_ID": ["p03", "p30"], "TIMESTAMP": 10**6})
    updated = model.update(pd.concat([ring, later], ignore_index=True), items=pages)
    assert sorted(updated.items_.ids) == sorted([*model.items_.ids, "p30"])
    assert len(updated.history("late")) == 2
    before, after = (each.score([each.history("u05")])[0] for each in (model, updated))
    kept = after[updated.items_.encode(model.items_.ids)]
    np.testing.assert_allclose(kept, before, rtol=1e-4, atol=1e-4)


def test_new_pages_stand_where_their_colour_puts_them():
    # Readers keep to one of two colours; a new page has a colour and no reader.
    rng = np.random.default_rng(0)
    rows = [
        (f"u{user:02}", f"{('red', 'blue')[user % 2]}-{page}", 1000 * user + 30 * step)
        for user in range(60)
        for step, page in enumerate(rng.permutation(10)[:7])
    ]
    events = pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"])

    def pages(count):
        names = [f"{colour}-{page}" for colour in ("red", "blue") for page in range(count)]
        return pd.DataFrame({"ITEM_ID": names, "COLOUR": [name.split("-")[0] for name in names]})

    model = UserPersonalizationV2(training=QUICK).fit(events, items=pages(10))
    updated = model.update(events, items=pages(13))
    new = updated.items_.encode([f"{colour}-11" for colour in ("red", "blue")])
    red, blue = (updated.score([updated.history(user)])[0][new] for user in ("u00", "u01"))
    assert red.argmax() == 0
    assert blue.argmax() == 1


def test_a_new_event_changes_the_answer_without_training(ring_models):
    before, after = ring_models[True].score([walk([10, 11]), walk([10, 11, 12])])
    assert (before.argmax(), after.argmax()) == (12, 13)


def test_without_recency_bias_what_came_before_the_newest_event_is_a_set(ring_models):
    # All pauses are the same; the first event is told apart, since none comes before it.
    asked = [walk([1, 9, 3, 6, 5]), walk([1, 6, 9, 3, 5]), walk([1, 9, 3, 5, 6])]
    straight, shuffled, other_newest = ring_models[False].score(asked)
    np.testing.assert_allclose(straight, shuffled, atol=1e-5)
    assert not np.allclose(straight, other_newest, atol=1e-2)
    straight, shuffled, _ = ring_models[True].score(asked)
    assert not np.allclose(straight, shuffled, atol=1e-2)


def test_recency_bias_lets_newcomers_see_what_is_popular_now():
    rows = [
        (f"u{user}", item, 1000 * user + step)
        for user in range(160)
        for step, item in enumerate(["old" if user < 110 else "new", f"x{user % 7}", "end"])
    ]
    frame = pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"])
    first = {
        recent: UserPersonalizationV2(apply_recency_bias=recent, training=QUICK)
        .fit(frame)
        .recommend(["newcomer"], k=1)
        .ITEM_ID[0]
        for recent in (True, False)
    }
    assert first == {True: "new", False: "old"}


def test_reading_on_from_a_state_equals_reading_the_whole(ring_models):
    import torch

    from personalens.networks.session_network import Events

    pages = [3, 4, 5, 6, 7]
    for model in ring_models.values():
        rows = model.model_.reader.read([walk(pages)])
        network = model.model_.network
        with torch.inference_mode():
            state = network.start(1)
            for row in zip(rows.items, rows.features, rows.queries, strict=True):
                event = Events(*(torch.from_numpy(np.asarray(part))[None] for part in row))
                state = network.read(state, Events(*(part[None] for part in event)))
            table, bias = network.output()
            scores = (network.decode(state, event) @ table.T + bias)[0].numpy()
        scores[pages] += network.repeat.item()
        np.testing.assert_allclose(scores, model.score([walk(pages)])[0], rtol=1e-4, atol=1e-4)


def test_event_weights_say_what_is_worth_predicting(ring):
    # Between any two pages everybody sees an advertisement, which does not count.
    spots = ring.assign(ITEM_ID="spot", TIMESTAMP=ring.TIMESTAMP + 1)
    events = Interactions.from_frame(pd.concat([ring, spots], ignore_index=True))
    is_page = events.item_codes != events.items.code("spot")
    weighted = replace(events, event_weights=is_page.astype(np.float32))
    past = walk([0, 24, 1, 24, 2])  # page 0, the spot, page 1, the spot, page 2
    model = UserPersonalizationV2().fit(weighted)
    assert model.items_.ids[model.score([past])[0].argmax()] == "p03"


@pytest.fixture(scope="module")
def shelves() -> UserPersonalizationV2:
    """Ninety readers who keep to one of three shelves of eight books, by day on the train and by
    night in bed; on each shelf there are two books more than anybody has read."""
    rng = np.random.default_rng(0)
    names = ("cats", "dogs", "birds")
    rows = [
        (
            f"u{user:02}",
            f"{names[user % 3]}-{book}",
            10**4 * user + step,
            ("train", "bed")[book % 2],
        )
        for user in range(90)
        for step, book in enumerate(rng.permutation(8)[:6])
    ]
    events = pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP", "PLACE"])
    books = [(f"{shelf}-{book}", shelf) for shelf in names for book in range(10)]
    items = pd.DataFrame(books, columns=["ITEM_ID", "SHELF"])
    return UserPersonalizationV2().fit(events, items=items)


def test_items_that_nobody_has_had_are_known_by_their_metadata(shelves):
    assert len(shelves.items_) == 30
    unread = ["cats-8", "dogs-8", "birds-8"]
    first = [shelves.rank(f"u{user:02}", unread).ITEM_ID[0] for user in range(90)]
    right = [item == unread[user % 3] for user, item in enumerate(first)]
    assert np.mean(right) > 0.9


def test_the_context_of_the_request_decides(shelves):
    even = np.array([int(item[-1]) % 2 == 0 for item in shelves.items_.ids])
    read = np.array([int(item[-1]) < 8 for item in shelves.items_.ids])
    share = {}
    for place in ("train", "bed"):
        history = replace(shelves.history("somebody new"), context={"PLACE": place})
        scores = shelves.score([history])[0].astype(np.float64)
        shares = np.exp(scores - scores.max()) * read
        share[place] = shares[even].sum() / shares.sum()
    assert share["train"] > 0.7
    assert share["bed"] < 0.3


def test_importing_the_recipe_does_not_load_torch():
    import subprocess
    import sys

    code = "import sys, personalens.recipes.personalized_ranking; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
