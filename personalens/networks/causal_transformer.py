"""The transformer that reads a history: attention to what came before, running means beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from personalens.networks.session_network import Dropout, RecentMeans

_EXACT, _PER_OCTAVE, _DISTANCES = 8, 2, 18
"""Distances of so many steps and less have a bias each, longer ones two for each doubling; the
last of the eighteen begins at some 180 steps."""
_STEEPEST, _FLATTER = 0.5, 0.25


class Past(NamedTuple):
    """Keys and values (S, B, W) of the events that were read."""

    keys: Tensor
    values: Tensor


class CausalAttention(nn.Module):
    """Mix what the events up to each one hold, by what they are and by how long ago they were.

    Notes
    -----
    In each head, at step t, for queries q, keys k and values v, all linear in the inputs::

        output = sum over s <= t of softmax_s(q_t . k_s / sqrt(width / heads) + bias(t - s)) v_s

    The biases are learned, one for each distance, longer distances in groups. They start as lines
    of a slope for each head, so that each looks back over a range of its own. Without them what
    came before an event is a set, whose order means nothing.

    References
    ----------
    Vaswani et al., "Attention Is All You Need", NeurIPS 2017. Raffel et al., "Exploring the Limits
    of Transfer Learning with a Unified Text-to-Text Transformer", JMLR 2020 (biases for groups of
    distances). Press, Smith and Lewis, "Train Short, Test Long: Attention with Linear Biases",
    ICLR 2022 (the slopes).

    Examples
    --------
    >>> attention = CausalAttention(4, heads=2)
    >>> output, past = attention(torch.zeros(5, 3, 4))  # five steps of three users
    >>> output.shape, past.keys.shape
    (torch.Size([5, 3, 4]), torch.Size([5, 3, 4]))
    """

    def __init__(self, width: int, heads: int, *, recency_bias: bool = True):
        super().__init__()
        if width % heads:
            raise ValueError(f"a width of {width} does not divide into {heads} heads")
        self.heads = heads
        self.into = nn.Linear(width, 3 * width)  # queries, keys, values
        self.out = nn.Linear(width, width)
        self.bias = nn.Parameter(_lines(heads)) if recency_bias else None

    def forward(self, inputs: Tensor, past: Past | None = None) -> tuple[Tensor, Past]:
        """Return (T, B, W) for the newest T events (T, B, W), and the past with them.

        ``past`` has the events before them; None: there are none.
        """
        queries, keys, values = self.into(inputs).chunk(3, dim=2)
        if past is not None:
            keys, values = torch.cat([past.keys, keys]), torch.cat([past.values, values])
        scale = math.sqrt(self.heads / inputs.shape[2])
        scores = torch.baddbmm(
            self._distance_scores(len(inputs), len(keys)).repeat(inputs.shape[1], 1, 1),
            self._by_head(queries),
            self._by_head(keys).transpose(1, 2),
            alpha=scale,
        )  # (B * heads, T, S)
        mixed = scores.softmax(2) @ self._by_head(values)
        mixed = mixed.transpose(0, 1).reshape(inputs.shape)
        return self.out(mixed), Past(keys, values)

    def _by_head(self, values: Tensor) -> Tensor:
        """Return (B * heads, L, W / heads) of (L, B, W)."""
        steps, batch, width = values.shape
        return values.reshape(steps, batch * self.heads, width // self.heads).transpose(0, 1)

    def _distance_scores(self, newest: int, steps: int) -> Tensor:
        """Return (heads, newest, steps): the bias of each distance, -inf for the future."""
        place = torch.arange(steps, device=self.out.weight.device)
        distance = place[steps - newest :, None] - place
        if self.bias is None:
            scores = self.out.weight.new_zeros(self.heads, newest, steps)
        else:
            scores = self.bias[:, _group(distance.clamp(min=0))]
        return scores.masked_fill(distance < 0, -math.inf)


def _group(distance: Tensor) -> Tensor:
    """Return which bias distances have.

    >>> _group(torch.tensor([0, 1, 7, 8, 11, 12, 16, 181, 182, 999])).tolist()
    [0, 1, 7, 8, 8, 9, 10, 16, 17, 17]
    """
    octaves = torch.log2(distance.clamp(min=_EXACT) / _EXACT)
    longer = _EXACT + (_PER_OCTAVE * octaves).long()
    return torch.where(distance < _EXACT, distance, longer.clamp(max=_DISTANCES - 1))


def _lines(heads: int) -> Tensor:
    """Return (heads, distances): straight lines that fall half a point a step in the first head, a
    quarter of that in the next."""
    distance = torch.arange(256)
    count = torch.bincount(_group(distance), minlength=_DISTANCES)
    middle = torch.bincount(_group(distance), distance, minlength=_DISTANCES) / count
    slopes = _STEEPEST * _FLATTER ** torch.arange(heads)
    return -(slopes[:, None] * middle).float()


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

    Notes
    -----
    For item vectors e_s and whole inputs x_s at the steps s = 1..t::

        state  = norm(blocks(A drop(x_s) for s = 1..t))
        vector = B drop(state) + mix of running means of drop(e_s)

    It takes the place of :class:`~personalens.networks.session_network.RecurrentEncoder`. The
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
