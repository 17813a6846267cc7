"""How to train, as opposed to what to train: nothing of this is a hyperparameter of the service."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields

_VARIABLE_PREFIX = "PERSONALENS_TRAINING_"


@dataclass(frozen=True)
class TrainingOptions:
    """Options of the training loop.

    Parameters
    ----------
    max_epochs
        Passes over the data at most; the learning rate falls to zero over so many.
    patience
        Stop after this many epochs without a better validation figure.
    batch_size
        Histories (or windows of long ones) in a batch.
    learning_rate
        At its peak.
    weight_decay
        Of AdamW.
    warm_up_steps
        Batches over which the learning rate rises.
    clip_norm
        The gradient's norm is cut to this.

    Examples
    --------
    >>> TrainingOptions(max_epochs=2).max_epochs
    2
    """

    max_epochs: int = 16
    patience: int = 3
    batch_size: int = 16
    learning_rate: float = 4e-3
    weight_decay: float = 1e-2
    warm_up_steps: int = 20
    clip_norm: float = 1.0

    @classmethod
    def from_environment(cls) -> TrainingOptions:
        """Return the defaults, except where a variable such as PERSONALENS_TRAINING_MAX_EPOCHS is
        set: how a lab or a test shortens the trainings that the service's worker runs.

        Raises
        ------
        ValueError
            If a variable's value is no number.
        """
        chosen = {}
        for option in fields(cls):
            variable = _VARIABLE_PREFIX + option.name.upper()
            text = os.environ.get(variable, "").strip()
            if not text:
                continue
            kind = type(option.default)
            try:
                chosen[option.name] = kind(text)
            except ValueError:
                raise ValueError(f"{variable} is {text!r}; it must be a {kind.__name__}") from None
        return cls(**chosen)
