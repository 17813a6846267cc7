"""Attention of each event to itself and to the events before it, nearer ones first if wished."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

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

    Parameters
    ----------
    width
        Of inputs and outputs.
    heads
        Mixes side by side, each of ``width / heads`` columns.
    recency_bias
        Whether an event's weight depends on its distance, too.

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
