"""Which events a solution learns from, and how much each weighs.

Amazon Personalize: ``eventType``, ``eventValueThreshold`` and ``eventsConfig`` of CreateSolution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from personalens.datasets.interactions import EVENT_VALUE, History, Interactions
from personalens.settings.solution_config import INTERACTIONS, chosen_columns, parse_threshold


def select_interactions(
    events: Interactions, event_type: str | None, config: Mapping[str, Any]
) -> Interactions:
    """Return the events and columns that a solution learns from.

    An event counts if it is of the ``event_type``, spelled exactly so. By ``solutionConfig`` it
    also needs an EVENT_VALUE of at least ``eventValueThreshold``; ``eventsConfig`` says the same of
    each event type, and how much it weighs, and leaves out the types that it does not list;
    ``trainingDataConfig`` says which columns stay.
    """
    keep = takes(events, event_type, config)
    if parameters := _event_parameters(config):
        events = replace(events, event_weights=event_weights(events, parameters))
    selected = events if keep.all() else events.select(keep)
    optional = frozenset([*events.context, EVENT_VALUE])
    columns = chosen_columns(config.get("trainingDataConfig", {}), INTERACTIONS, optional)
    return replace(
        selected,
        event_values=selected.event_values if EVENT_VALUE in columns else None,
        context={name: column for name, column in selected.context.items() if name in columns},
    )


def takes(
    events: Interactions | History, event_type: str | None, config: Mapping[str, Any]
) -> np.ndarray:
    """Return (n,) bool: which events a solution learns from; see :func:`select_interactions`."""
    keep = _matches(events, event_type, parse_threshold(config.get("eventValueThreshold")))
    if parameters := _event_parameters(config):
        keep &= ~np.isnan(event_weights(events, parameters))
    return keep


def event_weights(
    events: Interactions | History, parameters: Sequence[Mapping[str, Any]]
) -> np.ndarray:
    """Return how much each event weighs by ``eventsConfig.eventParametersList``, (n,) float32.

    NaN where no entry takes the event. Where two entries do, the higher weight counts; an entry
    without a weight has 1.
    """
    weights = np.full(len(events), np.nan, np.float32)
    for entry in parameters:
        taken = _matches(events, entry["eventType"], entry.get("eventValueThreshold"))
        weights[taken] = np.fmax(weights[taken], np.float32(entry.get("weight", 1.0)))
    return weights


def _matches(
    events: Interactions | History, event_type: str | None, threshold: float | None
) -> np.ndarray:
    """Return which events are of a type and have a value of at least a threshold, (n,) bool."""
    keep = np.ones(len(events), bool)
    if event_type is not None:
        keep &= False if events.event_types is None else events.event_types == event_type
    if threshold is not None:
        keep &= False if events.event_values is None else events.event_values >= threshold
    return keep


def _event_parameters(config: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return config.get("eventsConfig", {}).get("eventParametersList", [])
