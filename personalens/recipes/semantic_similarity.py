"""aws-semantic-similarity: items whose texts are about the same."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from personalens.datasets.metadata import Metadata
from personalens.evaluation.holdouts import ServiceHoldout
from personalens.evaluation.offline_report import LIST_LENGTH
from personalens.recipes.base import RecipeConfig
from personalens.recipes.exploration import ItemExposure
from personalens.recipes.item_neighbours import NEIGHBOURS, RelatedItemsRecipe, best_scored
from personalens.recipes.popularity_count import popularity_scores
from personalens.recipes.training_tables import CannotLearn
from personalens.training.factorization import semantic_vectors, tf_idf, unit_vectors

DIMENSIONS = 256
LEAST_COSINE = 0.01
"""Below it two texts have nothing in common."""
INFLUENCES = ("FRESHNESS", "POPULARITY")


class SemanticSimilarityConfig(RecipeConfig):
    """The recipe has no hyperparameters."""


class SemanticSimilarity(RelatedItemsRecipe):
    """Relate items by their names and descriptions.

    The text fields of an item are one text. Texts become TF-IDF vectors, of which the
    ``DIMENSIONS`` largest directions stay (latent semantic analysis), so that texts are near that
    share no word but words that go together elsewhere; an item's neighbours are those of the
    largest cosine. No interactions are needed: an item that nobody has had has neighbours and is
    one.

    Notes
    -----
    The service embeds texts with a language model, which knows synonyms that the catalogue never
    puts side by side; this knows only what the catalogue's own texts say.

    Amazon Personalize: recipe aws-semantic-similarity. Its Items schema has one field with
    ``itemName`` and one that is ``textual``; ``rankingInfluence`` belongs to the campaign.

    Examples
    --------
    >>> import pandas as pd
    >>> plots = ["a ship sinks in a storm", "two ships in the storm at sea", "a wedding in Rome"]
    >>> films = pd.DataFrame({"ITEM_ID": ["1", "2", "3"], "PLOT": plots})
    >>> events = pd.DataFrame({"USER_ID": ["u"], "ITEM_ID": ["3"], "TIMESTAMP": [0]})
    >>> model = SemanticSimilarity()
    >>> model = model.fit(events, items=Metadata.from_frame(films, "ITEM_ID", text=["PLOT"]))
    >>> model.similar(["1"], k=1).ITEM_ID.tolist()
    ['2']
    """

    name = "aws-semantic-similarity"
    description = (
        "For one item, the items whose names and descriptions are about the same, by TF-IDF "
        "and its largest directions; needs no interactions of an item."
    )
    dataset_types = ("Interactions", "Items")
    takes_influence = True
    tells_metadata = True
    updated_every = 1800.0
    updated_on_request = True
    Config = SemanticSimilarityConfig
    has_cold_items = True

    def _fit(self, interactions, items, users, progress, refit):
        table = tf_idf(item_texts(items, needed_by=self.name))
        near = unit_vectors(semantic_vectors(table, DIMENSIONS, seed=self.seed))

        def cosines(block: np.ndarray) -> np.ndarray:
            products = near[block] @ near.T
            return np.where(products < LEAST_COSINE, 0.0, products)

        self.neighbours_ = best_scored(cosines, len(near), k=NEIGHBOURS, progress=progress)
        self.popularity_ = popularity_scores(interactions)
        # (items,) in 0..1: the share of the items that are less popular, or older.
        self.popularity_rank_ = _share_below(self.popularity_)
        self.freshness_ = _share_below(-ItemExposure.count(interactions, items).ages)

    def influenced(self, item_code: int, influence: Mapping[str, float]) -> np.ndarray:
        """Return the scores of :meth:`score_related` for one item, (items,), under a campaign's
        ``rankingInfluence``.

        Each neighbour's similarity gains ``influence["FRESHNESS"]`` times its place in the order of
        age (0 oldest, 1 newest), and likewise for POPULARITY. Weights are 0 to 1. Only the order
        among the neighbours changes: what is not related stays behind them.
        """
        for name, weight in influence.items():
            if name not in INFLUENCES or not 0.0 <= weight <= 1.0:
                raise ValueError(
                    f"ranking influence {name}={weight}: choose among {', '.join(INFLUENCES)}, "
                    "with a weight of 0 to 1"
                )
        scores = self.score_related(np.array([item_code]))[0]
        if item_code >= 0:
            codes, _ = self.neighbours(item_code)
            scores[codes] += influence.get("FRESHNESS", 0.0) * self.freshness_[codes]
            scores[codes] += influence.get("POPULARITY", 0.0) * self.popularity_rank_[codes]
        return scores

    def measure(
        self, holdout: ServiceHoldout, *, catalogue_size: int | None = None
    ) -> dict[str, float]:
        """Return the eight figures of every recipe, and three of what is in the lists.

        ``item_similarity``, ``item_popularity`` and ``item_freshness``: the mean cosine, and the
        mean share of the catalogue that is less popular or older, of the 25 items nearest to each
        test user's last one. (The service has such figures; their names are not documented.)
        """
        figures = super().measure(holdout, catalogue_size=catalogue_size)
        last = holdout.inputs.offsets[holdout.test_users + 1] - 1
        ids = holdout.inputs.items.decode(holdout.inputs.item_codes[last])
        lists = [self.neighbours(code) for code in self.items_.encode(ids) if code >= 0]
        codes = np.concatenate([[], *(codes[:LIST_LENGTH] for codes, _ in lists)]).astype(np.int64)
        near = np.concatenate([[], *(values[:LIST_LENGTH] for _, values in lists)])
        return figures | {
            "item_similarity": _mean(near),
            "item_popularity": _mean(self.popularity_rank_[codes]),
            "item_freshness": _mean(self.freshness_[codes]),
        }

    def _tensors(self) -> dict[str, np.ndarray]:
        own = {"popularity_rank": self.popularity_rank_, "freshness": self.freshness_}
        return super()._tensors() | own

    def _restore(self, tensors: dict[str, np.ndarray]) -> None:
        super()._restore(tensors)
        self.popularity_rank_, self.freshness_ = tensors["popularity_rank"], tensors["freshness"]


def item_texts(items: Metadata | None, *, needed_by: str) -> list[str]:
    """Return each item's text fields as one text; CannotLearn if there is none."""
    texts = [] if items is None else [f for f in items.fields.values() if f.kind == "text"]
    if not texts:
        raise CannotLearn(
            f"{needed_by} needs items with a text field: give "
            'items=Metadata.from_frame(frame, "ITEM_ID", text=["DESCRIPTION"])'
        )
    rows = zip(*(field.values for field in texts), strict=True)
    return [" ".join(part for part in row if part) for row in rows]


def _share_below(values: np.ndarray) -> np.ndarray:
    """Return for each value which share of all is smaller, (n,) float32."""
    return (np.searchsorted(np.sort(values), values) / len(values)).astype(np.float32)


def _mean(values: np.ndarray) -> float:
    return float(np.clip(values, 0.0, 1.0).mean()) if len(values) else 0.0
