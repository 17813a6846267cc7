"""aws-hrnn: the contract of all recipes, and what is its own."""

from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch

from personalens.datasets.interactions import History
from personalens.progress import Cancelled
from personalens.recipes.hrnn import HRNN
from personalens.testing.recipe_contract import RecipeContract
from personalens.testing.tiny_world import same_scores, tiny_world
from personalens.training.options import TrainingOptions

QUICK = TrainingOptions(max_epochs=2)


class TestHRNN(RecipeContract):
    recipe = HRNN
    overrides: ClassVar[dict[str, Any]] = {"hidden_dimension": 32}
    floor = 0.5


def walk(pages: list[int], repeats: bool = False) -> History:
    codes = np.array(pages, np.int32)
    return History(codes, 1000 + np.arange(len(codes), dtype=np.int64))


@pytest.fixture(scope="module")
def ring_model(ring) -> HRNN:
    return HRNN().fit(ring)


def test_order_decides_not_company(ring_model):
    # The same four pages, walked up or down: only the order tells where it goes on.
    up, down = ring_model.score([walk([4, 5, 6, 7]), walk([7, 6, 5, 4])])
    assert up.argmax() == 8
    assert up[8] - up[3] > down[8] - down[3]


def test_a_new_event_changes_the_answer_without_training(ring_model):
    before, after = ring_model.score([walk([10, 11]), walk([10, 11, 12])])
    assert (before.argmax(), after.argmax()) == (12, 13)


def test_where_nobody_comes_back_the_seen_are_not_recommended():
    # Two shelves of sixteen books; each reader takes ten of one shelf, in any order.
    rng = np.random.default_rng(0)
    rows = [
        (f"u{user:02}", f"{'ab'[user % 2]}{book:02}", step)
        for user in range(80)
        for step, book in enumerate(rng.permutation(16)[:10])
    ]
    frame = pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"])
    best = HRNN().fit(frame).recommend([f"u{user:02}" for user in range(80)], k=6)
    seen = frame.groupby("USER_ID").ITEM_ID.agg(set)
    again = [row.ITEM_ID in seen[row.USER_ID] for row in best.itertuples()]
    own_shelf = [row.ITEM_ID[0] == "ab"[int(row.USER_ID[1:]) % 2] for row in best.itertuples()]
    assert np.mean(again) < 0.1
    assert np.mean(own_shelf) > 0.9


def test_where_people_come_back_the_seen_are_recommended():
    rng = np.random.default_rng(0)
    habits = [rng.permutation(30)[:3] for _ in range(60)]
    rows = [
        (f"u{user:02}", f"i{rng.choice(habit):02}", step)
        for user, habit in enumerate(habits)
        for step in range(20)
    ]
    frame = pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"])
    model = HRNN().fit(frame)
    best = model.recommend([f"u{user:02}" for user in range(60)], k=3)
    seen = frame.groupby("USER_ID").ITEM_ID.agg(set)
    again = [row.ITEM_ID in seen[row.USER_ID] for row in best.itertuples()]
    assert np.mean(again) > 0.8


def test_newcomers_get_what_others_began_with():
    # Everybody begins with one of two pages, then moves among the others, which are more popular.
    rng = np.random.default_rng(0)
    rows = [
        (f"u{user}", item, 10 * user + step)
        for user in range(80)
        for step, item in enumerate([f"door-{user % 2}", *rng.permutation(list("abcd"))[:3]])
    ]
    model = HRNN().fit(pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"]))
    assert set(model.recommend(["newcomer"], k=2).ITEM_ID) == {"door-0", "door-1"}


def test_recency_mask_lets_newcomers_see_what_is_popular_now():
    rows = [
        (f"u{user}", item, 1000 * user + step)
        for user in range(160)
        for step, item in enumerate(["old" if user < 110 else "new", f"x{user % 7}", "end"])
    ]
    frame = pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"])
    first = {
        recent: HRNN(recency_mask=recent).fit(frame).recommend(["newcomer"], k=1).ITEM_ID[0]
        for recent in (True, False)
    }
    assert first == {True: "new", False: "old"}


@pytest.mark.parametrize("recent", [True, False])
def test_recency_mask_decides_whether_the_newest_event_weighs_most(ring, recent):
    model = HRNN(recency_mask=recent, training=QUICK).fit(ring)
    with torch.inference_mode():
        of_events = model.model_.network.encoder.means(torch.eye(3)[:, None])[-1, 0]
    oldest, _, newest = of_events.tolist()
    assert newest > 1.5 * oldest if recent else newest == pytest.approx(oldest, rel=1e-5)


def test_pauses_between_events_count_and_dates_do_not(ring_model):
    past = walk([1, 2, 3])
    later = History(past.item_codes, past.timestamps + 10**6)
    slower = History(past.item_codes, past.timestamps * 1000)
    own, of_later, of_slower = ring_model.score([past, later, slower])
    assert same_scores(own, of_later)
    assert not same_scores(own, of_slower)


def test_the_hold_out_fit_and_the_refit_are_the_two_halves_of_a_fit(ring):
    options = TrainingOptions(max_epochs=4, patience=1)
    searched = HRNN(training=options).fit(ring, refit=False)
    refitted, both = searched.refit(ring), HRNN(training=options).fit(ring)
    assert searched.best_epochs_ == refitted.best_epochs_ == both.best_epochs_
    assert len(refitted.training_log_) == refitted.best_epochs_
    histories = [walk([1, 2]), History.empty()]
    assert same_scores(refitted.score(histories), both.score(histories))
    assert not same_scores(searched.score(histories), both.score(histories))


def test_fit_and_refit_side_by_side_is_one_after_the_other(ring):
    part = ring[ring.USER_ID < "u40"]
    first = HRNN(training=QUICK).fit(part, refit=False)
    then = first.refit(ring)
    leader = HRNN(training=QUICK)
    final = leader.fit_and_refit(part, ring)
    histories = [walk([1, 2]), History.empty()]
    assert same_scores(leader.score(histories), first.score(histories))
    assert same_scores(final.score(histories), then.score(histories))
    assert final.best_epochs_ == first.best_epochs_
    assert final.history("u59").item_codes.tolist() == then.history("u59").item_codes.tolist()
    assert len(leader.history("u59")) == 0


def test_cancelling_a_fit_with_refit_leaves_both_untrained(ring):
    def stop(event):
        raise Cancelled("stop")

    leader = HRNN(training=QUICK)
    with pytest.raises(Cancelled):
        leader.fit_and_refit(ring, ring, progress=stop)
    assert leader.items_ is None


def test_the_log_has_a_line_for_each_epoch(ring_model):
    log = ring_model.training_log_
    assert [entry["epoch"] for entry in log] == list(range(1, len(log) + 1))
    assert all({"loss", "ndcg_at_10", "seconds"} <= set(entry) for entry in log)
    assert log[-1]["loss"] < log[0]["loss"]
    best = max(entry["ndcg_at_10"] for entry in log)
    assert log[ring_model.best_epochs_ - 1]["ndcg_at_10"] == best


def test_a_second_fit_searches_anew(ring):
    model = HRNN(training=QUICK).fit(ring)
    model.fit(ring.head(200))
    assert all("ndcg_at_10" in entry for entry in model.training_log_)


def test_reading_on_from_a_state_equals_reading_the_whole(ring_model):
    import torch

    from personalens.networks.session_network import Events

    pages = [3, 4, 5, 6, 7]
    rows = ring_model.model_.reader.read([walk(pages)])
    network, nothing = ring_model.model_.network, torch.zeros(1, 0, dtype=torch.long)
    with torch.inference_mode():
        state = network.start(1)
        for item, features in zip(rows.items, rows.features, strict=True):
            event = Events(torch.tensor([item]), torch.from_numpy(features)[None], nothing)
            state = network.read(state, Events(*(part[None] for part in event)))
        table, bias = network.output()
        scores = (network.decode(state, event) @ table.T + bias)[0].numpy()
    scores[pages] += network.repeat.item()
    np.testing.assert_allclose(scores, ring_model.score([walk(pages)])[0], rtol=1e-4, atol=1e-4)


def test_users_outside_the_percentiles_do_not_train(ring):
    robot = pd.DataFrame(
        {"USER_ID": "robot", "ITEM_ID": "junk", "TIMESTAMP": range(5000)}, index=range(5000)
    )
    model = HRNN(max_user_history_length_percentile=0.9, training=QUICK).fit(
        pd.concat([ring, robot], ignore_index=True)
    )
    assert model.recommend(["somebody"], k=25).ITEM_ID.iloc[-1] == "junk"
    assert len(model.history("robot")) > 0


def test_percentiles_must_be_in_order():
    with pytest.raises(ValueError, match=r"0\.9 is above max_user_history_length_percentile 0\.5"):
        HRNN(min_user_history_length_percentile=0.9, max_user_history_length_percentile=0.5)


def test_a_large_catalogue_trains_on_candidates(monkeypatch):
    monkeypatch.setattr("personalens.recipes.session_model.FULL_SOFTMAX_ITEMS", 10)
    monkeypatch.setattr("personalens.recipes.session_model.CERTAIN_CANDIDATES", 4)
    world = tiny_world()
    model = HRNN().fit(world.interactions)
    best = model.recommend(list(world.next_item), k=3)
    hits = [world.next_item[row.USER_ID] == row.ITEM_ID for row in best.itertuples()]
    assert sum(hits) / len(world.next_item) > 0.7


def test_the_options_come_from_the_environment_unless_given(monkeypatch):
    monkeypatch.setenv("PERSONALENS_TRAINING_MAX_EPOCHS", "1")
    assert HRNN().training.max_epochs == 1
    assert HRNN(training=QUICK).training.max_epochs == 2


def test_importing_the_recipe_does_not_load_torch():
    import subprocess
    import sys

    code = "import sys, personalens.recipes.hrnn; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_events_without_weight_are_read_but_not_learned(ring):
    from dataclasses import replace

    from personalens.datasets.interactions import Interactions

    # Between any two pages everybody sees an advertisement, which does not count.
    spots = ring.assign(ITEM_ID="spot", TIMESTAMP=ring.TIMESTAMP + 1)
    events = Interactions.from_frame(pd.concat([ring, spots], ignore_index=True))
    is_page = events.item_codes != events.items.code("spot")
    pages_only = replace(events, event_weights=is_page.astype(np.float32))
    best = {}
    for name, data in (("all", events), ("pages", pages_only)):
        model = HRNN().fit(data)
        history = model.history("u00")
        upto = int(np.flatnonzero(history.item_codes != model.items_.code("spot"))[5]) + 1
        past = History(history.item_codes[:upto], history.timestamps[:upto])
        scores = model.score([past])[0]
        best[name] = (
            model.items_.ids[scores.argmax()],
            model.items_.ids[history.item_codes[upto + 1]],
        )
    assert best["all"][0] == "spot"
    assert best["pages"][0] == best["pages"][1]
