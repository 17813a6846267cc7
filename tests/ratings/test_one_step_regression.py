"""One factor predicts every value; regressing each on those before it says the same."""

import pytest
import torch

from personalens.ratings.rating_network import one_step_regression


def some_covariance(batch=2, steps=6):
    generator = torch.Generator().manual_seed(3)
    parts = torch.randn(batch, steps, 3, generator=generator, dtype=torch.float64)
    noise = torch.rand(batch, steps, generator=generator, dtype=torch.float64) + 0.2
    values = torch.randn(batch, steps, generator=generator, dtype=torch.float64)
    return parts @ parts.mT, noise, values


def test_each_is_the_regression_on_those_before():
    covariance, noise, values = some_covariance()
    step = one_step_regression(covariance, noise, values)
    for line in range(2):
        whole = covariance[line] + torch.diag(noise[line])
        for k in range(6):
            weights = torch.linalg.solve(whole[:k, :k], whole[:k, k])
            mean = weights @ values[line, :k]
            variance = whole[k, k] - weights @ whole[:k, k]
            assert step.means[line, k].item() == pytest.approx(mean.item())
            assert step.deviations[line, k].item() == pytest.approx(variance.sqrt().item())
            surprise = (values[line, k] - mean) / variance.sqrt()
            assert step.surprises[line, k].item() == pytest.approx(surprise.item())


def test_a_value_has_no_part_in_its_own_prediction_nor_in_those_before():
    covariance, noise, values = some_covariance()
    changed = values.clone()
    changed[:, 3:] += 5.0
    means = one_step_regression(covariance, noise, values).means
    others = one_step_regression(covariance, noise, changed).means
    assert torch.allclose(means[:, :4], others[:, :4])
    assert not torch.allclose(means[:, 4:], others[:, 4:])
