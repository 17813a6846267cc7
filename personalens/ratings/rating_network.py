"""The rating head of the session network: what somebody will make of an item, one step ahead."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from personalens.networks.gru import GRU
from personalens.networks.session_network import FeatureVectors, FieldValues, ItemVectors

_SPREAD = 0.05
_FEATURE_WIDTH = 16
_LARGEST_SURPRISE = 3.0
# Variances before training, in rating steps squared.
_OF_USER, _OF_LATELY, _OF_SESSION, _OF_NOISE, _OF_NEW_ITEM = 0.15, 0.15, 0.05, 0.75, 0.4
_LATELY = 7.0
"""Ratings after which what somebody's mood explains has fallen to 1/e, before training."""


class OneStep(NamedTuple):
    """``means`` (B, L): what is expected of each value; ``surprises`` (B, L): how far off that was,
    in standard deviations; ``deviations`` (B, L): those standard deviations."""

    means: Tensor
    surprises: Tensor
    deviations: Tensor


def one_step_regression(covariance: Tensor, noise: Tensor, values: Tensor) -> OneStep:
    """Return the best linear prediction of every value from all earlier ones.

    ``covariance`` (B, L, L) is that of the noiseless values, whose mean is zero; ``noise`` (B, L)
    are positive variances that are added to its diagonal. What stands at place k of ``values``
    (B, L) has no part in the prediction of place k, nor of any before.

    Notes
    -----
    Gaussian process regression. With K + N = F F' (F lower triangular) the entries of F^-1 y are
    independent of each other: what each y_k adds to y_1 ... y_(k-1). So

        E[y_k | y_1 ... y_(k-1)] = y_k - F_kk (F^-1 y)_k

    for all k at once, where regressing L times would take L factors.

    References
    ----------
    Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, chapter 2.

    Examples
    --------
    Ratings that share one offset of variance 1, each with noise of variance 1. The mean of k
    earlier ones is shrunk as if there was one more of zero:

    >>> step = one_step_regression(torch.ones(1, 3, 3), torch.ones(1, 3), torch.ones(1, 3))
    >>> [round(mean, 3) for mean in step.means[0].tolist()]
    [0.0, 0.5, 0.667]
    """
    factor = torch.linalg.cholesky(covariance + torch.diag_embed(noise))
    surprises = torch.linalg.solve_triangular(factor, values[..., None], upper=False)[..., 0]
    deviations = factor.diagonal(dim1=1, dim2=2)
    return OneStep(values - deviations * surprises, surprises, deviations)


class RatingBatch(NamedTuple):
    """Windows of ratings side by side: L ratings of B users, and pads.

    ``items`` (B, L) int64; ``values`` (B, L) float32: ratings minus what the running item means
    say, 0 where unknown; ``features`` (B, L, F) int64, of which the first ``G`` are known before
    the rating is; ``sessions`` (B, L, S) int64: numbers of the sessions of S levels;
    ``circumstances`` (B, L, A) float32: what is known of the item by then; ``places`` (B, L)
    float32; ``present`` (B, L) bool: no pad; ``counts`` (B, L) bool: is asked for.
    """

    items: Tensor
    values: Tensor
    features: Tensor
    sessions: Tensor
    circumstances: Tensor
    places: Tensor
    present: Tensor
    counts: Tensor


class RatingNetwork(nn.Module):
    """Predict every rating of a history from those before it.

    Code ``items`` stands for any other item, so ``fields`` has one row more than there are items.
    ``circumstances`` are A: the item's running offset, the logarithm of its ratings so far, and its
    novelty, which falls from 1 to 0 as they come. ``levels`` are S, and 0 leaves sessions out;
    ``hidden_size`` 0 leaves the recurrence out.

    Notes
    -----
    Two parts add up, on top of the running mean of the item that is to be rated:

    * **Regression.** A user's residuals are taken for draws of a Gaussian process: an offset of the
      user, one that fades from rating to rating (the mood), one for each session of each level, a
      slope on each circumstance (some people follow the crowd), and a taste, under which two items
      go together as their vectors do. All variances, and the vectors, are learned by predicting one
      step ahead. Levels of session are nested random effects here: what is hierarchical in HRNN.
    * **Recurrence.** A GRU reads item, pause, sessions, rating, and by how much the regression was
      wrong, and a small decoder corrects the next prediction: what is neither linear nor Gaussian.

    References
    ----------
    Ma, Narayanaswamy, Lin and Ding, "Temporal-Contextual Recommendation in Real-Time" (KDD 2020).
    Lawrence and Urtasun, "Non-linear Matrix Factorization with Gaussian Processes" (ICML 2009).
    """

    def __init__(
        self,
        items: int,
        feature_values: int,
        *,
        circumstances: int,
        levels: int,
        hidden_size: int,
        taste_size: int,
        fields: FieldValues | None = None,
        field_values: int = 0,
        rng: np.random.Generator,
    ):
        super().__init__()
        self.taste = ItemVectors(items + 1, taste_size, fields=fields, values=field_values)
        self.mean = nn.Parameter(torch.zeros(()))
        self.variance = _logarithms([_OF_USER, _OF_LATELY, _OF_NOISE, _OF_NEW_ITEM])
        self.session_variance = _logarithms([_OF_SESSION] * levels)
        self.slope_variance = _logarithms([_OF_SESSION] * circumstances)
        self.memory = _logarithms([_LATELY])
        self.hidden_size = hidden_size
        if hidden_size:
            self.features = FeatureVectors(feature_values, _FEATURE_WIDTH)
            self.events = nn.Linear(taste_size + circumstances + 3, _FEATURE_WIDTH)
            self.gru = GRU(_FEATURE_WIDTH, hidden_size)
            self.hidden = nn.Linear(hidden_size + _FEATURE_WIDTH + circumstances + 3, 32)
            self.out = nn.Linear(32, 1)
            self.to_taste = nn.Linear(hidden_size, taste_size, bias=False)
        self._initialise(rng)

    def _initialise(self, rng: np.random.Generator) -> None:
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        nn.init.normal_(self.taste.own.weight, std=_SPREAD, generator=generator)
        if self.hidden_size:
            nn.init.normal_(self.features.weight, std=2 * _SPREAD, generator=generator)
            for part in (self.events, self.hidden, self.gru):
                for weights in part.parameters():
                    bound = (
                        weights.shape[-1] if part is not self.gru else self.hidden_size
                    ) ** -0.5
                    nn.init.uniform_(weights, -bound, bound, generator=generator)
            for weights in (*self.out.parameters(), *self.to_taste.parameters()):
                nn.init.zeros_(weights)  # at first the regression alone speaks

    def forward(self, batch: RatingBatch) -> Tensor:
        """Return (B, L): the values expected at all places."""
        items, where = torch.unique(batch.items, return_inverse=True)
        table, bias = self.taste.output(items)
        taste = table[where]  # (B, L, E)
        novelty = batch.circumstances[..., -1]
        expected = self.mean + bias[where] * novelty
        values = (batch.values - expected) * batch.present
        step = one_step_regression(*self._covariance(batch, taste, novelty), values)
        means = step.means + expected
        if self.hidden_size:
            means = means + self._correction(batch, taste, step, values)
        return means

    def penalty(self) -> Tensor:
        """Return the sum of squares that is kept small: of what is known of single items."""
        total = self.taste.own.weight.square().sum() + self.taste.own_bias.square().sum()
        if self.taste.has_fields:
            total = total + 0.1 * self.taste.field.square().sum()
        return total

    def _covariance(
        self, batch: RatingBatch, taste: Tensor, novelty: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return (B, L, L) covariances of the residuals and (B, L) variances of their noise."""
        user, lately, noise, new_item = self.variance.exp()
        slopes = batch.circumstances * (0.5 * self.slope_variance).exp()
        linear = torch.cat([taste, slopes], -1)
        distance = (batch.places[:, :, None] - batch.places[:, None]).abs()
        total = linear @ linear.mT + user + lately * torch.exp(-distance / self.memory.exp())
        for level, variance in enumerate(self.session_variance.exp()):
            number = batch.sessions[..., level]
            total = total + variance * (number[:, :, None] == number[:, None])
        present = batch.present.to(total)
        total = total * present[:, :, None] * present[:, None]
        return total, torch.where(batch.present, noise + new_item * novelty, 1.0)

    def _correction(
        self, batch: RatingBatch, taste: Tensor, step: OneStep, values: Tensor
    ) -> Tensor:
        """Return (B, L): what the recurrence adds, from the events before each place."""
        limit = _LARGEST_SURPRISE
        felt = [step.surprises.clamp(-limit, limit), values.clamp(-limit, limit), step.deviations]
        event = torch.cat([taste, batch.circumstances, torch.stack(felt, -1)], -1)
        inputs = self.events(event) + self.features(batch.features)
        inputs = torch.cat([torch.zeros_like(inputs[:, :1]), inputs[:, :-1]], 1)
        states = self.gru(inputs.transpose(0, 1)).transpose(0, 1)  # (B, L, H)
        before = self.features(batch.features[..., :2])  # pause and sessions, known in advance
        known = torch.stack([step.means, step.deviations, torch.log1p(batch.places) / 3 - 1], -1)
        seen = torch.cat([states, before, batch.circumstances, known], -1)
        correction = self.out(torch.relu(self.hidden(seen)))[..., 0]
        return correction + (self.to_taste(states) * taste).sum(-1)


def _logarithms(values: list[float]) -> nn.Parameter:
    return nn.Parameter(torch.tensor(values, dtype=torch.float32).log())
