"""The trainer's AdamW: PyTorch's own to the bit, without what its import brings."""

from __future__ import annotations

import subprocess
import sys

import torch
from torch import nn

from personalens.training.optimizer import AdamW


def trained(optimizer_of, forget, steps=5):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    network[3].bias.requires_grad_(False)  # a parameter that never has a gradient
    optimizer = optimizer_of(network)
    for step in range(steps):
        forget(optimizer)
        network(torch.arange(step + 1)).square().sum().backward()
        optimizer.step()
    return network, optimizer


def test_it_takes_the_very_steps_of_pytorch_s():
    ours, _ = trained(
        lambda network: AdamW(network.parameters(), learning_rate=0.01, weight_decay=0.1),
        AdamW.forget_gradients,
    )
    theirs, _ = trained(
        lambda network: torch.optim.AdamW(
            network.parameters(), lr=0.01, weight_decay=0.1, fused=True
        ),
        torch.optim.AdamW.zero_grad,
    )
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_it_goes_on_from_saved_moments():
    def made(network):
        return AdamW(network.parameters(), learning_rate=0.01, weight_decay=0.1)

    whole, _ = trained(made, AdamW.forget_gradients, steps=6)
    part, optimizer = trained(made, AdamW.forget_gradients)
    later = made(part)
    later.restore(optimizer.moments)
    later.forget_gradients()
    part(torch.arange(6)).square().sum().backward()
    later.step()
    for mine, other in zip(part.parameters(), whole.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_a_training_does_not_load_what_compiles_networks():
    code = """if True:
        import sys
        import pandas as pd
        from personalens import HRNN

        events = pd.DataFrame({
            "USER_ID": ["A"] * 5 + ["B"] * 5, "ITEM_ID": list("abcde") * 2,
            "TIMESTAMP": [1, 2, 3, 4, 5] * 2,
        })
        HRNN().fit(events)
        loaded = {"torch._dynamo", "torch._inductor", "torch.onnx", "sympy"} & set(sys.modules)
        assert not loaded, loaded
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
