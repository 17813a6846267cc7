"""A recipe of one's own in one file: EASE, a linear model in closed form.

References
----------
Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019.
"""

import numpy as np

from personalens.progress import ProgressEvent
from personalens.recipes.base import Recipe, RecipeConfig, hyperparameter


class EASEConfig(RecipeConfig):
    """What may be set, with the range in which tuning may look."""

    penalty: float = hyperparameter(
        100.0, "Of squared weights; larger for thinner data.", tunable=True, ge=0.1, le=10_000.0
    )


class EASE(Recipe):
    """Score an item by a weighted vote of the items that the user has had."""

    name = "my-ease"
    recipe_type = "USER_PERSONALIZATION"
    Config = EASEConfig

    def _fit(self, interactions, items, users, progress, refit):
        progress(ProgressEvent("counting pairs", 0.0))
        had = np.zeros((len(interactions.users), len(interactions.items)), np.float32)
        had[interactions.user_codes, interactions.item_codes] = 1.0
        gram = had.T @ had + self.config.penalty * np.eye(had.shape[1], dtype=np.float32)
        progress(ProgressEvent("solving", 0.5))
        precision = np.linalg.inv(gram)
        self.weights_ = precision / -np.diag(precision)
        np.fill_diagonal(self.weights_, 0.0)  # an item does not vote for itself
        self.popularity_ = had.mean(axis=0)
        progress(ProgressEvent("solved", 1.0))

    def _score(self, histories):
        scores = np.empty((len(histories), len(self.items_)), np.float32)
        for row, history in enumerate(histories):
            voters = self.weights_[np.unique(history.item_codes)]
            scores[row] = voters.sum(axis=0) if len(voters) else self.popularity_
        return scores

    def _tensors(self):
        return {"weights": self.weights_, "popularity": self.popularity_}

    def _restore(self, tensors):
        self.weights_, self.popularity_ = tensors["weights"], tensors["popularity"]
