"""What every recipe promises. A recipe's test class inherits it and says which recipe it is.

Examples
--------
::

    class TestMyRecipe(RecipeContract):
        recipe = MyRecipe
        overrides = {"hidden_dimension": 32}  # quick settings
        floor = 0.2  # NDCG@10 above popularity's on the tiny world

Recipes that relate items inherit :class:`RelatedItemsContract`, those that rank users
:class:`~personalens.testing.contracts_by_type.SegmentContract`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from personalens.datasets.interactions import History
from personalens.evaluation.baselines import Popularity
from personalens.evaluation.holdouts import LeaveOneOut, leave_one_out
from personalens.evaluation.offline_report import NDCG_10, leave_one_out_report
from personalens.progress import Cancelled, ProgressEvent
from personalens.recipes.base import RANK, SCORE, Recipe
from personalens.recipes.hyperparameters import config_strings
from personalens.testing.tiny_world import HIT, TinyWorld, same_scores, tiny_world


@cache
def _trained(contract: type[RecipeContract]) -> tuple[Recipe, list[ProgressEvent]]:
    """Fit once for all tests of a class, which only read: the model, and what it reported."""
    reports: list[ProgressEvent] = []
    return contract().fitted(tiny_world().interactions, progress=reports.append), reports


class RecipeContract:
    """Inherit, set ``recipe``, and these tests run for it."""

    recipe: ClassVar[type[Recipe]]
    overrides: ClassVar[dict[str, Any]] = {}
    """Hyperparameters that make it quick on the tiny world."""
    floor: ClassVar[float] = 0.0
    """How far its NDCG@10 must be above popularity's, in leave-one-out on the tiny world."""
    known: ClassVar[str] = "noir-fan-0"
    unknown: ClassVar[str] = "nobody-has-seen-this"
    """A query, as ``table`` takes them, that the model has learned of, and one that it has not."""
    left_out: ClassVar[int] = 0
    """How many items at most have no score for a query."""

    @pytest.fixture
    def world(self) -> TinyWorld:
        return tiny_world()

    @pytest.fixture
    def model(self) -> Recipe:
        return _trained(type(self))[0]

    @pytest.fixture
    def reports(self) -> list[ProgressEvent]:
        return _trained(type(self))[1]

    def untrained(self, seed: int = 0) -> Recipe:
        return self.recipe(seed=seed, **self.overrides)

    def tables(self) -> dict[str, Any]:
        """Metadata that the recipe is fitted with: ``items``, ``users``."""
        return {}

    def fitted(self, interactions: Any, **options: Any) -> Recipe:
        return self.untrained().fit(interactions, **self.tables(), **options)

    def queries(self, model: Recipe) -> Sequence[Any]:
        """Every kind of query that ``scores`` takes: all users' histories, and an empty one."""
        return [model.history(user) for user in [*tiny_world().next_item, self.unknown]]

    def scores(self, model: Recipe, queries: Sequence[Any]) -> np.ndarray:
        return model.score(queries)

    def all_scores(self, model: Recipe) -> np.ndarray:
        return self.scores(model, self.queries(model))

    def table(self, model: Recipe, query: str, k: int) -> pd.DataFrame:
        return model.recommend([query], k=k)

    # -- scores ------------------------------------------------------------------------------

    def test_scores_are_numbers_for_every_item(self, model):
        scores = self.all_scores(model)
        assert scores.shape[1] == len(model.items_)
        assert not np.isnan(scores).any()
        assert not np.isposinf(scores).any()
        assert np.isneginf(scores).sum(axis=1).max() <= self.left_out

    def test_batch_equals_single(self, model):
        queries = self.queries(model)
        single = [self.scores(model, queries[row : row + 1])[0] for row in range(len(queries))]
        together = self.scores(model, queries)
        np.testing.assert_allclose(together, np.stack(single), rtol=1e-4, atol=1e-5)

    def test_reading_on_equals_reading_the_whole(self, model):
        """A live event need not be read with all that went before it (``Recipe.read``)."""
        past = model.history(model.interactions_.users.ids[0])
        whole, size = model.score([past])[0], len(past)
        assert size >= 3
        for places in ([0], [size // 2], [size - 1], [1, 2, size]):
            reading = None
            for place in [*places, size]:
                reading = model.read(past.select(slice(place)), reading)
            for scores in model.score([replace(past, reading=reading), past]):
                np.testing.assert_allclose(scores, whole, rtol=1e-4, atol=1e-4)
        nobody = History.empty()
        read, unread = model.score([replace(nobody, reading=model.read(nobody)), nobody])
        np.testing.assert_allclose(read, unread, rtol=1e-4, atol=1e-4)

    def test_same_seed_same_model_from_a_table_that_is_left_alone(self, model, world):
        table = world.frame.copy()
        again = self.fitted(table)
        assert same_scores(self.all_scores(again), self.all_scores(model))
        assert again.items_ == model.items_
        pd.testing.assert_frame_equal(table, world.frame)

    def test_nobody_asking_is_no_error(self, model):
        empty = self.scores(model, self.queries(model)[:0])
        assert empty.shape == (0, len(model.items_))

    # -- the unknown -------------------------------------------------------------------------

    def test_unknown_query_gets_a_full_list(self, model):
        table = self.table(model, self.unknown, k=25)
        assert len(table) == table.ITEM_ID.nunique() == 25
        assert set(table.ITEM_ID) <= set(model.items_.ids)

    def test_unknown_user_is_an_empty_history(self, model):
        assert len(model.history(self.unknown)) == 0
        unknown, empty = model.score([model.history(self.unknown), History.empty()])
        assert same_scores(unknown, empty)

    def test_histories_of_several_users_are_theirs(self, model):
        users = [*model.interactions_.users.ids[:3], self.unknown, self.known]
        for user, past in zip(users, model.histories(users), strict=True):
            alone = model.history(user)
            assert np.array_equal(past.item_codes, alone.item_codes)
            assert np.array_equal(past.timestamps, alone.timestamps)
            assert past.user == alone.user

    def test_unknown_items_are_ranked_last_in_their_order(self, model):
        table = model.rank(self.known, ["x", HIT, "y", "noir-03"])
        assert table.ITEM_ID.tolist()[2:] == ["x", "y"]
        assert table[SCORE].isna().tolist() == [False, False, True, True]

    # -- lists -------------------------------------------------------------------------------

    def test_lists_are_sorted_and_numbered(self, model):
        table = self.table(model, self.known, k=10)
        assert table[RANK].tolist() == list(range(1, 11))
        assert table[SCORE].is_monotonic_decreasing
        assert table.ITEM_ID.is_unique

    def test_ranking_a_list_is_a_slice_of_the_full_ranking(self, model):
        full = model.recommend([self.known], k=len(model.items_))
        some = ["western-05", HIT, "noir-03", "space-11", "noir-04", "heist-00"]
        in_order = [item for item in full.ITEM_ID if item in some]
        assert model.rank(self.known, [*some, "noir-03"]).ITEM_ID.tolist() == in_order

    def test_seen_items_can_be_left_out(self, model, world):
        user = next(iter(world.next_item))
        table = model.recommend([user], k=len(model.items_), exclude_seen=True)
        seen = set(world.frame.ITEM_ID[user == world.frame.USER_ID])
        assert len(table) == len(model.items_) - len(seen)
        assert seen.isdisjoint(table.ITEM_ID)

    # -- files -------------------------------------------------------------------------------

    def test_a_loaded_model_answers_the_same(self, model, tmp_path):
        model.save(tmp_path / "model")
        loaded = self.recipe.load(tmp_path / "model")
        assert same_scores(self.all_scores(loaded), self.all_scores(model))
        assert loaded.items_ == model.items_
        assert (loaded.config, loaded.seed) == (model.config, model.seed)
        assert loaded.training_log_ == model.training_log_

    def test_a_saved_model_is_plain_files_and_no_pickle(self, model, tmp_path):
        model.save(tmp_path / "model")
        names = sorted(path.name for path in (tmp_path / "model").iterdir())
        assert names == ["checksums.json", "config.json", "ids.json", "weights.safetensors"]
        assert [path.name for path in tmp_path.iterdir()] == ["model"]

    def test_a_failed_save_leaves_nothing(self, model, tmp_path, monkeypatch):
        def full_disk(*paths: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.replace", full_disk)
        with pytest.raises(OSError, match="No space left"):
            model.save(tmp_path / "model")
        assert list(tmp_path.iterdir()) == []

    def test_histories_survive_saving(self, model, world, tmp_path):
        model.save(tmp_path / "model")
        loaded = self.recipe.load(tmp_path / "model")
        user = next(iter(world.next_item))
        before, after = model.history(user), loaded.history(user)
        events = world.frame[user == world.frame.USER_ID]
        assert model.items_.decode(after.item_codes).tolist() == events.ITEM_ID.tolist()
        assert after.event_types.tolist() == events.EVENT_TYPE.tolist()
        for name in ("item_codes", "timestamps", "event_values", "event_types"):
            assert np.array_equal(getattr(before, name), getattr(after, name))

    def test_a_forgotten_user_is_nobody_and_the_others_stay(self, model, world, tmp_path):
        model.save(tmp_path / "before")
        loaded = self.recipe.load(tmp_path / "before")
        user, other = list(world.next_item)[:2]
        assert loaded.forget_users([user, "never seen"])
        assert not loaded.forget_users([user, "never seen"])
        loaded.save(tmp_path / "after")
        after = self.recipe.load(tmp_path / "after")
        assert len(after.history(user)) == 0
        assert not after.history(user).user
        assert np.array_equal(after.history(other).item_codes, model.history(other).item_codes)
        for path in (tmp_path / "after").iterdir():
            assert f'"{user}"'.encode() not in path.read_bytes()

    # -- training ----------------------------------------------------------------------------

    def test_progress_tells_how_far_it_is(self, reports):
        fractions = [event.fraction for event in reports if event.fraction is not None]
        assert fractions == sorted(fractions)
        assert fractions[0] >= 0
        assert fractions[-1] == pytest.approx(1.0)
        assert all(event.stage for event in reports)

    @pytest.mark.parametrize("moment", ["first", "middle", "last"])
    def test_cancelling_leaves_nothing(self, moment, reports):
        stop_at = {"first": 1, "middle": len(reports) // 2 + 1, "last": len(reports)}[moment]
        model, seen = self.untrained(), []

        def stop(event: ProgressEvent) -> None:
            seen.append(event)
            if len(seen) == stop_at:
                raise Cancelled("stop")

        with pytest.raises(Cancelled):
            model.fit(tiny_world().interactions, **self.tables(), progress=stop)
        assert len(seen) == stop_at
        assert model.items_ is None
        assert model.training_log_ == []
        with pytest.raises(RuntimeError, match="fit"):
            self.table(model, self.known, 1)

    def test_refit_makes_a_new_model(self, model, world):
        before = self.all_scores(model).copy()
        newcomer = pd.DataFrame(
            {"USER_ID": "new", "ITEM_ID": ["film-1", "film-2"], "TIMESTAMP": [1, 2]}
        )
        everything = pd.concat([world.frame, newcomer], ignore_index=True)
        again = model.refit(everything, **self.tables())
        assert again is not model
        assert type(again) is self.recipe
        assert "film-1" in again.items_
        assert "film-1" not in model.items_
        assert again.config == model.config
        assert same_scores(self.all_scores(model), before)

    @pytest.mark.parametrize("events", [1, 2, 3])
    def test_next_to_nothing_is_enough(self, events):
        table = pd.DataFrame(
            {"USER_ID": "u", "ITEM_ID": ["a", "b", "c"][:events], "TIMESTAMP": range(events)}
        )
        model = self.fitted(table)
        items = len(model.items_) if self.recipe.has_cold_items else events
        assert len(self.table(model, self.unknown, 10)) == min(items, 10)

    def test_no_events_are_refused(self):
        empty = pd.DataFrame({"USER_ID": [], "ITEM_ID": [], "TIMESTAMP": []})
        with pytest.raises(ValueError, match="no interactions"):
            self.fitted(empty)

    # -- quality -----------------------------------------------------------------------------

    def test_it_is_as_far_ahead_as_it_claims(self, world):
        split = leave_one_out(world.interactions)
        mine = _ndcg(self.fitted(split.train_and_validation), split)
        popular = _ndcg(Popularity().fit(split.train_and_validation), split)
        assert mine >= popular + self.floor

    def test_it_can_be_measured_as_the_service_does(self, world):
        holdout = self.recipe.hold_out(world.interactions)
        metrics = self.fitted(holdout.train, refit=False).measure(holdout)
        assert len(metrics) == 8
        assert all(0.0 <= value <= 1.0 for value in metrics.values())
        assert metrics["coverage"] > 0

    # -- config ------------------------------------------------------------------------------

    def test_config_survives_strings_and_json(self):
        for config in (self.recipe.Config(), self.untrained().config):
            assert self.recipe.Config(**config_strings(config)) == config
            assert self.recipe.Config(**json.loads(config.model_dump_json())) == config

    def test_values_out_of_range_are_refused(self):
        for name, field in self.recipe.Config.model_fields.items():
            for rule in field.metadata:
                for bound, outside in (("ge", -1), ("le", +1)):
                    if (limit := getattr(rule, bound, None)) is not None:
                        with pytest.raises(ValidationError, match=name):
                            self.recipe.Config(**{name: str(limit + outside)})

    def test_unknown_hyperparameters_are_refused_with_the_allowed_ones(self):
        with pytest.raises(ValidationError, match="'no_such_thing'; allowed: ") as caught:
            self.recipe(no_such_thing="1")
        assert all(name in str(caught.value) for name in self.recipe.Config.model_fields)

    def test_every_hyperparameter_is_described(self):
        for name, field in self.recipe.Config.model_fields.items():
            assert field.description, name
            assert set(field.json_schema_extra) >= {"tunable", "group"}, name


class NoUserScoresContract(RecipeContract):
    """The contract of recipes that do not score items for users."""

    test_reading_on_equals_reading_the_whole = None
    test_unknown_user_is_an_empty_history = None
    test_unknown_items_are_ranked_last_in_their_order = None
    test_ranking_a_list_is_a_slice_of_the_full_ranking = None
    test_seen_items_can_be_left_out = None


class RelatedItemsContract(NoUserScoresContract):
    """The contract of recipes that relate items: RELATED_ITEMS.

    ``floor`` is the share of films of the same genre among the first five of every film's list.
    """

    known = "noir-03"
    left_out = 1  # the item itself

    def queries(self, model: Recipe) -> Sequence[Any]:
        """All items, and an unknown one."""
        return np.arange(-1, len(model.items_))

    def scores(self, model: Recipe, queries: Sequence[Any]) -> np.ndarray:
        return model.score_related(queries)

    def table(self, model: Recipe, query: str, k: int) -> pd.DataFrame:
        return model.similar([query], k=k)

    def test_unknown_item_gets_the_popular_ones(self, model):
        assert model.similar([self.unknown], k=1).ITEM_ID.tolist() == [HIT]

    def test_an_item_is_not_related_to_itself(self, model):
        table = model.similar(model.items_.ids, k=len(model.items_))
        assert (table.QUERY_ITEM_ID != table.ITEM_ID).all()
        assert len(table) == len(model.items_) * (len(model.items_) - 1)

    def test_it_is_as_far_ahead_as_it_claims(self, model, world):
        films = [item for item in model.items_.ids if item != HIT]
        table = model.similar(films, k=5)
        same = table.QUERY_ITEM_ID.map(world.genre) == table.ITEM_ID.map(world.genre)
        assert same.mean() >= self.floor


def _ndcg(model: Any, split: LeaveOneOut) -> float:
    return float(leave_one_out_report(model, split)[NDCG_10].mean())
