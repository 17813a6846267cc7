"""A user as fields of fixed width, without a recurrence: averages of what they had, and more."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from personalens.networks.dropout import Dropout
from personalens.networks.recent_means import RecentMeans
from personalens.networks.session_network import Events, SessionNetwork

LAST_EVENT, REQUEST = "last event", "request"


class HistoryFields(nn.Module):
    """Average the vectors of what a user had, over memories of several lengths.

    Parameters
    ----------
    decays
        One for each average; see :class:`~personalens.networks.recent_means.RecentMeans`.
    drop
        What is applied to the events' vectors in training.
    """

    def __init__(self, decays: Sequence[float], *, drop: Dropout):
        super().__init__()
        self.means = RecentMeans(decays)
        self.drop = drop
        self.names = [f"average {number}" for number in range(len(self.means.weights))]

    def initialise(self, generator: torch.Generator) -> None:
        """Nothing is drawn: averages have no weights but those of their mix."""

    def forward(self, items: Tensor, inputs: Tensor, positions: Tensor) -> dict[str, Tensor]:
        """Return (n, E) for each field at ``positions`` among the L * B places.

        ``items`` and ``inputs`` (L, B, E) are the vectors of the events' items, and those with
        their circumstances added; the circumstances of the last event are a field of their own.
        """
        averages = self.means.each(self.drop(items)).flatten(1, 2)[:, positions]  # (K, n, E)
        last = (inputs - items).flatten(0, 1).index_select(0, positions)
        return dict(zip(self.names, averages, strict=True)) | {LAST_EVENT: last}

    def mix(self, fields: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the same fields, each average times its learned weight."""
        weights = dict(zip(self.names, self.means.weights, strict=True))
        return {n: values * weights.get(n, 1.0) for n, values in fields.items()}


class FieldNetwork(SessionNetwork):
    """A session network that reads fields: its ``encoder`` is a :class:`HistoryFields`."""

    encoder: HistoryFields

    @property
    def field_names(self) -> list[str]:
        """The fields of a request, in order."""
        return [*self.encoder.names, LAST_EVENT, *([] if self.query is None else [REQUEST])]

    def fields(self, events: Events, positions: Tensor) -> dict[str, Tensor]:
        """Return (n, E) for each field of the requests at ``positions``."""
        fields = self.encoder(*self._embed(events), positions)
        if self.query is not None:
            queries = events.queries.flatten(0, 1).index_select(0, positions)
            fields[REQUEST] = self.query(queries)
        return fields
