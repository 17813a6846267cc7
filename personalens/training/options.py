"""How to train, as opposed to what to train: nothing of this is a hyperparameter of the service."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from typing import Self

_VARIABLE_PREFIX = "PERSONALENS_TRAINING_"


@dataclass(frozen=True)
class TrainingOptions:
    """Options of the training loop.

    Examples
    --------
    >>> TrainingOptions(max_epochs=2).batch_size_for(1000)
    32
    >>> TrainingOptions().batch_size_for(40)
    2
    """

    max_epochs: int = 6
    """Passes over the data at most. The learning rate falls to zero over so many, whether or not
    the training stops before."""
    patience: int = 2
    """Stop after this many epochs without a better validation figure."""
    batch_size: int = 32
    """Histories (or windows of long ones) in a batch; fewer where the data are so few that an epoch
    would have less than ``min_batches``."""
    min_batches: int = 20
    learning_rate: float = 1.2e-2
    """At its peak."""
    warm_up_steps: int = 20
    """Batches over which the learning rate rises."""
    weight_decay: float = 0.1
    clip_norm: float = 1.0
    """The gradient's norm is cut to this."""
    checkpoint_folder: str = ""
    """Where trainings keep their state, a file each, so that one that was killed goes on where it
    was; the caller removes it. Empty: nowhere."""

    def __post_init__(self) -> None:
        for name in ("max_epochs", "patience", "batch_size", "min_batches"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")

    @classmethod
    def from_environment(cls) -> Self:
        """Return the defaults, except where a variable such as PERSONALENS_TRAINING_MAX_EPOCHS is
        set: so a lab or a test shortens the trainings that the service's worker runs.
        """
        chosen = {}
        for option in fields(cls):
            variable = _VARIABLE_PREFIX + option.name.upper()
            if text := os.environ.get(variable, "").strip():
                kind = type(option.default)
                try:
                    chosen[option.name] = kind(text)
                except ValueError:
                    raise ValueError(f"{variable} is {text!r}; it must be a number") from None
        return cls(**chosen)

    def batch_size_for(self, windows: int) -> int:
        """Return the batch size for so many windows."""
        return max(1, min(self.batch_size, windows // self.min_batches))
