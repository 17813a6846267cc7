"""The past that a request is answered from.

Today a user's past is what the model was trained on. Live events join here: this module alone
decides which events belong to a user at the moment of a request, so that a click can change the
next answer without anything else having to know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from personalens.datasets.histories import History
from personalens.recipes.base import Recipe


class UserHistories:
    """Looks up users' histories. Safe to share between threads: it holds no state of its own."""

    def history(
        self, model: Recipe, user_id: str, *, context: Mapping[str, str] | None = None
    ) -> History:
        """Return a user's past in the model's item codes, oldest first.

        Parameters
        ----------
        model
            The model that will read it; events with items that it does not know are left out.
        user_id
            A user the model does not know has an empty past, which is no error: the recipe answers
            with its cold start list.
        context
            The request's contextual metadata, by Interactions column.
        """
        past = model.history(user_id)
        return replace(past, context=dict(context)) if context else past
