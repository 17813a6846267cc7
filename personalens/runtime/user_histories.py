"""The past that a request is answered from.

Today a user's past is what the model was trained on. Live events join here: this module alone
decides which events belong to a user at the moment of a request, so that a click can change the
next answer without anything else having to know.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace

from personalens.datasets.histories import History
from personalens.recipes.base import Recipe


@dataclass(frozen=True, eq=False)
class UserState:
    """What is known of a user at the moment of a request.

    Attributes
    ----------
    history
        The past, oldest first, in the model's item codes, with the request's context.
    revision
        Names this history among all that the same model may be asked about: equal revisions have
        equal histories, so what was computed for one holds for the other. Everybody of whom
        nothing is known shares one.
    """

    history: History
    revision: Hashable


class UserHistories:
    """Looks up users' states. Safe to share between threads: it holds no state of its own."""

    def state(
        self, model: Recipe, user_id: str | None, *, context: Mapping[str, str] | None = None
    ) -> UserState:
        """Return what is known of a user.

        Parameters
        ----------
        model
            The model that will read it; events with items that it does not know are left out.
        user_id
            A user the model does not know has an empty past, which is no error: the recipe answers
            with its cold start list. None is such a user.
        context
            The request's contextual metadata, by Interactions column.
        """
        past = History.empty() if user_id is None else model.history(user_id)
        who = user_id if len(past) or past.user else None
        circumstances = frozenset(context.items()) if context else None
        return UserState(
            replace(past, context=dict(context)) if context else past, (who, circumstances)
        )
