"""Training on a GPU, where there is one; and in bfloat16, which a CPU computes too."""

from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import torch

from personalens.datasets.interactions import History
from personalens.networks.session_network import Dropout, Events, seen_before
from personalens.recipes.hrnn import HRNN
from personalens.training.devices import choose_device, mixed_precision, tensor_cores
from personalens.training.losses import FullSoftmax, SampledSoftmax
from tests.tiny_network import tiny_network
from tests.training.test_loop import make_trainer

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
ITEMS = 50


def gradients(device: str, loss, precision=nullcontext()) -> list[torch.Tensor]:  # noqa: B008
    """Return loss and gradients of a tiny network on one batch."""
    network = tiny_network(ITEMS, 3).to(device)
    torch.manual_seed(1)
    codes = torch.randint(0, ITEMS, (12, 4)).to(device)
    events = Events(codes, codes[..., None] % 3, codes.new_zeros(12, 4, 0))
    positions = torch.arange(48, device=device)
    targets = codes.roll(-1, 0).flatten()
    with precision:
        vectors = network(events, positions).float()
    value = loss(network, vectors, targets, seen_before(codes, positions, ITEMS))
    value.backward()
    learned = [weights.grad for weights in network.parameters() if weights.grad is not None]
    return [value.detach().cpu(), *(gradient.cpu() for gradient in learned)]


@pytest.mark.parametrize("loss", [FullSoftmax(), SampledSoftmax(np.ones(ITEMS), certain=10)])
def test_bfloat16_in_the_network_changes_the_gradients_by_its_rounding_only(loss):
    exact = gradients("cpu", loss)
    rounded = gradients("cpu", loss, torch.autocast("cpu", torch.bfloat16))
    assert not torch.equal(exact[1], rounded[1])
    assert exact[0].item() == pytest.approx(rounded[0].item(), rel=1e-2)
    for one, other in zip(exact[1:], rounded[1:], strict=True):
        assert other.dtype == torch.float32
        assert (one - other).norm() <= 0.05 * one.norm() + 1e-6


def test_on_a_cpu_nothing_is_rounded():
    cpu, before = torch.device("cpu"), torch.get_float32_matmul_precision()
    with mixed_precision(cpu), tensor_cores(cpu):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
        assert (product.dtype, torch.is_autocast_enabled("cpu")) == (torch.float32, False)
        assert torch.get_float32_matmul_precision() == before


def test_products_are_exact_again_after_an_error():
    before, inside = torch.get_float32_matmul_precision(), []

    def fail() -> None:
        with tensor_cores(torch.device("cuda")):
            inside.append(torch.get_float32_matmul_precision())
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert inside == ["high"]
    assert torch.get_float32_matmul_precision() == before


@pytest.mark.gpu
@needs_gpu
def test_auto_takes_the_gpu():
    assert choose_device("auto").type == "cuda"


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("loss", [FullSoftmax(), SampledSoftmax(np.ones(ITEMS), certain=10)])
def test_the_gpu_computes_what_the_cpu_computes(loss):
    for here, there in zip(gradients("cpu", loss), gradients("cuda", loss), strict=True):
        torch.testing.assert_close(here, there, rtol=1e-2, atol=1e-3)


@pytest.mark.gpu
@needs_gpu
def test_dropout_on_the_gpu_keeps_its_share_and_repeats():
    values = torch.ones(100_000, device="cuda")
    first, second = (Dropout(0.25, np.random.default_rng(3))(values) for _ in range(2))
    assert torch.equal(first, second)
    assert (first == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert first.mean().item() == pytest.approx(1.0, abs=0.01)


@pytest.mark.gpu
@needs_gpu
def test_a_training_on_the_gpu_lowers_the_loss_as_on_the_cpu():
    losses = []
    for device in ("cpu", "cuda"):
        trainer = make_trainer()
        trainer.network.to(device)
        losses.append([trainer.run_epoch(epoch) for epoch in (1, 2, 3)])
    assert np.allclose(*losses, rtol=0.1)


@pytest.mark.gpu
@needs_gpu
def test_a_recipe_trained_on_the_gpu_answers_on_the_cpu(tmp_path):
    rows = [
        (f"u{u:02}", f"p{(5 * u + s) % 24:02}", 100 * u + s) for u in range(60) for s in range(9)
    ]
    model = HRNN(device="cuda").fit(pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"]))
    model.save(tmp_path / "model")
    past = History(np.array([3, 4, 5], np.int32), np.array([1, 2, 3], np.int64))
    assert HRNN.load(tmp_path / "model", device="cpu").score([past])[0].argmax() == 6
