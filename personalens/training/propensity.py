"""How probable an outcome is: a logistic regression for each group, tied to a common one.

A group with many examples gets weights of its own; one with few keeps to those of all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit


@dataclass(frozen=True, eq=False)
class Propensity:
    """P(outcome) = sigmoid(intercept[g] + x . (shared + own[g])).

    Attributes
    ----------
    intercepts
        (groups,) float64.
    shared, own
        (features,) and (groups, features) float64.
    """

    intercepts: np.ndarray
    shared: np.ndarray
    own: np.ndarray

    @classmethod
    def fit(
        cls,
        features: np.ndarray,
        groups: np.ndarray,
        outcomes: np.ndarray,
        count: int,
        *,
        ridge: float = 1.0,
        own_ridge: float = 10.0,
    ) -> Self:
        """Find the weights by maximum likelihood, with squares of the weights counted against it.

        Parameters
        ----------
        features
            (n, F), of about unit size.
        groups
            (n,) codes of the groups, 0 to ``count`` - 1.
        outcomes
            (n,) bool.
        ridge, own_ridge
            How much the squares of the shared and of the groups' own weights count. Intercepts are
            free, so each group's probabilities average to its share of positive outcomes.
        """
        width = features.shape[1]
        outcome = outcomes.astype(np.float64)
        sizes = np.bincount(groups, minlength=count)
        positives = np.bincount(groups, weights=outcome, minlength=count)
        start = np.zeros(count + width + count * width)
        start[:count] = np.log((positives + 0.5) / (sizes - positives + 0.5))

        def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
            model = cls._of(weights, count, width)
            logits = model.logits(features, groups)
            value = np.logaddexp(0.0, logits).sum() - outcome @ logits
            value += ridge / 2 * model.shared @ model.shared + own_ridge / 2 * (model.own**2).sum()
            residual = expit(logits) - outcome
            own = np.zeros((count, width))
            np.add.at(own, groups, residual[:, None] * features)
            gradient = [
                np.bincount(groups, weights=residual, minlength=count),
                own.sum(axis=0) + ridge * model.shared,
                (own + own_ridge * model.own).ravel(),
            ]
            return float(value), np.concatenate(gradient)

        found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500})
        return cls._of(found.x, count, width)

    @classmethod
    def _of(cls, weights: np.ndarray, count: int, width: int) -> Self:
        shared = weights[count : count + width]
        return cls(weights[:count], shared, weights[count + width :].reshape(count, width))

    def logits(self, features: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """Return log-odds, (n,), of features (n, F) in groups (n,)."""
        weights = self.shared + self.own[groups]
        return self.intercepts[groups] + np.einsum("nf,nf->n", features, weights)
