"""What the recipes of type RELATED_ITEMS share: a list of neighbours for each item, made once.

Such a recipe's author sets ``neighbours_`` and ``popularity_`` in ``_fit``.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from personalens.recipes.base import Recipe

NEIGHBOURS = 500
"""Related items kept for each item: as many as GetRecommendations can return."""


class RelatedItemsRecipe(Recipe):
    """Base of the recipes that answer with an item's neighbours.

    A list is filled up with popular items behind the related ones, and consists of popular items
    where the item is unknown or has no neighbours. The item itself is never in its list.

    Attributes
    ----------
    neighbours_
        (items, items) sparse, at most ``NEIGHBOURS`` a row, best first; all values above 0.
    popularity_
        (items,) as in :class:`~personalens.recipes.popularity_count.PopularityCount`.
    """

    recipe_type = "RELATED_ITEMS"

    neighbours_: sparse.csr_array
    popularity_: np.ndarray

    def neighbours(self, item_code: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the codes of an item's neighbours and how near they are, best first."""
        own = slice(*self.neighbours_.indptr[item_code : item_code + 2])
        return self.neighbours_.indices[own], self.neighbours_.data[own]

    def _score_related(self, item_codes: np.ndarray) -> np.ndarray:
        # Popular items lie in (-1, 0), below every neighbour.
        fallback = (self.popularity_ / (self.popularity_.max() + 1) - 1).astype(np.float32)
        scores = np.tile(fallback, (len(item_codes), 1))
        for row, code in enumerate(item_codes):
            if code >= 0:
                columns, values = self.neighbours(code)
                scores[row, columns] = values
                scores[row, code] = -np.inf
        return scores

    def _tensors(self) -> dict[str, np.ndarray]:
        return {
            "popularity": self.popularity_,
            "neighbours.indptr": self.neighbours_.indptr,
            "neighbours.indices": self.neighbours_.indices,
            "neighbours.data": self.neighbours_.data,
        }

    def _restore(self, tensors: dict[str, np.ndarray]) -> None:
        self.popularity_ = tensors["popularity"]
        parts = tuple(tensors[f"neighbours.{name}"] for name in ("data", "indices", "indptr"))
        self.neighbours_ = sparse.csr_array(parts, shape=(len(self.items_),) * 2)
