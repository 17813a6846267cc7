"""The simulated sample: the same bytes again, and events that follow the stated taste model."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from personalens.datasets import load, parse_schema, releases
from personalens.datasets.csv_import import CsvSource, import_csv
from personalens.film_world import simulator
from personalens.film_world.simulator import generate, load_sample, write_sample
from personalens.film_world.world import (
    NOTHING,
    SPAN_END,
    SPAN_START,
    FilmWorld,
    Viewers,
    read_films,
)

COMMITTED = Path(__file__).resolve().parents[2] / "data" / "sample"
FILES = ("interactions.csv.gz", "items.csv", "users.csv")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder)
    return folder


@pytest.fixture(scope="module")
def sample(made):
    return load_sample(made)


@pytest.fixture(scope="module")
def sessions(sample):
    """The interactions in order, with the number of the session and the place in it."""
    events = sample.interactions.sort_values(["USER_ID", "TIMESTAMP"], ignore_index=True)
    same_viewer = events.USER_ID.shift() == events.USER_ID
    gap = events.TIMESTAMP.diff()
    opens = ~same_viewer | (gap >= 3600)
    return events.assign(SESSION=opens.cumsum(), OPENS=opens, GAP=gap.where(same_viewer))


def test_the_committed_sample_is_made_again_byte_for_byte(made):
    for name in FILES:
        again, committed = (made / name).read_bytes(), (COMMITTED / name).read_bytes()
        if name.endswith(".gz"):  # zlib's builds pack differently; the data are what counts
            again, committed = gzip.decompress(again), gzip.decompress(committed)
        assert again == committed, f"{name} has changed: see data/README.md"


def test_the_readme_states_the_hashes_of_the_committed_files():
    readme = (COMMITTED.parent / "README.md").read_text("utf-8")
    for name in FILES:
        digest = hashlib.sha256((COMMITTED / name).read_bytes()).hexdigest()
        assert f"| sample/{name} | `{digest}` |" in readme


def test_the_committed_sample_is_small():
    assert sum((COMMITTED / name).stat().st_size for name in FILES) < 3_000_000


def test_the_sample_has_the_size_that_is_promised(sample):
    assert len(sample.users) >= 500
    assert len(sample.items) >= 400
    assert len(sample.interactions) >= 60_000
    assert sample.interactions.USER_ID.nunique() == len(sample.users)
    assert "simulated" in sample.notice


def test_films_are_real_ones_and_none_twice(sample):
    real = {(title, year): genres for title, year, genres in read_films()}
    assert len(real) == len(read_films())
    films = list(zip(sample.items.TITLE, sample.items.YEAR, strict=True))
    assert len(set(films)) == len(films)
    assert [real[film] for film in films] == sample.items.GENRES.tolist()


def test_viewers_come_in_sessions(sessions):
    gap = sessions.GAP.dropna()
    assert gap.min() >= 60
    inside, between = gap[gap < 3600], gap[gap >= 3600]
    assert inside.max() <= 2500
    assert between.min() >= 7200
    assert 3 < sessions.groupby("SESSION").size().mean() < 6
    assert sessions.groupby("SESSION")[["DEVICE", "TIME_OF_DAY"]].nunique().max().max() == 1


def test_the_time_of_day_is_that_of_the_sessions_start(sessions):
    first = sessions[sessions.OPENS]
    hour = first.TIMESTAMP % 86_400 // 3600
    names = np.array(["night", "morning", "afternoon", "evening"])
    assert (names[hour // 6] == first.TIME_OF_DAY).all()


def test_event_types_agree_with_the_fraction_watched(sample):
    value = sample.interactions.EVENT_VALUE
    kind = sample.interactions.EVENT_TYPE
    assert set(kind) == {"AddToList", "Click", "Like", "Watch"}
    assert value[kind == "AddToList"].isna().all()
    assert value[kind != "AddToList"].between(0.01, 1).all()
    assert value[kind == "Click"].max() < 0.15
    assert value[kind == "Like"].min() > 0.7


def test_the_film_chosen_was_on_the_shelf(sample):
    shelves = sample.interactions.IMPRESSION.str.split("|")
    for item, shelf in zip(sample.interactions.ITEM_ID[:5000], shelves[:5000], strict=True):
        assert item in shelf
        assert len(set(shelf)) == len(shelf) <= 12


def test_no_film_is_seen_before_it_joins(sample):
    joined = sample.items.set_index("ITEM_ID").CREATION_TIMESTAMP
    events = sample.interactions
    assert (joined.loc[events.ITEM_ID].to_numpy() <= events.TIMESTAMP).all()
    assert events.TIMESTAMP.between(SPAN_START, SPAN_END + 86_400).all()
    new = joined[joined > SPAN_START]
    assert len(new) == len(joined) // 8
    last_days = joined[joined > SPAN_END - 7 * 86_400].index
    assert events.ITEM_ID.isin(last_days).sum() < 20 * len(last_days)


def test_hardly_anything_is_seen_twice(sample):
    assert sample.interactions.duplicated(["USER_ID", "ITEM_ID"]).mean() < 0.01


def test_choices_follow_the_stated_probabilities(sample, sessions):
    """Over some thousand shelves, films that follow the last one, films of the viewer's taste, and
    popular ones are chosen as often as the model says, within four standard errors."""
    world, chosen, expected, variance = sample.world, {}, {}, {}
    for _, viewer in list(sessions.groupby("USER_ID"))[:25]:
        items = viewer.ITEM_ID.tolist()
        starts = np.flatnonzero(viewer.OPENS)
        for place, row in enumerate(viewer.itertuples()):
            start = starts[starts <= place][-1]
            context = {"DEVICE": row.DEVICE, "TIME_OF_DAY": row.TIME_OF_DAY}
            history, seen = items[start:place], items[:start]
            scores = world.scores(row.USER_ID, context, history, seen=seen, at=row.TIMESTAMP)
            shelf = np.array([int(item) - 1 for item in row.IMPRESSION.split("|")])
            odds = np.exp(scores[shelf].astype(float))
            p = odds / odds.sum()
            last = world.catalogue.follow_ups[int(history[-1]) - 1] if history else []
            kinds = {
                "follow-up": np.isin(shelf, last),
                "popular": world.catalogue.popularity[shelf] > 1,
                "seen": np.isin(shelf, [int(item) - 1 for item in items[:place]]),
                "old": world.catalogue.years[shelf] < 1970,
            }
            for kind, is_kind in kinds.items():
                mean = p[is_kind].sum()
                hit = is_kind[shelf == int(row.ITEM_ID) - 1][0]
                chosen[kind] = chosen.get(kind, 0) + hit
                expected[kind] = expected.get(kind, 0) + mean
                variance[kind] = variance.get(kind, 0) + mean * (1 - mean)
    for kind, count in chosen.items():
        assert abs(count - expected[kind]) < 4 * np.sqrt(variance[kind]) + 1, kind
    assert chosen["follow-up"] > 300


CONTEXT = {"DEVICE": "tv", "TIME_OF_DAY": "evening"}


@pytest.fixture(scope="module")
def world():
    return FilmWorld(users=50, items=60, seed=3)


def test_a_film_alone_is_clicked_with_the_sigmoid_of_its_score(world):
    score = world.scores("7", CONTEXT)[4]
    expected = 1 / (1 + np.exp(NOTHING - score))
    assert world.true_click_probability("7", "5", CONTEXT) == pytest.approx(expected, rel=1e-5)


def test_films_beside_it_take_their_share(world):
    shelf = ["1", "2", "3", "4"]
    alone = world.true_click_probability("7", "5", CONTEXT)
    among = world.true_click_probability("7", "5", CONTEXT, shelf=shelf)
    assert among < alone
    every = [
        world.true_click_probability("7", item, CONTEXT, shelf=["5", *shelf])
        for item in ["5", *shelf]
    ]
    scores = world.scores("7", CONTEXT)[[4, 0, 1, 2, 3]].astype(float)
    nothing = np.exp(NOTHING) / (np.exp(NOTHING) + np.exp(scores).sum())
    assert sum(every) + nothing == pytest.approx(1)
    assert every[0] == pytest.approx(among)


def test_history_counts_in_its_order(world):
    follower = world.follow_ups("5")[0]
    cold = world.true_click_probability("7", follower, CONTEXT)
    after = world.true_click_probability("7", follower, CONTEXT, ["5"])
    then = world.true_click_probability("7", follower, CONTEXT, ["5", "40"])
    assert after > cold
    assert after > then
    assert world.true_click_probability("7", follower, CONTEXT, seen=[follower]) < cold / 100


def test_context_and_time_count(world):
    values = {
        world.true_click_probability("7", "5", {"DEVICE": device, "TIME_OF_DAY": "night"})
        for device in ("phone", "tablet", "tv", "web")
    }
    assert len(values) == 4
    joined = int(world.catalogue.created[4])
    first, later = (
        world.true_click_probability("7", "5", CONTEXT, at=joined + days * 86_400)
        for days in (0, 100)
    )
    assert first > later


@pytest.mark.parametrize(
    ("user", "item", "context", "error", "message"),
    [
        ("51", "1", CONTEXT, KeyError, "'1' to '50'"),
        ("x", "1", CONTEXT, KeyError, "no viewer 'x'"),
        ("1", "61", CONTEXT, KeyError, "'1' to '60'"),
        ("1", "1", {"DEVICE": "tv"}, ValueError, "TIME_OF_DAY of morning, afternoon"),
        ("1", "1", {"DEVICE": "car", "TIME_OF_DAY": "night"}, ValueError, "DEVICE of phone"),
    ],
)
def test_what_does_not_exist_is_named(user, item, context, error, message, world):
    with pytest.raises(error, match=message):
        world.true_click_probability(user, item, context)


def test_the_schemas_pass_and_the_files_import(sample, tmp_path):
    paths = sample.write_csvs(tmp_path)
    for kind, text in sample.schemas().items():
        source = CsvSource.from_path(paths[kind])
        report = import_csv([source], parse_schema(text), tmp_path / f"{kind}.parquet")
        assert report.rows == len(sample.tables[kind])
        assert report.ignored_columns == ()


def test_the_compressed_file_imports_as_it_lies(made, sample, tmp_path):
    schema = parse_schema(sample.schemas()["Interactions"])
    source = CsvSource.from_path(made / "interactions.csv.gz")
    assert import_csv([source], schema, tmp_path / "x.parquet").rows == len(sample.interactions)


def test_without_the_checkout_the_sample_is_made_anew(sample, monkeypatch, tmp_path):
    monkeypatch.setattr(releases, "data_folders", lambda: [tmp_path])
    again = load("sample")
    assert again.interactions.equals(sample.interactions)
    assert again.items.equals(sample.items)


def test_the_sample_is_found_like_any_data_set(made, tmp_path, monkeypatch):
    monkeypatch.setattr(releases, "data_folders", lambda: [made.parent, made])
    assert releases.find_data("sample") == made
    assert releases.find_data("sample", tmp_path) is None


def read_all(paths) -> bytes:
    return b"".join(path.read_bytes() for path in paths.values())


def test_the_seed_decides_every_byte(tmp_path):
    first = generate(30, 40, 900, 5, tmp_path / "a")
    again = generate(30, 40, 900, 5, tmp_path / "b")
    other = generate(30, 40, 900, 6, tmp_path / "c")
    assert read_all(first) == read_all(again)
    assert read_all(first) != read_all(other)


def test_any_size_has_exactly_the_rows_that_were_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(Viewers, "BATCH", 50)
    monkeypatch.setattr("personalens.film_world.viewing.GROUP_EVENTS", 300)
    told = []
    paths = generate(
        120, 1000, 2345, 1, tmp_path, progress=lambda rows, total: told.append((rows, total))
    )
    events = pd.read_csv(paths["Interactions"], dtype=str)
    assert len(events) == 2345
    assert set(events.USER_ID) == {str(n) for n in range(1, 121)}
    assert pd.read_csv(paths["Users"]).USER_ID.tolist() == list(range(1, 121))
    items = pd.read_csv(paths["Items"], dtype=str)
    assert len(items) == 1000
    assert items.TITLE.str.startswith("Unnamed film").sum() == 1000 - len(read_films())
    assert told[-1] == (2345, 2345)
    assert "IMPRESSION" in events


def test_impressions_can_be_left_out(tmp_path):
    paths = generate(30, 40, 900, 5, tmp_path, impressions=False)
    assert "IMPRESSION" not in pd.read_csv(paths["Interactions"])


def test_a_stopped_generation_leaves_no_half_file(tmp_path):
    def stop(rows, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(30, 40, 900, 5, tmp_path, progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["items.csv"]


@pytest.mark.parametrize(
    ("users", "items", "interactions", "message"),
    [(100, 40, 99, "need as many interactions"), (5, 11, 50, "12 films")],
)
def test_impossible_sizes_are_refused(users, items, interactions, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        generate(users, items, interactions, 1, tmp_path)


def test_the_sample_constants_are_what_the_world_is_made_of(sample):
    assert len(sample.world.catalogue) == simulator.SAMPLE_ITEMS == len(sample.items)
    assert sample.true_click_probability("1", "1", CONTEXT) > 0
