"""Which events a model may learn from, and which it is asked about: three protocols."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import pandas as pd

from personalens.datasets.id_maps import IdMap
from personalens.datasets.interactions import History, Interactions, histories_before
from personalens.datasets.metadata import Metadata

TEST_USER_SHARE = 0.1


class Holdout(Protocol):
    """A split: whatever else it has, a model learns from ``train`` and is then asked."""

    train: Interactions


@dataclass(frozen=True, eq=False)
class ServiceHoldout:
    """Amazon Personalize's hold-out: the model has never seen the users it is tested on.

    Attributes
    ----------
    train
        All events of the other users.
    inputs
        The oldest 90 % of each test user's events: what the model is shown.
    truths
        The newest 10 % of each test user's events, at least one: what it should have recommended.
    test_users
        Codes of the test users, ascending, in the vocabulary that the three tables share.

    Notes
    -----
    All three keep the vocabularies of the interactions that were split: a truth may be an item
    that only test users have had. No model can know it; it counts as a miss.
    """

    train: Interactions
    inputs: Interactions
    truths: Interactions
    test_users: np.ndarray

    @property
    def user_ids(self) -> list[str]:
        """Identifiers of the test users, in the order of ``test_users``."""
        return [str(user) for user in self.inputs.users.decode(self.test_users)]

    def truth_codes(self, user_code: int) -> np.ndarray:
        """Return the distinct items, as codes, that a test user chose in the end."""
        return np.unique(self.truths.item_codes[self.truths.rows_of(user_code)])


def service_holdout(
    interactions: Interactions, seed: int = 0, *, test_user_share: float = TEST_USER_SHARE
) -> ServiceHoldout:
    """Split as GetSolutionMetrics does: 10 % of the users test, on the newest 10 % of their events.

    A test user's n events give the newest ceil(n / 10) as truths, so 1 of 2 to 10 events, 2 of 11
    to 20 (the rule of the temporal hold-out notebook among Amazon Personalize's samples).

    Parameters
    ----------
    interactions
        Everything.
    seed
        Of the draw of test users.
    test_user_share
        Share of the users that are drawn, at least one user.

    Raises
    ------
    ValueError
        If no split is possible: it needs a user with two events or more, and one user more.

    Notes
    -----
    Users with a single event cannot give both an input and a truth. They are never drawn, and
    train. The share is of the users who can be drawn.
    """
    counts = np.diff(interactions.offsets)
    eligible = np.flatnonzero(counts >= 2)
    if not eligible.size or np.count_nonzero(counts) < 2:
        raise ValueError(
            f"the hold-out needs at least two users, one of them with two events or more; these "
            f"{len(interactions)} interactions have {np.count_nonzero(counts)} users, "
            f"{eligible.size} with two events or more"
        )
    wanted = min(max(1, round(test_user_share * eligible.size)), np.count_nonzero(counts) - 1)
    return hold_out_users(interactions, np.random.default_rng(seed).permutation(eligible)[:wanted])


def hold_out_users(interactions: Interactions, test_users: np.ndarray) -> ServiceHoldout:
    """Split as :func:`service_holdout` does, with these users as test users: codes, in any order,
    of users with two events or more."""
    is_test = np.zeros(len(interactions.users), bool)
    is_test[test_users] = True
    counts = np.diff(interactions.offsets)
    test_rows = is_test[interactions.user_codes]
    newest = _places_from_the_end(interactions) < (counts[interactions.user_codes] + 9) // 10
    return ServiceHoldout(
        train=interactions.select(~test_rows),
        inputs=interactions.select(test_rows & ~newest),
        truths=interactions.select(test_rows & newest),
        test_users=np.sort(test_users).astype(np.int32),
    )


@dataclass(frozen=True, eq=False)
class NextItemCases:
    """Questions of the form "what came next?", one for each row.

    Attributes
    ----------
    interactions
        The events that the rows point into.
    rows
        (n,) positions of the events to be guessed. Everything that their user did before is known.
    """

    interactions: Interactions
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def user_codes(self) -> np.ndarray:
        """(n,) the users asked about."""
        return self.interactions.user_codes[self.rows]

    @property
    def item_codes(self) -> np.ndarray:
        """(n,) the right answers, in the vocabulary of ``interactions.items``."""
        return self.interactions.item_codes[self.rows]

    def histories(
        self, cases: Sequence[int], items: IdMap, *, users: Metadata | None = None
    ) -> list[History]:
        """Return what was known at these cases, in the codes of ``items``: the events before, the
        circumstances of the event asked for, as a request would give them, and of ``users``
        those who ask."""
        starts = self.interactions.offsets[self.user_codes]
        rows = [slice(int(starts[case]), int(self.rows[case])) for case in cases]
        histories = histories_before(self.interactions, rows, items=items)
        names = self.interactions.users.decode(self.user_codes[cases])
        return [
            replace(
                history,
                context=self._context(int(self.rows[case])),
                user={} if users is None else users.row(name),
            )
            for history, case, name in zip(histories, cases, names, strict=True)
        ]

    def _context(self, row: int) -> dict[str, str]:
        columns = self.interactions.request_context
        found = {name: values[row] for name, values in columns.items()}
        return {name: str(value) for name, value in found.items() if not pd.isna(value)}


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """Each user's last event is the test, the one before it the validation.

    Attributes
    ----------
    train
        Everything before the validation event(s): to learn from while choosing settings.
    train_and_validation
        Everything before the test event(s): to learn from once the settings are chosen.
    validation, test
        The questions. A history reaches up to the event that is asked for, so a test history holds
        the validation event.
    """

    train: Interactions
    train_and_validation: Interactions
    validation: NextItemCases
    test: NextItemCases


def leave_one_out(
    interactions: Interactions, *, min_events: int = 5, positions: int = 1
) -> LeaveOneOut:
    """Split by each user's order of events: the protocol of most papers on sequences.

    Parameters
    ----------
    interactions
        Everything.
    min_events
        Users with fewer events are left out, from training too.
    positions
        How many events at the end of each user are asked for: with 3 the last three are three test
        questions, each with everything before it as history, and the three before them validate.
        More questions a user make the figures less noisy, not independent.

    Raises
    ------
    ValueError
        If ``min_events`` leaves a user nothing to learn from, or no user has that many events.
    """
    if positions < 1 or min_events < 2 * positions + 1:
        raise ValueError(
            f"positions={positions} needs min_events of at least {2 * max(positions, 1) + 1} "
            f"(got {min_events}): the events asked for, twice, and one to learn from"
        )
    kept = np.diff(interactions.offsets) >= min_events
    if not kept.any():
        raise ValueError(f"no user has {min_events} events or more; lower min_events")
    interactions = interactions.select(kept[interactions.user_codes])
    place = _places_from_the_end(interactions)
    is_validation = (place >= positions) & (place < 2 * positions)
    return LeaveOneOut(
        train=interactions.select(place >= 2 * positions),
        train_and_validation=interactions.select(place >= positions),
        validation=NextItemCases(interactions, np.flatnonzero(is_validation)),
        test=NextItemCases(interactions, np.flatnonzero(place < positions)),
    )


@dataclass(frozen=True, eq=False)
class WithinUserHoldout:
    """Every user trains with their older events and tests with their newest.

    Attributes
    ----------
    train, truths
        The oldest and the newest events; both keep the vocabularies of what was split.
    """

    train: Interactions
    truths: Interactions

    def users_of_items(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return who came to which item among the truths: (m,) codes of items, ascending, the
        (m + 1,) borders of their users, and the codes of the distinct users of each item."""
        count = len(self.truths.users)
        pairs = np.unique(self.truths.item_codes.astype(np.int64) * count + self.truths.user_codes)
        items, starts = np.unique(pairs // count, return_index=True)
        return items, np.append(starts, len(pairs)), pairs % count


def within_user_holdout(interactions: Interactions) -> WithinUserHoldout:
    """Split as the service does for USER_SEGMENTATION: 80 % of each user's events train.

    The newest fifth, rounded down, is the truth: a user with fewer than five events only trains.

    Raises
    ------
    ValueError
        If no user has five events.
    """
    counts = np.diff(interactions.offsets)[interactions.user_codes]
    is_truth = _places_from_the_end(interactions) < counts // 5
    if not is_truth.any():
        raise ValueError("the hold-out needs a user with at least 5 events; there is none")
    return WithinUserHoldout(interactions.select(~is_truth), interactions.select(is_truth))


def _places_from_the_end(interactions: Interactions) -> np.ndarray:
    """Return for each event how many later events its user has, (n,) int64."""
    ends = interactions.offsets[1:][interactions.user_codes]
    return ends - 1 - np.arange(len(interactions))
