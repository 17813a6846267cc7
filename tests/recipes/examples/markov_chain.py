"""A recipe of one's own in one file: what comes after the last item, smoothed by popularity.

References
----------
Chen and Goodman, "An empirical study of smoothing techniques for language modeling", 1999
(interpolation of a bigram model with the unigram model).
"""

import numpy as np

from personalens.progress import ProgressEvent
from personalens.recipes.base import Recipe, RecipeConfig, hyperparameter


class MarkovChainConfig(RecipeConfig):
    """What may be set, with the range in which tuning may look."""

    smoothing: float = hyperparameter(
        5.0,
        "How many events after an item weigh as much as the popularity of what follows.",
        tunable=True,
        ge=0.1,
        le=100.0,
    )


class MarkovChain(Recipe):
    """P(next = j | last = i) = (count(i, j) + smoothing * P(j)) / (count(i) + smoothing)."""

    name = "my-markov-chain"
    recipe_type = "USER_PERSONALIZATION"
    Config = MarkovChainConfig
    has_scores = True  # the logarithm of a probability: its softmax is the probability

    def _fit(self, interactions, items, users, progress, refit):
        progress(ProgressEvent("counting what follows", 0.0))
        size, codes = len(interactions.items), interactions.item_codes
        self.popularity_ = (np.bincount(codes, minlength=size) / len(codes)).astype(np.float32)
        same_user = interactions.user_codes[1:] == interactions.user_codes[:-1]
        counts = np.zeros((size, size), np.float32)
        np.add.at(counts, (codes[:-1][same_user], codes[1:][same_user]), 1.0)
        smoothing = self.config.smoothing
        totals = counts.sum(axis=1, keepdims=True) + smoothing
        self.chances_ = (counts + smoothing * self.popularity_) / totals
        progress(ProgressEvent("counted", 1.0))

    def _score(self, histories):
        chances = [
            self.chances_[history.item_codes[-1]] if len(history) else self.popularity_
            for history in histories
        ]
        return np.log(np.stack(chances))

    def _tensors(self):
        return {"chances": self.chances_, "popularity": self.popularity_}

    def _restore(self, tensors):
        self.chances_, self.popularity_ = tensors["chances"], tensors["popularity"]
