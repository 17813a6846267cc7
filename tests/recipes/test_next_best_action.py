from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.interactions import Interactions
from personalens.recipes.next_best_action import DAY, NextBestAction, UserBehaviour, offers_of
from personalens.testing.contracts_by_type import ActionContract


class TestNextBestAction(ActionContract):
    recipe = NextBestAction
    floor = 0.65  # 1 is out of reach: half of the cases of one action are chance


def events(*rows):
    return pd.DataFrame(rows, columns=["USER_ID", "ACTION_ID", "EVENT_TYPE", "TIMESTAMP"])


def outcomes(action, taken, other, day=0):
    """So many users who took the action, and so many who did not, each offered it once."""
    rows = [(f"{action}-{n}", action, "Taken", day * DAY) for n in range(taken)]
    rows += [(f"{action}-{taken + n}", action, "Viewed", day * DAY) for n in range(other)]
    return events(*rows)


def scores(model, user="stranger"):
    return dict(zip(model.items_.ids, model.score([model.history(user)])[0], strict=True))


def test_propensities_by_hand():
    # Nothing tells the users apart, so the probability is the share that took the action.
    table = pd.concat(
        [outcomes("join", 60, 140), outcomes("app", 90, 60), outcomes("card", 49, 80)]
    )
    found = scores(NextBestAction().fit(table))
    assert found["join"] == pytest.approx(60 / 200, abs=1e-3)
    assert found["app"] == pytest.approx(90 / 150, abs=1e-3)
    assert found["card"] == 0.0  # one Taken short of fifty
    assert NextBestAction().fit(table).recommend(["x"])["ACTION_ID"].tolist() == [
        "app",
        "join",
        "card",
    ]


def test_only_the_last_six_weeks_give_a_score():
    old = outcomes("join", 60, 140)
    assert scores(NextBestAction().fit(pd.concat([old, outcomes("app", 1, 0, day=42)])))["join"] > 0
    late = pd.concat([old, outcomes("app", 1, 0, day=43)])
    assert scores(NextBestAction().fit(late))["join"] == 0.0


def test_an_offer_is_what_happens_within_the_period():
    table = events(
        ("u", "join", "Viewed", 0),
        ("u", "join", "Taken", 14 * DAY),  # in time
        ("u", "join", "Viewed", 15 * DAY),  # a new offer
        ("u", "join", "TAKEN", 30 * DAY),  # too late for that one, and an offer of its own
        ("u", "app", "Not Taken", 31 * DAY),
    ).rename(columns={"ACTION_ID": "ITEM_ID"})
    interactions = Interactions.from_frame(table)
    offers = offers_of(interactions, 14 * DAY)
    assert interactions.items.decode(offers.actions).tolist() == ["join", "join", "join", "app"]
    assert (offers.starts // DAY).tolist() == [0, 15, 30, 31]
    assert offers.taken.tolist() == [True, False, True, False]
    # Before each: this action taken, not taken; all actions taken, not taken.
    counts = np.expm1(offers.past).round().astype(int).tolist()
    assert counts == [[0, 0, 0, 0], [1, 1, 1, 1], [1, 2, 1, 2], [0, 0, 2, 2]]
    longer = offers_of(interactions, 28 * DAY)
    assert longer.taken.tolist() == [True, True, False]


def test_what_users_do_with_items_tells_who_takes_what():
    rng = np.random.default_rng(1)
    clicks, rows = [], []
    for user in range(300):
        kind = "tea" if user % 2 else "tool"
        clicks += [(f"u{user}", f"{kind}-{n}", 100 + n) for n in rng.permutation(8)[:5]]
        taken = rng.random() < (0.8 if user % 2 else 0.2)
        if user < 240:
            rows.append((f"u{user}", "brew course", "Taken" if taken else "Not Taken", 10 * DAY))
    clicks = pd.DataFrame(clicks, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"])
    behaviour = Interactions.from_frame(clicks)
    model = NextBestAction().fit(events(*rows), behaviour=behaviour).refit(events(*rows))
    fresh = [f"u{user}" for user in range(240, 300)]  # have never been offered anything
    found = model.recommend(fresh).set_index("USER_ID").SCORE
    assert found[fresh[1::2]].mean() == pytest.approx(0.8, abs=0.1)
    assert found[fresh[::2]].mean() == pytest.approx(0.2, abs=0.1)


def test_behaviour_is_what_came_before():
    rows = [("u", "tea", 10), ("u", "pot", 20), ("v", "tool", 15)]
    frame = pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"])
    watched = UserBehaviour(Interactions.from_frame(frame))
    users = np.array(["u", "u", "u", "nobody"], object)
    counts = np.expm1(watched.at(users, np.array([10, 20, 21, 99]))[:, -1])
    assert counts.tolist() == pytest.approx([0, 1, 2, 0])
    np.testing.assert_allclose(watched.at(users)[2], watched.at(users, np.full(4, 21))[2])


def test_actions_that_expired_or_are_not_due_are_left_out():
    table = pd.concat([outcomes("join", 60, 60), outcomes("app", 60, 60), outcomes("card", 60, 60)])
    table = pd.concat([table, events(("u", "join", "Viewed", DAY))])
    offered = pd.DataFrame({"ACTION_ID": ["join", "app", "card"]})
    offered["EXPIRATION_TIMESTAMP"] = [np.nan, 3 * DAY, np.nan]
    offered["REPEAT_FREQUENCY"] = [2, np.nan, np.nan]
    model = NextBestAction().fit(table, items=offered)

    def listed(user, day):
        history = replace(model.history(user), request_time=day * DAY)
        best = model.best_actions(model.score([history])[0], 9)
        return set(model.items_.decode(best))

    assert listed("stranger", 2) == {"join", "app", "card"}
    assert listed("stranger", 3) == {"join", "card"}
    assert listed("u", 2) == {"app", "card"}  # had join a day ago, and it waits for two
    assert listed("u", 3) == {"join", "card"}


def test_equal_propensities_go_by_value():
    table = pd.concat([outcomes("join", 60, 60), outcomes("card", 10, 10), outcomes("app", 9, 1)])
    offered = pd.DataFrame({"ACTION_ID": ["join", "app", "card"], "VALUE": [1, 3, 7]})
    best = NextBestAction().fit(table, items=offered).recommend(["anyone"])
    assert best.ACTION_ID.tolist() == ["join", "card", "app"]
    assert best.SCORE.tolist()[1:] == [0.0, 0.0]


def test_without_action_interactions_it_can_still_be_trained_and_measured():
    offered = pd.DataFrame({"ACTION_ID": ["join", "app"], "VALUE": [1, 2]})
    nothing = Interactions.from_frame(events().rename(columns={"ACTION_ID": "ITEM_ID"}))
    holdout = NextBestAction.hold_out(nothing)
    measured = NextBestAction()
    model = measured.fit_and_refit(holdout.train, nothing, items=offered)
    assert set(measured.measure(holdout).values()) == {0.0}
    assert model.recommend(["anyone"]).ACTION_ID.tolist() == ["app", "join"]
