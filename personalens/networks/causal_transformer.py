"""The transformer that reads a history: attention to what came before, running means beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from personalens.networks.causal_attention import CausalAttention, Past
from personalens.networks.dropout import Dropout
from personalens.networks.recent_means import RecentMeans

_INNER = 2
_BRANCH_AT_START, _OUTPUT_SPREAD = 0.5, 0.05


class TransformerState(NamedTuple):
    """What is kept of a history: every block's keys and values, the newest event's state (B, W),
    and the running means (K + 1, B, E). It grows with the history."""

    past: tuple[Past, ...]
    newest: Tensor
    means: Tensor


class Block(nn.Module):
    """Attention, then two layers for each event by itself; each adds to what it was given.

    x' = x + drop(attention(norm(x))), then x'' = x' + drop(B drop(gelu(A norm(x')))): normalised
    before each part and not after it, so that the sum itself is never rescaled.

    References
    ----------
    Xiong et al., "On Layer Normalization in the Transformer Architecture", ICML 2020.
    """

    def __init__(self, width: int, heads: int, *, recency_bias: bool, drop: Dropout):
        super().__init__()
        self.attention = CausalAttention(width, heads, recency_bias=recency_bias)
        self.before_attention = nn.LayerNorm(width)
        self.before_layers = nn.LayerNorm(width)
        self.up = nn.Linear(width, _INNER * width)
        self.down = nn.Linear(_INNER * width, width)
        self.drop = drop

    def forward(self, states: Tensor, past: Past | None = None) -> tuple[Tensor, Past]:
        """Return the new states (T, B, W) of the newest T events, and the past with them."""
        mixed, past = self.attention(self.before_attention(states), past)
        states = states + self.drop(mixed)
        inner = functional.gelu(self.up(self.before_layers(states)), approximate="tanh")
        return states + self.drop(self.down(self.drop(inner))), past


class TransformerEncoder(nn.Module):
    """Follow a history with causal self-attention and what came lately with running means.

    Parameters
    ----------
    width
        Of the item vectors.
    hidden_size
        Width of the states.
    blocks, heads
        Blocks one after the other, and heads of attention in each.
    recency_bias
        Whether attention depends on how long ago an event was.
    decays
        Of the running means; see :class:`~personalens.networks.recent_means.RecentMeans`.
    drop
        What is applied to inputs and final states in training.
    drop_inside
        What is applied inside the blocks.

    Notes
    -----
    For item vectors e_s and whole inputs x_s at the steps s = 1..t::

        state  = norm(blocks(A drop(x_s) for s = 1..t))
        vector = B drop(state) + mix of running means of drop(e_s)

    It takes the place of :class:`~personalens.networks.recurrent_encoder.RecurrentEncoder`. The
    pauses between events are among the inputs.

    References
    ----------
    Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018 (SASRec).
    """

    def __init__(
        self,
        width: int,
        hidden_size: int,
        *,
        blocks: int = 1,
        heads: int = 2,
        recency_bias: bool = True,
        decays: Sequence[float] = (0.0, 0.8, 0.95),
        drop: Dropout,
        drop_inside: Dropout,
    ):
        super().__init__()
        self.width, self.hidden_size = width, hidden_size
        self.into = nn.Linear(width, hidden_size)
        self.blocks = nn.ModuleList(
            Block(hidden_size, heads, recency_bias=recency_bias, drop=drop_inside)
            for _ in range(blocks)
        )
        self.norm = nn.LayerNorm(hidden_size)
        self.to_item_space = nn.Linear(hidden_size, width)
        self.means = RecentMeans(decays)
        self.drop = drop

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the start weights."""
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=layer.in_features**-0.5, generator=generator)
                nn.init.zeros_(layer.bias)
        nn.init.normal_(self.to_item_space.weight, std=_OUTPUT_SPREAD, generator=generator)
        with torch.no_grad():
            for block in self.blocks:
                for last in (block.attention.out, block.down):
                    last.weight.mul_(_BRANCH_AT_START)

    def forward(self, items: Tensor, inputs: Tensor, positions: Tensor) -> Tensor:
        """Return (n, E) at ``positions`` among the L * B places of (L, B, E) vectors of items and
        whole inputs; what comes after a place does not reach it."""
        states = self.into(self.drop(inputs))  # (L, B, W)
        for block in self.blocks:
            states, _ = block(states)
        recent = self.means(self.drop(items)).flatten(0, 1)  # (L * B, E)
        states = states.flatten(0, 1).index_select(0, positions)
        return self._to_items(states) + recent.index_select(0, positions)

    # -- from state to state -----------------------------------------------------------------

    def start(self, batch: int) -> TransformerState:
        """Return the state before anything was read."""
        nothing = self.into.weight.new_zeros(0, batch, self.hidden_size)
        return TransformerState(
            tuple(Past(nothing, nothing) for _ in self.blocks),
            self.into.weight.new_zeros(batch, self.hidden_size),
            self.means.start(batch, self.width),
        )

    def read(self, state: TransformerState, items: Tensor, inputs: Tensor) -> TransformerState:
        """Return the state after more events: vectors (L, B, E) of items and whole inputs."""
        newest, read = self.into(inputs), []
        for block, before in zip(self.blocks, state.past, strict=True):
            newest, past = block(newest, before)
            read.append(past)
        return TransformerState(tuple(read), newest[-1], self.means.read(state.means, items))

    def decode(self, state: TransformerState) -> Tensor:
        """Return (B, E): a state's vectors in item space."""
        return self._to_items(state.newest) + self.means.mix(state.means)

    def _to_items(self, states: Tensor) -> Tensor:
        return self.to_item_space(self.drop(self.norm(states)))
