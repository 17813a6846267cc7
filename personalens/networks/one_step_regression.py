"""Predict each value of a sequence from those before it, by one Cholesky factor for all of them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class OneStep(NamedTuple):
    """``means`` (B, L): what is expected of each value; ``surprises`` (B, L): how far off that was,
    in standard deviations; ``deviations`` (B, L): those standard deviations."""

    means: Tensor
    surprises: Tensor
    deviations: Tensor


def one_step_regression(covariance: Tensor, noise: Tensor, values: Tensor) -> OneStep:
    """Return the best linear prediction of every value from all earlier ones.

    Parameters
    ----------
    covariance
        (B, L, L) of the noiseless values, whose mean is zero.
    noise
        (B, L) variances that are added to the diagonal; positive.
    values
        (B, L). What stands at place k has no part in the prediction of place k, nor of any before.

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
