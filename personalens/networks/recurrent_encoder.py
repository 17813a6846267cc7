"""The recurrent reader of a history: a GRU for the order, running means for what came lately."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from personalens.networks.dropout import Dropout
from personalens.networks.gru import GRU
from personalens.networks.recent_means import RecentMeans


class UserState(NamedTuple):
    """What is left of a history: the recurrent state (B, H), the means (K + 1, B, E), and the last
    item's vector (B, E)."""

    hidden: Tensor
    means: Tensor
    last: Tensor


class RecurrentEncoder(nn.Module):
    """Follow the order of events with a GRU and what came lately with running means.

    Parameters
    ----------
    width
        Of the item vectors.
    hidden_size
        Of the recurrent state.
    truncate
        Steps through which gradients flow back in the GRU.
    decays
        Of the running means; see :class:`~personalens.networks.recent_means.RecentMeans`.
    drop
        What is applied to inputs and states in training.

    Notes
    -----
    For item vectors e_s and whole inputs x_s at the steps s = 1..t::

        state  = GRU(drop(x_s) for s = 1..t)
        vector = A drop(state) + mix of running means of drop(e_s) + direction B drop(e_t)

    Running means say what is near to what: e_j . e_t is the same from either side. What comes after
    what is known to the GRU, but only as much as passes its narrow state. Where items have
    followers that do not lead back to them (episodes, refills), the matrix B tells them apart: a
    factorised Markov chain (Rendle et al., "Factorizing personalized Markov chains", WWW 2010).
    Where order means little, B would only learn noise; so ``direction`` is counted
    (:func:`~personalens.training.start_values.direction_of`) and not learned, and 0 leaves B out.
    """

    def __init__(
        self,
        width: int,
        hidden_size: int,
        *,
        truncate: int = 32,
        decays: Sequence[float] = (0.0, 0.8, 0.95),
        drop: Dropout,
    ):
        super().__init__()
        self.width = width
        self.gru = GRU(width, hidden_size, truncate=truncate)
        self.to_item_space = nn.Linear(hidden_size, width)
        self.means = RecentMeans(decays)
        self.follow = nn.Parameter(torch.zeros(width, width))
        self.register_buffer("direction", torch.zeros(()))
        self.drop = drop

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the start weights."""
        for weights in (*self.gru.parameters(), *self.to_item_space.parameters()):
            bound = self.gru.hidden_size**-0.5
            nn.init.uniform_(weights, -bound, bound, generator=generator)

    def forward(self, items: Tensor, inputs: Tensor, positions: Tensor) -> Tensor:
        """Return (n, E) at ``positions`` among the L * B places of (L, B, E) vectors of items and
        whole inputs; what comes after a place does not reach it."""
        states = self.gru(self.drop(inputs)).flatten(0, 1)  # (L * B, H)
        items = self.drop(items)
        recent = self.means(items).flatten(0, 1)  # (L * B, E)
        states, recent = states.index_select(0, positions), recent.index_select(0, positions)
        vectors = self.to_item_space(self.drop(states)) + recent
        return self._add_followers(vectors, items.flatten(0, 1).index_select(0, positions))

    def _add_followers(self, vectors: Tensor, last: Tensor) -> Tensor:
        """Return (n, E) vectors with what the last items (n, E) lead to."""
        if not self.direction:
            return vectors
        return vectors + last @ (self.direction * self.follow)

    # -- from state to state -----------------------------------------------------------------

    def start(self, batch: int) -> UserState:
        """Return the state before anything was read."""
        hidden = self.to_item_space.weight.new_zeros(batch, self.gru.hidden_size)
        last = hidden.new_zeros(batch, self.width)
        return UserState(hidden, self.means.start(batch, self.width), last)

    def read(self, state: UserState, items: Tensor, inputs: Tensor) -> UserState:
        """Return the state after more events: vectors (L, B, E) of items and whole inputs."""
        hidden = self.gru(inputs, state.hidden)[-1]
        return UserState(hidden, self.means.read(state.means, items), items[-1])

    def decode(self, state: UserState) -> Tensor:
        """Return (B, E): a state's vectors in item space."""
        vectors = self.to_item_space(state.hidden) + self.means.mix(state.means)
        return self._add_followers(vectors, state.last)
