"""Recipes of one line, whose scores a test can compute by itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from personalens.recipes.base import Recipe
from personalens.recipes.registry import RecipeEntry


class Taste(Recipe):
    """Log of how often the user had an item, plus one."""

    name = "test-taste"
    recipe_type = "USER_PERSONALIZATION"
    has_scores = True

    def _fit(self, interactions, items, users, progress, refit):
        pass

    def _score(self, histories):
        size = len(self.items_)
        return np.log1p([np.bincount(past.item_codes, minlength=size) for past in histories])

    def _tensors(self):
        return {}

    def _restore(self, tensors):
        pass


class HidingTaste(Taste):
    """Hides three of the items that the user had."""

    name = "test-hiding"

    def hidden_items(self, history):
        return np.unique(history.item_codes)[:3]


class ForgetSeen(Taste):
    """Hides what the user had."""

    name = "test-forget"

    def hidden_items(self, history):
        return np.unique(history.item_codes)


class RankByTaste(Taste):
    name = "test-ranking"
    recipe_type = "PERSONALIZED_RANKING"


@dataclass(frozen=True)
class ClassEntry(RecipeEntry):
    """A catalogue row whose class needs no import."""

    own: type[Recipe] = Taste

    @property
    def recipe(self):
        return self.own


ENTRIES = {
    own.name: ClassEntry(own.name, "tests:none", own.name, "none", own=own)
    for own in (Taste, HidingTaste, ForgetSeen, RankByTaste)
}
