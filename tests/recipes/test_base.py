"""What the base does for every recipe, on a recipe small enough to see through."""

import json

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from personalens.datasets.interactions import Interactions
from personalens.progress import ProgressEvent
from personalens.recipes import ranked_table
from personalens.recipes.base import Recipe, RecipeConfig, hyperparameter
from personalens.recipes.saved_models import map_safetensors
from personalens.recipes.training_tables import newest_events


class LastItemsConfig(RecipeConfig):
    depth: int = hyperparameter(3, "Items that count.", ge=1, le=9)


class LastItems(Recipe):
    """Scores an item by how late it stands in the history; unseen items by their code."""

    name = "test-last-items"
    recipe_type = "USER_PERSONALIZATION"
    Config = LastItemsConfig

    def _fit(self, interactions, items, users, progress, refit):
        progress(ProgressEvent("looking", 1.0))
        self.training_log_.append({"epoch": 1})
        self.weights = np.arange(len(interactions.items), dtype=np.float32) / -100

    def _score(self, histories):
        scores = np.tile(self.weights, (len(histories), 1))
        for row, past in enumerate(histories):
            recent = past.item_codes[-self.config.depth :]
            scores[row, recent] = np.arange(1, len(recent) + 1)
        return scores

    def _tensors(self):
        return {"weights": self.weights}

    def _restore(self, tensors):
        self.weights = tensors["weights"]


class OtherRecipe(LastItems):
    name = "test-other"


EVENTS = pd.DataFrame(
    {
        "USER_ID": ["1", "1", "1", "2", "2"],
        "ITEM_ID": ["a", "b", "c", "d", "a"],
        "TIMESTAMP": [1, 2, 3, 4, 5],
        "EVENT_TYPE": ["view", None, "buy", "view", "view"],
        "EVENT_VALUE": [1.0, 2.0, np.nan, 4.0, 5.0],
    }
)


@pytest.fixture
def model():
    return LastItems().fit(EVENTS)


def test_recommend_by_hand(model):
    table = model.recommend(["1", "2", "stranger"], k=2)
    assert table.USER_ID.tolist() == ["1", "1", "2", "2", "stranger", "stranger"]
    assert table.ITEM_ID.tolist() == ["c", "b", "a", "d", "a", "b"]
    assert table.SCORE.tolist() == pytest.approx([3, 2, 2, 1, 0, -0.01])
    assert table.RANK.tolist() == [1, 2] * 3


def test_lists_may_differ_in_length(model):
    table = model.recommend(["1", "2"], k=9, exclude_seen=True)
    assert table.USER_ID.tolist() == ["1", "2", "2"]
    assert table.ITEM_ID.tolist() == ["d", "b", "c"]
    assert table.RANK.tolist() == [1, 1, 2]


def test_many_users_are_scored_in_batches(model, monkeypatch):
    users = ["1", "2", "x"] * 3
    whole = model.recommend(users, k=3)
    monkeypatch.setattr(ranked_table, "_SCORES_AT_ONCE", 8)  # two users of four items
    pd.testing.assert_frame_equal(model.recommend(users, k=3), whole)


def test_no_users_no_rows(model):
    table = model.recommend([])
    assert len(table) == 0
    assert list(table.columns) == ["USER_ID", "ITEM_ID", "SCORE", "RANK"]


def test_rank_by_hand(model):
    table = model.rank("1", ["zzz", "b", "d", "c", "b", "yyy"])
    assert table.ITEM_ID.tolist() == ["c", "b", "d", "zzz", "yyy"]
    assert table.SCORE[:3].tolist() == pytest.approx([3, 2, -0.03])
    assert table.SCORE[3:].isna().all()
    assert table.RANK.tolist() == [1, 2, 3, 4, 5]
    assert len(model.rank("1", [])) == 0


@pytest.mark.parametrize("k", [0, -3])
def test_an_empty_list_cannot_be_asked_for(model, k):
    with pytest.raises(ValueError, match=f"k is {k}"):
        model.recommend(["1"], k=k)


def test_identifiers_may_be_numbers(model):
    assert model.recommend([1, 2], k=1).ITEM_ID.tolist() == ["c", "a"]


class TestConfig:
    def test_hyperparameters_come_as_strings_too(self):
        assert LastItems(depth="2").config == LastItemsConfig(depth=2)

    def test_a_config_or_its_fields_not_both(self):
        with pytest.raises(TypeError, match="not both"):
            LastItems(LastItemsConfig(), depth=2)

    def test_unknown_keys_are_answered_with_the_allowed(self):
        with pytest.raises(ValueError, match="unknown hyperparameter 'deepness'; allowed: depth"):
            LastItems(deepness=2)


class TestFit:
    def test_only_what_occurs_is_in_the_vocabulary(self):
        some = Interactions.from_frame(EVENTS).select(np.array([True, True, False, False, False]))
        assert LastItems().fit(some).items_.ids.tolist() == ["a", "b"]

    def test_a_failure_leaves_an_untrained_model(self):
        class Failing(LastItems):
            def _fit(self, *arguments):
                super()._fit(*arguments)
                raise ArithmeticError("diverged")

        model = Failing()
        with pytest.raises(ArithmeticError):
            model.fit(EVENTS)
        assert (model.items_, model.interactions_, model.training_log_) == (None, None, [])
        with pytest.raises(RuntimeError, match="test-last-items model has not been trained"):
            model.score([])

    def test_a_second_fit_starts_afresh(self, model):
        model.fit(EVENTS)
        assert model.training_log_ == [{"epoch": 1}]

    def test_a_wrong_shape_is_blamed_on_the_recipe(self, model):
        model.weights = model.weights[:2]
        with pytest.raises(ValueError, match=r"LastItems scored \(1, 2\), expected \(1, 4\)"):
            model.score([model.history("stranger")])

    def test_what_a_recipe_cannot_do_is_said(self, model):
        with pytest.raises(NotImplementedError, match="does not score related items"):
            model.similar(["a"])


class TestHistories:
    def test_history_is_oldest_first_and_complete(self, model):
        history = model.history("1")
        assert model.items_.decode(history.item_codes).tolist() == ["a", "b", "c"]
        assert history.event_types[[0, 2]].tolist() == ["view", "buy"]
        assert pd.isna(history.event_types[1])
        assert history.timestamps.tolist() == [1, 2, 3]

    def test_only_the_newest_events_are_kept_for_later(self):
        class Forgetful(LastItems):
            history_limit = 2

        model = Forgetful().fit(EVENTS)
        assert model.items_.decode(model.history("1").item_codes).tolist() == ["b", "c"]
        assert len(model.items_) == 4  # but all were learned from

    def test_newest_events_by_hand(self):
        events = Interactions.from_frame(EVENTS)
        assert newest_events(events, 3) is events
        newest = newest_events(events, 1)
        assert newest.items.decode(newest.item_codes).tolist() == ["c", "a"]
        assert newest.event_types.tolist() == ["buy", "view"]


class TestFiles:
    def test_everything_comes_back(self, model, tmp_path):
        model.save(tmp_path / "m")
        loaded = LastItems.load(tmp_path / "m")
        history = loaded.history("1")
        assert history.event_types.tolist() == ["view", None, "buy"]
        assert np.array_equal(history.event_values, [1, 2, np.nan], equal_nan=True)
        pd.testing.assert_frame_equal(
            loaded.recommend(["1", "2", "x"], k=3), model.recommend(["1", "2", "x"], k=3)
        )

    def test_optional_columns_may_be_absent(self, tmp_path):
        bare = LastItems().fit(EVENTS[["USER_ID", "ITEM_ID", "TIMESTAMP"]])
        bare.save(tmp_path / "m")
        history = LastItems.load(tmp_path / "m").history("1")
        assert (history.event_types, history.event_values) == (None, None)

    def test_weights_are_mapped_and_the_file_cannot_be_changed_through_them(self, model, tmp_path):
        model.save(tmp_path / "m")
        path = tmp_path / "m" / "weights.safetensors"
        before = path.read_bytes()
        loaded = LastItems.load(tmp_path / "m")
        assert not loaded.weights.flags.owndata
        loaded.weights[0] = 99.0  # torch needs writable memory; the page is copied
        assert path.read_bytes() == before
        assert LastItems.load(tmp_path / "m").weights[0] == 0.0

    def test_every_type_of_array_is_mapped_as_written(self, tmp_path):
        arrays = {
            name: np.arange(6).reshape(2, 3).astype(name)
            for name in ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?")
        }
        arrays |= {"empty": np.zeros((0, 4), np.float32), "scalar": np.full((), 3.5, np.float32)}
        save_file(arrays, tmp_path / "x.safetensors")
        mapped = map_safetensors(tmp_path / "x.safetensors")
        assert set(mapped) == set(arrays)
        for name, array in arrays.items():
            assert mapped[name].dtype == array.dtype
            assert mapped[name].shape == array.shape
            assert np.array_equal(mapped[name], array)

    def test_an_existing_folder_is_not_overwritten(self, model, tmp_path):
        with pytest.raises(FileExistsError, match="choose another folder"):
            model.save(tmp_path)

    def test_another_recipes_model_is_refused(self, model, tmp_path):
        model.save(tmp_path / "m")
        with pytest.raises(ValueError, match="holds a test-last-items model, not test-other"):
            OtherRecipe.load(tmp_path / "m")

    def test_a_folder_without_a_model_is_named(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"no model in .*config\.json is missing"):
            LastItems.load(tmp_path)

    def test_a_future_format_is_refused(self, model, tmp_path):
        model.save(tmp_path / "m")
        config = tmp_path / "m" / "config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), "format_version": 99}))
        with pytest.raises(ValueError, match="has the format 99"):
            LastItems.load(tmp_path / "m")


class Listener(LastItems):
    """Keeps what it was given, to be looked at."""

    name = "test-listener"
    has_cold_items = keeps_context = keeps_users = True

    def _fit(self, interactions, items, users, progress, refit):
        super()._fit(interactions, items, users, progress, refit)
        self.heard = interactions, items, users


FILMS = pd.DataFrame({"ITEM_ID": ["c", "0", "a"], "YEAR": [2003, 2000, 2001]})
PEOPLE = pd.DataFrame({"USER_ID": ["2", "9"], "AGE": [20, 90], "CITY": ["Ghent", None]})
IN_CONTEXT = EVENTS.assign(DEVICE=["tv", None, "phone", "tv", "tv"], IMPRESSION="a|b")


def test_metadata_reach_the_recipe_in_the_order_of_its_codes():
    model = Listener().fit(EVENTS, items=FILMS, users=PEOPLE)
    events, items, users = model.heard
    assert events.items.ids.tolist() == items.ids.ids.tolist() == ["0", "a", "b", "c", "d"]
    assert events.items.decode(events.item_codes).tolist() == ["a", "b", "c", "d", "a"]
    np.testing.assert_array_equal(items.fields["YEAR"].values, [2000, 2001, np.nan, 2003, np.nan])
    assert users.ids.ids.tolist() == ["1", "2"]
    np.testing.assert_array_equal(users.fields["AGE"].values, [np.nan, 20])


def test_cold_items_stay_out_of_recipes_that_do_not_take_them():
    assert "0" not in LastItems().fit(EVENTS, items=FILMS).items_


def test_a_history_knows_its_user_and_its_circumstances(tmp_path):
    model = Listener().fit(IN_CONTEXT, users=PEOPLE)
    model.save(tmp_path / "model")
    for each in (model, Listener.load(tmp_path / "model")):
        assert list(each.history("1").event_context) == ["DEVICE"]
        devices = pd.Series(each.history("1").event_context["DEVICE"])
        assert devices.fillna("none").tolist() == ["tv", "none", "phone"]
        assert each.history("2").user == {"AGE": 20.0, "CITY": "Ghent"}
        assert each.history("9").user == {"AGE": 90.0}
        assert each.history("nobody").user == {}
        assert len(each.history("9")) == 0


def test_a_recipe_that_does_not_ask_keeps_neither(tmp_path):
    model = LastItems().fit(IN_CONTEXT, users=PEOPLE)
    assert model.history("2").user == {}
    assert model.history("2").event_context == {}


def test_a_fit_and_a_refit_are_one_after_the_other_unless_a_recipe_knows_better():
    rows = [(user, item, n) for n, (user, item) in enumerate(["ua", "ub", "va", "vc"])]
    events = pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"])
    reports = []
    part = LastItems(depth=2)
    whole = part.fit_and_refit(events[:2], events, progress=reports.append)
    assert part.items_.ids.tolist() == ["a", "b"]
    assert whole.items_.ids.tolist() == ["a", "b", "c"]
    assert whole.config == part.config
    assert [(report.stage, report.fraction) for report in reports] == [
        ("training without the hold-out", 0.5),
        ("training on all data", 1.0),
    ]
