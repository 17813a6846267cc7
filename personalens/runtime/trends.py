"""What trends now: trending recipes take in the streamed events of everybody.

Amazon Personalize: aws-trending-now and its like evaluate the interactions, streamed ones included,
at their interval of ``trend_discovery_frequency``. Here they do at once, so that a learner sees it.
"""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from personalens.datasets.histories import History
from personalens.recipes.trending_now import TrendingNow, newest_time
from personalens.runtime.deployments import Deployment
from personalens.runtime.score_vector import ScoreVector
from personalens.runtime.waiting import about_to_wait
from personalens.settings.event_selection import takes
from personalens.settings.solution_config import EVENTS_UNTIL, heeded_config

if TYPE_CHECKING:
    from personalens.storage.event_log import EventLog


@dataclass(frozen=True, eq=False)
class _Trend:
    """The streamed events that still count for a model, and its scores with them."""

    model: weakref.ref[TrendingNow]
    revision: int
    read_until: int
    item_codes: np.ndarray
    timestamps: np.ndarray
    scores: ScoreVector


class Trends:
    """The scores of trending models as of now. Safe to share between threads.

    Parameters
    ----------
    events
        Where streamed events are.
    """

    def __init__(self, events: EventLog):
        self._events = events
        self._known: dict[str, _Trend] = {}
        self._lock = threading.Lock()

    def of(self, deployment: Deployment) -> ScoreVector:
        """Return the scores of a deployed :class:`~personalens.recipes.trending_now.TrendingNow`,
        with all events of known users that were put into its dataset group since it was trained, as
        the next training would see them. Only what is new is read."""
        revision = self._events.revision(deployment.stream)
        known = self._known.get(deployment.solution_version_arn)
        if known is None or known.model() is not deployment.model or known.revision != revision:
            about_to_wait()
            with self._lock:
                known = self._known.get(deployment.solution_version_arn)
                if known is None or known.model() is not deployment.model:
                    known = _nothing_yet(deployment)
                known = self._take_in(deployment, known, revision)
                self._known[deployment.solution_version_arn] = known
        return known.scores

    def _take_in(self, deployment: Deployment, known: _Trend, revision: int) -> _Trend:
        model, until = deployment.model, self._events.newest()
        found = [(known.item_codes, known.timestamps)]
        for batch in self._events.batches(deployment.stream, after=known.read_until, until=until):
            found.append(_events_of(deployment, batch))
        codes, times = (np.concatenate(parts) for parts in zip(*found, strict=True))
        scores = ScoreVector(model.with_events(codes, times))
        counts = times > newest_time(times) - 2 * model.interval  # the others never will again
        codes, times = codes[counts], times[counts]
        return replace(
            known,
            revision=revision,
            read_until=until,
            item_codes=codes,
            timestamps=times,
            scores=scores,
        )


def _nothing_yet(deployment: Deployment) -> _Trend:
    return _Trend(
        weakref.ref(deployment.model),
        0,
        deployment.trained.get(EVENTS_UNTIL, 0),
        np.zeros(0, np.int32),
        np.zeros(0, np.int64),
        ScoreVector(np.zeros(0)),
    )


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
