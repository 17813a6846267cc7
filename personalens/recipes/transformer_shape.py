"""The transformer of the recipes of the second version, in its sizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from personalens.networks.causal_transformer import TransformerEncoder
from personalens.networks.dropout import Dropout
from personalens.recipes.hrnn import RECENT_DECAYS
from personalens.recipes.session_model import DROPOUT, SessionShape

HIDDEN_SIZE, BLOCKS, HEADS = 64, 1, 2
DROPOUT_INSIDE = 0.2


@dataclass(frozen=True)
class TransformerShape(SessionShape):
    """A reader by attention; without ``recency_bias`` all events that a user had weigh the same."""

    recency_bias: bool

    def encoder(self, width: int, rng: np.random.Generator) -> TransformerEncoder:
        """Return the part of the network that reads a history."""
        return TransformerEncoder(
            width,
            HIDDEN_SIZE,
            blocks=BLOCKS,
            heads=HEADS,
            recency_bias=self.recency_bias,
            decays=RECENT_DECAYS if self.recency_bias else (),
            drop=Dropout(DROPOUT, rng),
            drop_inside=Dropout(DROPOUT_INSIDE, rng),
        )
