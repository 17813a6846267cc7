"""One rule for identifiers from Python: several are a list, one is no list, none is missing."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.dataset_files import DatasetFiles
from personalens.datasets.id_maps import IdMap, id_list, one_id
from personalens.datasets.interactions import Interactions, histories_by_id
from personalens.datasets.metadata import Metadata
from personalens.film_world.world import FilmWorld
from personalens.ratings.rating_head import RatingHRNN
from personalens.recipes.domain import MoreLikeX
from personalens.recipes.item_affinity import ItemAffinity
from personalens.recipes.next_best_action import NextBestAction
from personalens.recipes.popularity_count import PopularityCount
from personalens.recipes.ranked_table import ranked_table, ranking_table
from personalens.recipes.training_tables import without_users

EVENTS = pd.DataFrame(
    {
        "USER_ID": [str(k % 20) for k in range(300)],
        "ITEM_ID": [str(k * 7 % 31) for k in range(300)],
        "TIMESTAMP": range(300),
        "EVENT_VALUE": 1.0,
    }
)
DATA = Interactions.from_frame(EVENTS)
FILMS = Metadata.from_frame(pd.DataFrame({"ITEM_ID": ["1", "5"], "YEAR": [1, 2]}), "ITEM_ID")
CONTEXT = {"DEVICE": "tv", "TIME_OF_DAY": "night"}


def popular():
    return PopularityCount().fit(EVENTS)


def fitted(recipe):
    """Return a model that has its tables and nothing else: arguments are looked at first."""
    model = recipe()
    model.items_, model.interactions_ = DATA.items, DATA
    return model


# What takes several identifiers (or columns), by the name of the argument.
TAKES_LISTS = {
    "DatasetFiles.read columns": lambda bare, tmp: DatasetFiles(tmp).read(bare),
    "DatasetFiles.count_rows_of users": lambda bare, tmp: DatasetFiles(tmp).count_rows_of(bare),
    "DatasetFiles.remove_rows_of users": lambda bare, tmp: DatasetFiles(tmp).remove_rows_of(bare),
    "FilmWorld.true_click_probability history": lambda bare, tmp: FilmWorld(
        9, 20, 0
    ).true_click_probability("1", "1", CONTEXT, bare),
    "FilmWorld.true_click_probability seen": lambda bare, tmp: FilmWorld(
        9, 20, 0
    ).true_click_probability("1", "1", CONTEXT, seen=bare),
    "FilmWorld.true_click_probability shelf": lambda bare, tmp: FilmWorld(
        9, 20, 0
    ).true_click_probability("1", "1", CONTEXT, shelf=bare),
    "FilmWorld.scores history": lambda bare, tmp: FilmWorld(9, 20, 0).scores("1", CONTEXT, bare),
    "FilmWorld.scores seen": lambda bare, tmp: FilmWorld(9, 20, 0).scores("1", CONTEXT, seen=bare),
    "histories_by_id user_ids": lambda bare, tmp: histories_by_id(DATA, bare),
    "IdMap.__init__ ids": lambda bare, tmp: IdMap(bare),
    "IdMap.from_values values": lambda bare, tmp: IdMap.from_values(bare),
    "IdMap.encode identifiers": lambda bare, tmp: DATA.users.encode(bare),
    "Metadata.from_frame text": lambda bare, tmp: Metadata.from_frame(
        pd.DataFrame({"ITEM_ID": ["1"], "1": ["a"], "5": ["b"]}), "ITEM_ID", text=bare
    ),
    "Metadata.without identifiers": lambda bare, tmp: FILMS.without(bare),
    "Metadata.select names": lambda bare, tmp: FILMS.select(bare),
    "ActionRecipe.recommend users": lambda bare, tmp: fitted(NextBestAction).recommend(bare),
    "Recipe.histories user_ids": lambda bare, tmp: popular().histories(bare),
    "Recipe.forget_users user_ids": lambda bare, tmp: popular().forget_users(bare),
    "Recipe.recommend users": lambda bare, tmp: popular().recommend(bare),
    "Recipe.similar items": lambda bare, tmp: popular().similar(bare),
    "Recipe.rank items": lambda bare, tmp: popular().rank("15", bare),
    "DomainRecipe.similar items": lambda bare, tmp: fitted(MoreLikeX).similar(bare, user="1"),
    "ItemAffinity.forget_users user_ids": lambda bare, tmp: ItemAffinity().forget_users(bare),
    "NextBestAction.histories user_ids": lambda bare, tmp: NextBestAction().histories(bare),
    "NextBestAction.forget_users user_ids": lambda bare, tmp: NextBestAction().forget_users(bare),
    "ranked_table queries": lambda bare, tmp: ranked_table("Q", bare, np.zeros, DATA.items, 3),
    "ranking_table wanted": lambda bare, tmp: ranking_table(
        "1", bare, np.zeros(len(DATA.items)), DATA.items
    ),
    "RatingHRNN.rate items": lambda bare, tmp: RatingHRNN().rate(DATA, "1", bare),
    "without_users user_ids": lambda bare, tmp: without_users(DATA, bare),
    "SegmentationRecipe.segment queries": lambda bare, tmp: fitted(ItemAffinity).segment(bare),
}
INSIDE = {
    "match_columns header",
    "match_columns earlier",
    "avro_schema columns",
    "require_columns names",
    "write_without users",
    "restore_histories type_names",
    "named_codes names",
}
"""Taken from our own code only."""


ROOMS = [f"personalens.{room}" for room in ("datasets", "film_world", "recipes", "ratings")]


def list_arguments():
    """Yield each argument of the public functions and methods that is declared a list of texts."""
    for room in map(importlib.import_module, ROOMS):
        for found in pkgutil.iter_modules(room.__path__):
            module = importlib.import_module(f"{room.__name__}.{found.name}")
            for name, thing in vars(module).items():
                if not name.startswith("_") and getattr(thing, "__module__", "") == module.__name__:
                    yield from arguments_of(name, thing)


def arguments_of(name, thing):
    methods = {name: thing}
    if inspect.isclass(thing):
        own = {key: getattr(value, "__func__", value) for key, value in vars(thing).items()}
        methods = {f"{name}.{key}": method for key, method in own.items() if key[0] != "_"}
        methods[f"{name}.__init__"] = own.get("__init__")
    for path, method in methods.items():
        if inspect.isfunction(method):
            for parameter in inspect.signature(method).parameters.values():
                if re.match(
                    r"(Sequence|Collection|Iterable|list)\[str\]", str(parameter.annotation)
                ):
                    yield f"{path} {parameter.name}"


def test_every_list_of_texts_is_looked_at():
    assert set(list_arguments()) == TAKES_LISTS.keys() | INSIDE


@pytest.mark.parametrize(
    "bare", ["15", 15, None, b"15", EVENTS], ids=lambda value: type(value).__name__
)
@pytest.mark.parametrize("argument", TAKES_LISTS)
def test_what_is_no_list_is_refused(argument, bare, tmp_path):
    if bare is None and argument.endswith("read columns"):
        return  # all of them
    with pytest.raises(TypeError, match="must be a list of") as caught:
        TAKES_LISTS[argument](bare, tmp_path)
    if isinstance(bare, str | int):
        assert str(caught.value).endswith('write ["15"]')


@pytest.mark.parametrize(
    "several",
    [["15", 1], ("15", 1), np.array([15, 1]), pd.Series(["15", "1"]), {"15": 0, "1": 0}.keys()],
    ids=lambda value: type(value).__name__,
)
def test_any_collection_is_a_list_and_whole_numbers_are_their_digits(several):
    model = popular()
    assert model.recommend(several, k=1).USER_ID.tolist() == ["15", "1"]
    assert [len(history) for history in model.histories(several)] == [15, 15]
    assert sorted(model.rank(15, several).ITEM_ID) == ["1", "15"]
    assert model.recommend((id for id in several), k=2).equals(model.recommend(["15", "1"], k=2))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (["15"], "must be one id, as text such as \"15\", not ['15']"),
        (("15",), "must be one id"),
        (15.0, 'must be one id, as text such as "15", not 15.0'),
        (np.nan, "must be one id"),
        (None, "is missing"),
        (pd.NA, "is missing"),
        (True, "must be one id"),
        (np.array(["15"]), "must be one id"),
    ],
    ids=repr,
)
def test_what_is_not_one_id_is_refused(value, reason):
    model = popular()
    for ask in (model.history, lambda user: model.rank(user, ["1"])):
        with pytest.raises(TypeError, match="user") as caught:
            ask(value)
        assert reason in str(caught.value)
    with pytest.raises(TypeError, match=r"users\[1\]"):
        model.recommend(["1", value])


def test_one_user_may_be_a_number_and_is_the_same_user():
    model = popular()
    assert (
        len(model.history(15)) == len(model.history("15")) == len(model.history(np.int32(15))) == 15
    )
    assert one_id(np.str_("a"), "user") == "a"
    assert id_list(range(2), "users") == ["0", "1"]


@pytest.mark.parametrize("k", ["5", 2.5, None])
def test_the_length_of_a_list_is_a_whole_number(k):
    for ask in (popular(), fitted(NextBestAction)):
        with pytest.raises(TypeError, match="k must be a whole number of 1 or more"):
            ask.recommend(["1"], k=k)


@pytest.mark.parametrize("table", ["ratings.csv", [("u", "i", 1)], None, 5])
def test_a_fit_takes_tables(table):
    with pytest.raises(TypeError, match="interactions must be a table"):
        PopularityCount().fit(table)
    if table is not None:
        with pytest.raises(TypeError, match="metadata must be a table"):
            PopularityCount().fit(EVENTS, items=table)
