"""Two networks over the same events, asked together: one knows the metadata, one items alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from personalens.networks.session_network import Events, Seen, SessionNetwork


class TwinNetwork(SessionNetwork):
    """A network that reads metadata, and beside it one that does not; their scores are mixed.

    What the two get wrong differs more than what two networks of one kind do, so the mean of both
    is better than either.

    The other one, ``beside``, has item vectors of the same width, without fields.

    Notes
    -----
    The vector of a history is the one of the first network with that of the second behind it, 2 E
    numbers. Scores are logarithms of shares of what training has met; an item that it has not met
    keeps the score of the first network, which is on the same scale.
    """

    def __init__(self, *parts: Any, beside: SessionNetwork, **options: Any):
        super().__init__(*parts, **options)
        self.beside = beside
        # How much the scores of ``beside`` count; the others count the rest.
        self.register_buffer("share", torch.tensor(0.5))
        # (items,): which items training has met; of the others ``beside`` knows nothing.
        self.register_buffer("is_known", torch.ones(self.catalogue_size, dtype=torch.bool))

    def forward(self, events: Events, positions: Tensor) -> Tensor:
        """Return (n, 2 E): the vectors at ``positions`` among the L * B places."""
        own = super().forward(events, positions)
        return torch.cat([own, self.beside(events, positions)], 1)

    def scores(self, vectors: Tensor, seen: Seen) -> Tensor:
        """Return (n, items) scores of vectors (n, 2 E), with what was seen before them."""
        own, beside = self.halves(vectors)
        first = self._log_shares(super().scores(own, seen))
        mixed = self._log_shares(first.lerp(self.beside.scores(beside, seen), self.share))
        return torch.where(self.is_known, mixed, first)

    def halves(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return the vectors (n, E) of either network."""
        own, beside = vectors.chunk(2, dim=1)
        return own, beside

    def _log_shares(self, scores: Tensor) -> Tensor:
        """Return scores (n, items) less what makes those of the known items shares of 1."""
        known = scores.masked_fill(~self.is_known, -torch.inf)
        return scores - known.logsumexp(1, keepdim=True)

    # -- from state to state -----------------------------------------------------------------

    def start(self, batch: int) -> Any:
        """Return both states before anything was read."""
        return super().start(batch), self.beside.start(batch)

    def read(self, state: Any, events: Events) -> Any:
        """Return both states after more events."""
        own, beside = state
        return super().read(own, events), self.beside.read(beside, events)

    def decode(self, state: Any, events: Events) -> Tensor:
        """Return (B, 2 E): the vectors of both states."""
        own, beside = state
        return torch.cat([super().decode(own, events), self.beside.decode(beside, events)], 1)
