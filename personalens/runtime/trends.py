"""What trends now: trending recipes take in the streamed events of everybody.

Amazon Personalize: aws-trending-now and its like evaluate the interactions, streamed ones included,
at their interval of ``trend_discovery_frequency``. Here they do at once, so that a learner sees it.
"""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from personalens.datasets.interactions import History
from personalens.recipes.trending_now import TrendingNow, newest_time
from personalens.runtime.deployments import Deployment
from personalens.runtime.recent_values import RecentValues
from personalens.runtime.users import Scores
from personalens.settings.event_selection import takes
from personalens.settings.solution_config import EVENTS_UNTIL, heeded_config

if TYPE_CHECKING:
    from personalens.storage.event_log import EventLog

KEPT_TRENDS = 64


@dataclass(frozen=True, eq=False)
class _Trend:
    """The streamed events that still count for a model, and its scores with them."""

    model: weakref.ref[TrendingNow]
    revision: int
    read_until: int
    item_codes: np.ndarray
    timestamps: np.ndarray
    scores: Scores


class Trends:
    """The scores of trending models as of now. Safe to share between threads."""

    def __init__(self, events: EventLog):
        self._events = events
        self._kept: RecentValues[_Trend] = RecentValues(KEPT_TRENDS)
        self._lock = threading.Lock()

    def of(self, deployment: Deployment) -> Scores:
        """Return the scores of a deployed :class:`~personalens.recipes.trending_now.TrendingNow`,
        with all events of known users that were put into its dataset group since it was trained, as
        the next training would see them. Only what is new is read."""
        revision = self._events.revision(deployment.stream)
        found = self._known(deployment)
        if found is None or found.revision != revision:
            with self._lock:
                found = self._take_in(deployment, self._known(deployment), revision)
                self._kept.keep(deployment.solution_version_arn, found)
        return found.scores

    def is_current(self, deployment: Deployment) -> bool:
        """Whether there is nothing new to be read."""
        found = self._known(deployment)
        return found is not None and found.revision == self._events.revision(deployment.stream)

    def _known(self, deployment: Deployment) -> _Trend | None:
        found = self._kept.get(deployment.solution_version_arn)
        return found if found is not None and found.model() is deployment.model else None

    def _take_in(self, deployment: Deployment, before: _Trend | None, revision: int) -> _Trend:
        model, until = deployment.model, self._events.newest()
        if before is None:
            after = deployment.trained.get(EVENTS_UNTIL, 0)
            found = [(np.zeros(0, np.int32), np.zeros(0, np.int64))]
        else:
            after, found = before.read_until, [(before.item_codes, before.timestamps)]
        for batch in self._events.batches(deployment.stream, after=after, until=until):
            found.append(_events_of(deployment, batch))
        codes, times = (np.concatenate(parts) for parts in zip(*found, strict=True))
        scores = Scores(model.with_events(codes, times)[np.newaxis])
        counts = times > newest_time(times) - 2 * model.interval  # the others never will again
        kept = codes[counts], times[counts]
        return _Trend(weakref.ref(model), revision, until, *kept, scores)


def _events_of(deployment: Deployment, batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
    """Return codes and seconds of the events of a batch that the solution learns from and that are
    about items of the model."""
    events = History(
        deployment.model.items_.encode(batch["ITEM_ID"].to_pylist()),
        batch["TIMESTAMP"].to_numpy(),
        batch["EVENT_VALUE"].to_numpy(zero_copy_only=False),
        batch["EVENT_TYPE"].to_numpy(zero_copy_only=False),
    )
    config = heeded_config(deployment.trained)
    keep = takes(events, deployment.trained.get("eventType"), config) & (events.item_codes >= 0)
    return events.item_codes[keep], events.timestamps[keep]
