import numpy as np
import pandas as pd
import pytest

from personalens.datasets.metadata import Metadata
from personalens.recipes.semantic_similarity import SemanticSimilarity
from personalens.testing.recipe_contract import RelatedItemsContract
from personalens.testing.tiny_world import HIT, tiny_world

FILMS = {
    "storm": ("Storm at Sea", "A ship sinks in a storm"),
    "ship": ("The Ship", "A ship and its crew, a storm, an island"),
    "rome": ("Rome", "A wedding under a Spring sun"),
    "bride": ("The Bride", "A wedding that nobody wanted"),
    "blank": ("", None),
}


def table(films):
    rows = [(film, name, plot) for film, (name, plot) in films.items()]
    frame = pd.DataFrame(rows, columns=["ITEM_ID", "TITLE", "PLOT"])
    frame["CREATION_TIMESTAMP"] = np.arange(len(frame)) * 86_400
    return Metadata.from_frame(frame, "ITEM_ID", text=("TITLE", "PLOT"))


class TestSemanticSimilarity(RelatedItemsContract):
    recipe = SemanticSimilarity
    floor = 1.0

    def tables(self):
        films = {item: (genre, f"a {genre} film") for item, genre in tiny_world().genre.items()}
        films |= {HIT: ("the hit", "seen by everyone")}
        return {"items": table(films)}

    def test_it_can_be_measured_as_the_service_does(self, world):
        holdout = self.recipe.hold_out(world.interactions)
        metrics = self.fitted(holdout.train).measure(holdout)
        assert len(metrics) == 11
        assert all(0.0 <= value <= 1.0 for value in metrics.values())
        assert metrics["item_similarity"] > 0.4


@pytest.fixture
def model():
    events = pd.DataFrame({"USER_ID": list("uvw"), "ITEM_ID": ["rome", "rome", "storm"]})
    return SemanticSimilarity().fit(events.assign(TIMESTAMP=[0, 1, 2]), items=table(FILMS))


def test_neighbours_share_words(model):
    assert model.similar(["storm", "rome"], k=1).ITEM_ID.tolist() == ["ship", "bride"]
    # The same by hand: with as many directions as texts the cosine is that of the TF-IDF rows.
    weights = {"storm": 2, "ship": 2, "the": 2}
    own = {"storm": 2, "at": 1, "sea": 1, "ship": 1, "sinks": 1, "in": 1}
    other = {"the": 1, "ship": 2, "and": 1, "its": 1, "crew": 1, "storm": 1, "an": 1, "island": 1}

    def vector(counts):
        scaled = {
            word: (1 + np.log(n)) * (1 + np.log(6 / (1 + weights.get(word, 1))))
            for word, n in counts.items()
        }
        length = np.sqrt(sum(value**2 for value in scaled.values()))
        return {word: value / length for word, value in scaled.items()}

    one, two = vector(own), vector(other)
    cosine = sum(one[word] * two[word] for word in ("storm", "ship"))
    assert model.similar(["storm"], k=1).SCORE[0] == pytest.approx(cosine, rel=1e-4)


def test_an_item_nobody_had_is_found_and_asked_about(model):
    assert model.similar(["bride"], k=1).ITEM_ID.tolist() == ["rome"]
    assert "bride" in model.items_
    assert "bride" not in set(model.interactions_.to_frame().ITEM_ID)


def test_an_item_without_text_gets_the_popular_ones(model):
    assert model.similar(["blank"], k=2).ITEM_ID.tolist() == ["rome", "storm"]


def test_influences_reorder_the_neighbours_only(model):
    films = {**FILMS, "storm2": ("Storm", "A storm at sea, and a ship")}
    events = pd.DataFrame({"USER_ID": list("uvwx"), "ITEM_ID": ["rome", "rome", "ship", "storm"]})
    model = SemanticSimilarity().fit(events.assign(TIMESTAMP=[9**6] * 4), items=table(films))
    storm = model.items_.code("storm")

    def best(**influence):
        scores = model.influenced(storm, influence)
        return [model.items_.ids[code] for code in np.argsort(-scores)[:3]]

    assert np.array_equal(model.influenced(storm, {}), model.score_related(np.array([storm]))[0])
    assert best()[:2] == ["storm2", "ship"]
    assert best(POPULARITY=1.0)[:2] == ["ship", "storm2"]  # nobody has had storm2
    assert best(FRESHNESS=1.0)[0] == "storm2"  # the newest in the table
    assert "rome" not in best(POPULARITY=1.0)[:2]  # shares no word
    unknown = model.influenced(-1, {"POPULARITY": 1.0})
    assert model.items_.ids[unknown.argmax()] == "rome"


@pytest.mark.parametrize("influence", [{"PRICE": 0.5}, {"FRESHNESS": 1.1}, {"POPULARITY": -0.1}])
def test_other_influences_are_refused(model, influence):
    with pytest.raises(ValueError, match="choose among FRESHNESS, POPULARITY"):
        model.influenced(0, influence)


def test_text_is_needed():
    events = tiny_world().interactions
    for items in (None, tiny_world().items):
        with pytest.raises(ValueError, match="needs items with a text field"):
            SemanticSimilarity().fit(events, items=items)
