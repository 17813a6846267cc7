"""What the accuracy benchmark asks: five protocols, each as rounds of one training and questions.

* ``next-item``: each user's last event (or last few); one round, :func:`leave_one_out`.
* ``hold-out``: the newest tenth of the events of a tenth of the users, who do not train; ten draws,
  :func:`service_holdout`. What GetSolutionMetrics reports.
* ``hold-out-tenths``: the same of each user once, in ten folds, so that no luck of a draw decides.
* ``hold-out-known``: the hold-out that the target for ``hold-out`` was set by. The older events of
  the test users train too, and the rest is as it was there: see :func:`known_users`.
* ``unseen-users``: the last event of users who do not train; each user once, in ten folds. What
  Amazon's notebooks of 2018 and 2019 report.

Settings are chosen on a round of the same form within the first round's training events; those of
``hold-out-known`` on one where, as in ``hold-out``, who is asked does not train.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.peers.exchange import Task
from personalens import datasets
from personalens.datasets.interactions import EVENT_VALUE, ITEM_ID, TIMESTAMP, USER_ID, Interactions
from personalens.evaluation.holdouts import (
    NextItemCases,
    ServiceHoldout,
    hold_out_users,
    leave_one_out,
    service_holdout,
)

PROTOCOLS = ("next-item", "hold-out", "hold-out-tenths", "hold-out-known", "unseen-users")
FIRST_KNOWN_SEED = 42
"""Of ``hold-out-known``: the one draw that the target was set by comes first."""
VALIDATION_SEED = 1000


@dataclass(frozen=True, eq=False)
class Round:
    """One training and the questions put to it."""

    train: Interactions
    known: Interactions  # histories are cut from these; the same vocabularies
    starts: np.ndarray  # (questions,) rows of ``known``, with ``stops``: what had happened before
    stops: np.ndarray
    truths: list[np.ndarray]  # for each question the codes of the right items

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def users(self) -> np.ndarray:
        """(questions,) the user codes that are asked about."""
        return self.known.user_codes[self.starts]

    def slices(self) -> list[slice]:
        """Return the rows of each question's history."""
        return [slice(a, b) for a, b in zip(self.starts.tolist(), self.stops.tolist(), strict=True)]

    def task(self) -> Task:
        """Return the round as another environment's process gets it: without the answers."""
        rows = np.concatenate([np.arange(each.start, each.stop) for each in self.slices()])
        return Task(
            sizes=np.array([len(self.train.users), len(self.train.items)]),
            user_codes=self.train.user_codes,
            item_codes=self.train.item_codes,
            timestamps=self.train.timestamps,
            askers=self.users,
            offsets=np.concatenate([[0], np.cumsum(self.stops - self.starts)]),
            history_items=self.known.item_codes[rows],
            history_times=self.known.timestamps[rows],
        )


@dataclass(frozen=True, eq=False)
class Split:
    """A protocol on a data set: ``validation`` to choose settings by, and the ``rounds``."""

    validation: Round
    rounds: list[Round]


def split_data(dataset: str, protocol: str, *, last: int = 1, rounds: int = 10) -> Split:
    """Load a data set and split it; the same arguments give the same split in every process.

    ``last`` is for "next-item": so many events at the end of each user are asked for. ``rounds``
    are the draws of test users, or the folds of all users.
    """
    frame = datasets.load(dataset).interactions
    interactions = Interactions.from_frame(frame)
    if protocol == "hold-out-known":
        interactions = in_file_order(interactions, frame)
    return split_interactions(interactions, protocol, last=last, rounds=rounds)


def split_interactions(
    interactions: Interactions, protocol: str, *, last: int = 1, rounds: int = 10
) -> Split:
    """Split interactions; see :func:`split_data`."""
    if protocol == "next-item":
        split = leave_one_out(interactions, min_events=max(5, 2 * last + 1), positions=last)
        return Split(
            _next_items(split.train, split.validation),
            [_next_items(split.train_and_validation, split.test)],
        )
    if protocol == "hold-out":
        return _holdouts([service_holdout(interactions, seed) for seed in range(rounds)])
    if protocol == "hold-out-tenths":
        folds = _user_folds(interactions, rounds)
        return _holdouts([hold_out_users(interactions, fold) for fold in folds])
    if protocol == "hold-out-known":
        seeds = range(FIRST_KNOWN_SEED, FIRST_KNOWN_SEED + rounds)
        return _holdouts([known_users(interactions, seed) for seed in seeds])
    if protocol == "unseen-users":
        folds = _user_folds(interactions, rounds)
        inner = _user_folds(_without(interactions, folds[0]), rounds, VALIDATION_SEED)
        return Split(
            _last_items(_without(interactions, folds[0]), inner[0]),
            [_last_items(interactions, fold) for fold in folds],
        )
    raise ValueError(f"protocol is {protocol!r}; choose one of {', '.join(PROTOCOLS)}")


def in_file_order(interactions: Interactions, frame: pd.DataFrame) -> Interactions:
    """Return the interactions of a frame with the events of one second in the frame's order."""
    users = interactions.users.encode(frame[USER_ID].astype(str).to_numpy(object))
    times = frame[TIMESTAMP].to_numpy(np.int64)
    order = np.lexsort((times, users))
    items = interactions.items.encode(frame[ITEM_ID].astype(str).to_numpy(object)[order])
    values = frame[EVENT_VALUE].to_numpy(np.float32)[order] if EVENT_VALUE in frame else None
    return Interactions(
        interactions.users,
        interactions.items,
        users[order].astype(np.int32),
        items.astype(np.int32),
        times[order],
        values,
    )


def known_users(interactions: Interactions, seed: int) -> ServiceHoldout:
    """Draw test users as the measurement did that the target was set by.

    A tenth of the users test on the newest tenth of their events, rounded, at least one; all other
    events train. A temporal hold-out for users that the model knows.
    """
    counts = np.diff(interactions.offsets)
    ids = interactions.users.ids
    by_number = np.array(sorted(range(len(ids)), key=lambda code: (len(ids[code]), ids[code])))
    size = max(1, round(0.1 * len(ids)))
    drawn = by_number[np.random.default_rng(seed).choice(len(ids), size, replace=False)]
    is_test = np.isin(interactions.user_codes, drawn)
    newest = np.maximum(1, np.round(0.1 * counts)).astype(int)
    place = interactions.offsets[1:][interactions.user_codes] - 1 - np.arange(len(interactions))
    is_truth = is_test & (place < newest[interactions.user_codes])
    return ServiceHoldout(
        train=interactions.select(~is_truth),
        inputs=interactions.select(is_test & ~is_truth),
        truths=interactions.select(is_truth),
        test_users=np.sort(drawn).astype(np.int32),
    )


def _next_items(train: Interactions, cases: NextItemCases) -> Round:
    events, rows = cases.interactions, cases.rows
    return Round(train, events, events.offsets[cases.user_codes], rows, _single(cases.item_codes))


def _holdouts(holdouts: list[ServiceHoldout]) -> Split:
    inner = service_holdout(holdouts[0].train, VALIDATION_SEED)
    return Split(_held_out(inner), [_held_out(each) for each in holdouts])


def _held_out(holdout: ServiceHoldout) -> Round:
    offsets, users = holdout.inputs.offsets, holdout.test_users
    truths = [holdout.truth_codes(user) for user in users]
    return Round(holdout.train, holdout.inputs, offsets[users], offsets[users + 1], truths)


def _last_items(interactions: Interactions, users: np.ndarray) -> Round:
    last = interactions.offsets[users + 1] - 1
    return Round(
        _without(interactions, users),
        interactions,
        interactions.offsets[users],
        last,
        _single(interactions.item_codes[last]),
    )


def _user_folds(interactions: Interactions, folds: int, seed: int = 0) -> list[np.ndarray]:
    """Return disjoint sets of users with two events or more, which together are all of them."""
    able = np.flatnonzero(np.diff(interactions.offsets) >= 2)
    shuffled = np.random.default_rng(seed).permutation(able)
    return [np.sort(fold) for fold in np.array_split(shuffled, folds)]


def _without(interactions: Interactions, users: np.ndarray) -> Interactions:
    return interactions.select(~np.isin(interactions.user_codes, users))


def _single(item_codes: np.ndarray) -> list[np.ndarray]:
    return [item_codes[place : place + 1] for place in range(len(item_codes))]
