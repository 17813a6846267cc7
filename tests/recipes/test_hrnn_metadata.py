"""aws-hrnn-metadata: the contract, and what metadata and context change."""

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.interactions import History, Interactions
from personalens.recipes.hrnn import HRNN, HRNNMetadata
from personalens.testing.recipe_contract import RecipeContract
from personalens.testing.tiny_world import same_scores, tiny_world
from personalens.training.options import TrainingOptions

from .conftest import assert_the_context_decides, share_of

QUICK = TrainingOptions(max_epochs=1)


class TestHRNNMetadata(RecipeContract):
    recipe = HRNNMetadata
    overrides: ClassVar[dict[str, Any]] = {
        "hidden_dimension": 32,
        "training": TrainingOptions(max_epochs=3),
    }
    floor = 0.5


def genres() -> pd.DataFrame:
    world = tiny_world()
    return pd.DataFrame(
        {"ITEM_ID": list(world.genre), "GENRES": [name or None for name in world.genre.values()]}
    )


@pytest.fixture(scope="module")
def model(evenings, viewers) -> HRNNMetadata:
    return HRNNMetadata().fit(evenings, users=viewers)


def test_the_context_of_the_request_decides(model):
    assert_the_context_decides(model, 0.8)


def test_without_context_and_with_one_never_seen_the_answer_is_in_between(model):
    past = model.history("u3")
    nothing, unheard_of = past, replace(past, context={"DEVICE": "fridge", "PLACE": "kitchen"})
    assert 0.25 < share_of(model, nothing, "-tv-") < 0.75
    assert same_scores(*(model.score([each]) for each in (nothing, unheard_of)))


def test_names_of_context_columns_match_in_any_case(model):
    past = model.history("u3")
    upper, lower = ({"DEVICE": "tv"}, {"device": "tv"})
    scores = [model.score([replace(past, context=given)]) for given in (upper, lower)]
    assert same_scores(*scores)


def test_a_new_user_of_whom_the_metadata_are_known_gets_what_such_users_like(model):
    young, old = (replace(History.empty(), user={"AGE": age}) for age in (9.0, 41.0))
    assert share_of(model, young, "child") > 0.7
    assert share_of(model, old, "adult") > 0.7


def test_users_and_context_survive_saving(model, tmp_path):
    model.save(tmp_path / "model")
    loaded = HRNNMetadata.load(tmp_path / "model")
    asked = [replace(m.history("u5"), context={"DEVICE": "tv"}) for m in (model, loaded)]
    assert same_scores(model.score(asked[:1]), loaded.score(asked[1:]))
    assert loaded.history("u5").user == {"AGE": 40.0}
    assert set(loaded.history("u5").event_context["DEVICE"]) == {"tv", "phone"}


def test_item_metadata_do_not_lessen_what_the_events_say():
    world = tiny_world()
    model = HRNNMetadata().fit(world.interactions, items=genres())
    best = model.recommend(list(world.next_item), k=1)
    hits = [world.next_item[row.USER_ID] == row.ITEM_ID for row in best.itertuples()]
    assert np.mean(hits) > 0.6


def test_before_training_the_scores_are_those_of_hrnn():
    from personalens.recipes.session_model import RecurrentBuilder, SessionModel
    from personalens.recipes.training_tables import training_tables

    tables = training_tables(tiny_world().interactions, genres(), None, has_cold_items=False)
    builder = RecurrentBuilder(16, 8, (0.0,))
    models = [
        SessionModel.begin(tables.interactions, builder, np.random.default_rng(0), items=items)
        for items in (None, tables.items)
    ]
    for model in models:
        model.network.eval()
    assert len(models[1].network.items.field) > 4
    asked = [History(np.array([3, 4], np.int32), np.array([1, 2]))]
    np.testing.assert_allclose(*(model.score(asked) for model in models), rtol=1e-3, atol=1e-4)


def test_impressions_are_no_context():
    events = tiny_world().frame.assign(IMPRESSION="noir-01|noir-02", RECOMMENDATION_ID="r")
    model = HRNNMetadata(training=QUICK).fit(events)
    assert not model.model_.reader.query_sizes


def test_hrnn_reads_neither_metadata_nor_context(evenings, viewers):
    plain = HRNN(training=QUICK).fit(evenings.drop(columns="DEVICE"))
    given = HRNN(training=QUICK).fit(evenings, users=viewers, items=genres())
    past = plain.history("u3")
    asked = replace(past, context={"DEVICE": "tv"}, user={"AGE": 9.0})
    assert same_scores(plain.score([past]), given.score([asked]))


def test_a_large_catalogue_trains_on_candidates_with_metadata(monkeypatch):
    monkeypatch.setattr("personalens.recipes.session_model.FULL_SOFTMAX_ITEMS", 10)
    monkeypatch.setattr("personalens.recipes.session_model.CERTAIN_CANDIDATES", 4)
    world = tiny_world()
    model = HRNNMetadata().fit(world.interactions, items=genres())
    best = model.recommend(list(world.next_item), k=3)
    hits = [world.next_item[row.USER_ID] == row.ITEM_ID for row in best.itertuples()]
    assert sum(hits) / len(world.next_item) > 0.7


def test_interactions_in_memory_and_as_a_table_are_the_same(evenings, viewers):
    options = {"users": viewers}
    table = HRNNMetadata(training=QUICK).fit(evenings, **options)
    memory = HRNNMetadata(training=QUICK).fit(Interactions.from_frame(evenings), **options)
    assert same_scores(*(m.score([m.history("u1")]) for m in (table, memory)))
