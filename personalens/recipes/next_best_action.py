"""aws-next-best-action: the actions that a user will most likely take."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from personalens.datasets.id_maps import IdMap, id_list, one_id
from personalens.datasets.interactions import History, Interactions
from personalens.datasets.metadata import Metadata
from personalens.evaluation.holdouts import ServiceHoldout
from personalens.progress import ProgressEvent
from personalens.recipes.action_recipe import ActionRecipe, was_taken
from personalens.recipes.base import RecipeConfig, hyperparameter
from personalens.training.start_values import cooccurrence_vectors

DAY = 86_400
LEAST_EVENTS = 50
RECENT_SECONDS = 42 * DAY
BEHAVIOUR = "behaviour"
EXPIRATIONS = ("EXPIRATION_TIMESTAMP", "ACTION_EXPIRATION_TIMESTAMP")
WIDTH = 16


class NextBestActionConfig(RecipeConfig):
    """Hyperparameters of aws-next-best-action."""

    action_optimization_period: int = hyperparameter(
        14,
        "Days within which an action has to be taken to count as taken.",
        group="featureTransformation",
        ge=7,
        le=28,
    )


class Offers(NamedTuple):
    """Offers of actions to users, one a row: when it began, what the user had done with actions
    before, (n, 4), and whether the action was taken within the period."""

    users: np.ndarray
    actions: np.ndarray
    starts: np.ndarray
    past: np.ndarray
    taken: np.ndarray


class NextBestAction(ActionRecipe):
    """Rank actions by the probability that the user takes them.

    All events of a user with an action that fall within ``action_optimization_period`` days are one
    offer, which succeeds if one of them is Taken. A logistic regression for each action, tied
    together by a common one (:class:`~personalens.recipes.next_best_action.Propensity`), predicts
    success from what was known when the offer began: the user's item interactions, and how often
    the user had taken, or seen and not taken, this action and all actions.

    An action has a score once it has 50 Taken and 50 other events in the six weeks before the
    newest; until then the score is 0.0. Actions that have expired, or that the user has had within
    the last REPEAT_FREQUENCY days, are left out.

    Notes
    -----
    The service says what it predicts, not how; the model is ours. Further metadata of actions and
    users are not read. With few events all that happened in the period counts: an offer of
    yesterday that was not taken counts as one that was not.

    Amazon Personalize: recipe aws-next-best-action.
    """

    name = "aws-next-best-action"
    description = (
        "For a user, the actions that they will most likely take, such as joining a programme, "
        "with the probability of each."
    )
    dataset_types = ("Action_Interactions", "Actions", "Interactions")
    updated_every = 7200.0
    Config = NextBestActionConfig
    needs_events = False

    def _fit(self, interactions, items, users, progress, refit):
        progress(ProgressEvent("reading behaviour", 0.0))
        self._read_actions(items, len(interactions.items))
        # "Now" for a history without a request_time.
        self.newest_ = int(interactions.timestamps.max(initial=0))
        self.scored_ = _has_enough_events(interactions, self.newest_)
        self._watched = None if self.behaviour is None else UserBehaviour(self.behaviour)
        self._behaviour_of, self._behaviours = self._final_behaviours()
        progress(ProgressEvent("weighing actions", 0.3))
        offers = offers_of(interactions, self.config.action_optimization_period * DAY)
        self._learn(offers, interactions.users, len(interactions.items))
        progress(ProgressEvent("weighing actions", 1.0))

    def history(self, user_id: str) -> History:
        """Return a user's action events; what they do with items is in ``user``."""
        past = super().history(user_id)
        code = self._behaviour_of.code(one_id(user_id, "user_id"))
        return past if code < 0 else _with_behaviour(past, self._behaviours[code])

    def histories(self, user_ids: Sequence[str]) -> list[History]:
        """Return the :meth:`history` of each of several users."""
        return [self.history(user_id) for user_id in id_list(user_ids, "user_ids")]

    def forget_users(self, user_ids: Collection[str]) -> bool:
        """Forget what the users do with items too."""
        user_ids = id_list(user_ids, "user_ids")
        kept = ~np.isin(self._behaviour_of.ids, user_ids)
        known = not kept.all()
        self._behaviour_of = IdMap(self._behaviour_of.ids[kept])
        self._behaviours, self._watched = self._behaviours[kept], None
        return super().forget_users(user_ids) or known

    def _score(self, histories: Sequence[History]) -> np.ndarray:
        size = len(self.items_)
        scores = np.zeros((len(histories), size))
        actions = np.flatnonzero(self.scored_)
        for row, history in enumerate(histories):
            behaviour = history.user.get(BEHAVIOUR, np.zeros(self._width))
            taken = was_taken(history.event_types, len(history))
            past = _past_features(history.item_codes, taken, size)[actions]
            features = np.column_stack([np.tile(behaviour, (len(actions), 1)), past])
            scaled = (features - self._means) * self._scales
            scores[row, actions] = 1.0 / (1.0 + np.exp(-self._model.logits(scaled, actions)))
            now = self.newest_ if history.request_time is None else history.request_time
            scores[row, self._is_out(history, now)] = -np.inf
        return scores

    def _is_out(self, history: History, now: int) -> np.ndarray:
        """Return which actions are not to be recommended, (actions,) bool."""
        last = np.full(len(self.items_), -np.inf)
        np.maximum.at(last, history.item_codes, history.timestamps)
        return (self.expires_ <= now) | (now - last < self.repeat_after_)

    def _read_actions(self, items: Metadata | None, size: int) -> None:
        def column(*names: str, missing: float) -> np.ndarray:
            fields = {} if items is None else items.fields
            values = next((fields[name].values for name in names if name in fields), None)
            return np.full(size, missing) if values is None else np.nan_to_num(values, nan=missing)

        self.values_ = column("VALUE", missing=0.0)
        self.expires_ = column(*EXPIRATIONS, missing=np.inf)
        self.repeat_after_ = column("REPEAT_FREQUENCY", missing=0.0) * DAY

    def _final_behaviours(self) -> tuple[IdMap, np.ndarray]:
        if self._watched is None:
            return IdMap([]), np.zeros((0, 0))
        users = self._watched.events.users
        return users, self._watched.at(users.ids)

    @property
    def _width(self) -> int:
        return self._behaviours.shape[1]

    def _learn(self, offers: Offers, users: IdMap, actions: int) -> None:
        chosen = self.scored_[offers.actions]
        offers = Offers(*(column[chosen] for column in offers))
        behaviour = np.zeros((len(offers.users), 0))
        if self._watched is not None:
            behaviour = self._watched.at(users.ids[offers.users], offers.starts)
        features = np.column_stack([behaviour, offers.past])
        self._means = features.mean(axis=0) if len(features) else np.zeros(features.shape[1])
        spread = features.std(axis=0) if len(features) else np.zeros(features.shape[1])
        # What never differed in training says nothing, whatever it is later.
        self._scales = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 1e-9)
        scaled = (features - self._means) * self._scales
        self._model = Propensity.fit(scaled, offers.actions, offers.taken, actions)

    def _test_histories(self, holdout: ServiceHoldout) -> list[History]:
        histories = super()._test_histories(holdout)
        if self._watched is None:
            return histories
        events = holdout.truths
        starts = events.timestamps[events.offsets[holdout.test_users]]
        behaviours = self._watched.at(np.array(holdout.user_ids, object), starts)
        return [
            replace(_with_behaviour(past, behaviour), request_time=int(start))
            for past, behaviour, start in zip(histories, behaviours, starts, strict=True)
        ]

    def _tensors(self) -> dict[str, np.ndarray]:
        return {
            "behaviour_of": Metadata(self._behaviour_of, {}).to_arrays(),
            "behaviours": self._behaviours,
            "newest": np.array([self.newest_]),
            "scored": self.scored_,
            "values": self.values_,
            "expires": self.expires_,
            "repeat_after": self.repeat_after_,
            "means": self._means,
            "scales": self._scales,
            "intercepts": self._model.intercepts,
            "shared": self._model.shared,
            "own": self._model.own,
        }

    def _restore(self, tensors: dict[str, np.ndarray]) -> None:
        self._behaviour_of = Metadata.from_arrays(tensors["behaviour_of"]).ids
        self._behaviours, self._watched = tensors["behaviours"], None
        self.newest_, self.scored_ = int(tensors["newest"][0]), tensors["scored"]
        self.values_, self.expires_ = tensors["values"], tensors["expires"]
        self.repeat_after_ = tensors["repeat_after"]
        self._means, self._scales = tensors["means"], tensors["scales"]
        self._model = Propensity(tensors["intercepts"], tensors["shared"], tensors["own"])


def offers_of(interactions: Interactions, period: int) -> Offers:
    """Return the offers in action interactions: events of a user with an action that lie within
    ``period`` seconds of the first of them belong together."""
    taken = was_taken(interactions.event_types, len(interactions))
    rows: list[tuple[int, int, int, list[float], bool]] = []
    for user in range(len(interactions.users)):
        span = interactions.rows_of(user)
        open_offers: dict[int, int] = {}
        counts: dict[tuple[int, bool], int] = {}
        for row in range(span.start, span.stop):
            action, time = int(interactions.item_codes[row]), int(interactions.timestamps[row])
            place = open_offers.get(action)
            if place is None or time - rows[place][2] > period:
                open_offers[action] = place = len(rows)
                own = [counts.get((action, success), 0) for success in (True, False)]
                every = [
                    sum(n for (_, success), n in counts.items() if success == wanted)
                    for wanted in (True, False)
                ]
                rows.append((user, action, time, [*own, *every], False))
            if taken[row]:
                rows[place] = (*rows[place][:4], True)
            key = (action, bool(taken[row]))
            counts[key] = counts.get(key, 0) + 1
    columns = list(zip(*rows, strict=True)) or [(), (), (), (), ()]
    return Offers(
        np.array(columns[0], np.int64),
        np.array(columns[1], np.int64),
        np.array(columns[2], np.int64),
        np.log1p(np.array(columns[3], np.float64).reshape(len(rows), 4)),
        np.array(columns[4], bool),
    )


def _past_features(codes: np.ndarray, taken: np.ndarray, actions: int) -> np.ndarray:
    """Return what a user has done with actions, (actions, 4), as :class:`Offers` has it."""
    own = [np.bincount(codes[taken == success], minlength=actions) for success in (True, False)]
    every = [np.full(actions, counts.sum()) for counts in own]
    return np.log1p(np.column_stack([*own, *every]).astype(np.float64))


def _has_enough_events(interactions: Interactions, newest: int) -> np.ndarray:
    recent = interactions.timestamps >= newest - RECENT_SECONDS
    taken = was_taken(interactions.event_types, len(interactions))
    size = len(interactions.items)
    codes = interactions.item_codes
    yes, no = (
        np.bincount(codes[recent & (taken == success)], minlength=size) for success in (True, False)
    )
    return (yes >= LEAST_EVENTS) & (no >= LEAST_EVENTS)


def _with_behaviour(past: History, behaviour: np.ndarray) -> History:
    return replace(past, user={**past.user, BEHAVIOUR: behaviour})


class UserBehaviour:
    """Vectors of users: the mean vector of the items they had until then, and how many those were.

    Item vectors are near where items stand near each other in histories, so the mean tells which
    kinds of items a user goes for.
    """

    width = WIDTH + 1

    def __init__(self, interactions: Interactions):
        self.events = interactions
        codes, offsets = interactions.item_codes, interactions.offsets
        vectors = cooccurrence_vectors(codes, offsets, len(interactions.items), WIDTH, spread=1.0)
        self._sums = np.zeros((len(codes) + 1, WIDTH))
        np.cumsum(vectors[codes], axis=0, out=self._sums[1:])

    def at(self, users: np.ndarray, times: np.ndarray | None = None) -> np.ndarray:
        """Return (n, width) float64: what these users had done before these seconds, or at all.

        An unknown user has done nothing.
        """
        codes = self.events.users.encode(users)
        known = np.maximum(codes, 0)
        starts, ends = self.events.offsets[known], self.events.offsets[known + 1]
        if times is not None:
            ends = np.array(
                [
                    start + np.searchsorted(self.events.timestamps[start:end], time)
                    for start, end, time in zip(starts, ends, times, strict=True)
                ],
                np.int64,
            ).reshape(len(codes))
        counts = np.where(codes < 0, 0, ends - starts)
        means = (self._sums[ends] - self._sums[starts]) / np.maximum(counts, 1)[:, None]
        return np.column_stack([means * (counts > 0)[:, None], np.log1p(counts)])


# How probable an outcome is: a logistic regression for each group, tied to a common one.


@dataclass(frozen=True, eq=False)
class Propensity:
    """P(outcome) = sigmoid(intercept[g] + x . (shared + own[g])).

    Attributes
    ----------
    intercepts
        (groups,) float64.
    shared, own
        (features,) and (groups, features) float64.
    """

    intercepts: np.ndarray
    shared: np.ndarray
    own: np.ndarray

    @classmethod
    def fit(
        cls,
        features: np.ndarray,
        groups: np.ndarray,
        outcomes: np.ndarray,
        count: int,
        *,
        ridge: float = 1.0,
        own_ridge: float = 10.0,
    ) -> Self:
        """Find the weights by maximum likelihood, with squares of the weights counted against it.

        Parameters
        ----------
        features
            (n, F), of about unit size.
        groups
            (n,) codes of the groups, 0 to ``count`` - 1.
        outcomes
            (n,) bool.
        ridge, own_ridge
            How much the squares of the shared and of the groups' own weights count. Intercepts are
            free, so each group's probabilities average to its share of positive outcomes.
        """
        width = features.shape[1]
        outcome = outcomes.astype(np.float64)
        sizes = np.bincount(groups, minlength=count)
        positives = np.bincount(groups, weights=outcome, minlength=count)
        start = np.zeros(count + width + count * width)
        start[:count] = np.log((positives + 0.5) / (sizes - positives + 0.5))

        def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
            model = cls._of(weights, count, width)
            logits = model.logits(features, groups)
            value = np.logaddexp(0.0, logits).sum() - outcome @ logits
            value += ridge / 2 * model.shared @ model.shared + own_ridge / 2 * (model.own**2).sum()
            residual = expit(logits) - outcome
            own = np.zeros((count, width))
            np.add.at(own, groups, residual[:, None] * features)
            gradient = [
                np.bincount(groups, weights=residual, minlength=count),
                own.sum(axis=0) + ridge * model.shared,
                (own + own_ridge * model.own).ravel(),
            ]
            return float(value), np.concatenate(gradient)

        found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500})
        return cls._of(found.x, count, width)

    @classmethod
    def _of(cls, weights: np.ndarray, count: int, width: int) -> Self:
        shared = weights[count : count + width]
        return cls(weights[:count], shared, weights[count + width :].reshape(count, width))

    def logits(self, features: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """Return log-odds, (n,), of features (n, F) in groups (n,)."""
        weights = self.shared + self.own[groups]
        return self.intercepts[groups] + np.einsum("nf,nf->n", features, weights)
