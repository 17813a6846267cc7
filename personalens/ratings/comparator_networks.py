"""The networks that the rating head is compared with, as their papers have them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from personalens.networks.gru import GRU
from personalens.networks.session_network import FieldValues
from personalens.ratings.rating_network import RatingBatch


class FactorizationMachine(nn.Module):
    """Mean + weights of user, item and the item's fields + products of all pairs of their vectors.

    The products are summed as half of (the sum's square - the squares' sum). Code ``users`` stands
    for anybody else, code ``items`` for any other item: they have neither weight nor vector.

    References
    ----------
    Rendle, "Factorization Machines", ICDM 2010.
    """

    def __init__(
        self,
        users: int,
        items: int,
        fields: FieldValues,
        field_values: int,
        *,
        size: int,
        mean: float,
        rng: np.random.Generator,
    ):
        super().__init__()
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        # The last column of each table is the weight.
        self.user = nn.Embedding(users + 1, size + 1, padding_idx=users)
        self.item = nn.Embedding(items + 1, size + 1, padding_idx=items)
        self.field = nn.Embedding(field_values, size + 1)
        self.mean = nn.Parameter(torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("codes", fields.codes)
        self.register_buffer("weights", fields.weights)
        with torch.no_grad():
            for table in (self.user, self.item, self.field):
                nn.init.normal_(table.weight, std=0.02, generator=generator)
                table.weight[:, -1] = 0.0
            self.user.weight[users] = 0.0
            self.item.weight[items] = 0.0

    def forward(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Return (n,) ratings, and the sum of squares of all parameters that made them."""
        of_user, of_item = self.user(users), self.item(items)
        parts = self.field(self.codes[items]) * self.weights[items][..., None]  # (n, M, E + 1)
        total = of_user + of_item + parts.sum(1)
        squares = of_user.square() + of_item.square() + parts.square().sum(1)
        pairs = 0.5 * (total[:, :-1].square() - squares[:, :-1]).sum(1)
        return self.mean + total[:, -1] + pairs, squares.sum()


class AutoRec(nn.Module):
    """Squeeze an item's ratings by all users through one hidden layer, and spell them out again.

    References
    ----------
    Sedhain et al., "AutoRec: Autoencoders Meet Collaborative Filtering", WWW 2015 (I-AutoRec).
    """

    def __init__(self, users: int, *, hidden_size: int, rng: np.random.Generator):
        super().__init__()
        self.encode = nn.Linear(users, hidden_size)
        self.decode = nn.Linear(hidden_size, users)
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        for layer in (self.encode, self.decode):
            nn.init.normal_(layer.weight, std=0.02, generator=generator)
            nn.init.zeros_(layer.bias)

    def forward(self, ratings: Tensor) -> Tensor:
        """Return (B, users) for the ratings (B, users), 0 where there is none."""
        return self.decode(torch.sigmoid(self.encode(ratings)))

    def penalty(self) -> Tensor:
        """Return the sum of squares of the weights."""
        return self.encode.weight.square().sum() + self.decode.weight.square().sum()


class RatingGRU(nn.Module):
    """Read item and rating of each event, and compare the state with the next item's vector.

    No pauses, no sessions, no running means: what "RNN" stands for in the deck's chart.
    """

    def __init__(
        self,
        items: int,
        *,
        hidden_size: int,
        embedding_size: int,
        rng: np.random.Generator,
    ):
        super().__init__()
        self.item = nn.Embedding(items + 1, embedding_size)  # the last is any other item
        self.bias = nn.Embedding(items + 1, 1)
        self.rating = nn.Linear(1, embedding_size)
        self.gru = GRU(embedding_size, hidden_size)
        self.to_item = nn.Linear(hidden_size, embedding_size)
        self.to_offset = nn.Linear(hidden_size, 1)
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        nn.init.normal_(self.item.weight, std=0.1, generator=generator)
        nn.init.zeros_(self.bias.weight)
        for part in (self.rating, self.gru, self.to_item, self.to_offset):
            for weights in part.parameters():
                bound = 1.0 if part is self.rating else hidden_size**-0.5
                nn.init.uniform_(weights, -bound, bound, generator=generator)

    def forward(self, batch: RatingBatch) -> Tensor:
        """Return (B, L): the values expected at all places."""
        item = self.item(batch.items)
        inputs = item + self.rating(batch.values[..., None])
        inputs = torch.cat([torch.zeros_like(inputs[:, :1]), inputs[:, :-1]], 1)
        states = self.gru(inputs.transpose(0, 1)).transpose(0, 1)
        taste = (self.to_item(states) * item).sum(-1)
        return taste + (self.to_offset(states) + self.bias(batch.items))[..., 0]

    def penalty(self) -> Tensor:
        """Return the sum of squares of what is known of single items."""
        return self.item.weight.square().sum() + self.bias.weight.square().sum()
