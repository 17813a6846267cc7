"""Devices and threads."""

import pytest
import torch

from personalens.training.devices import choose_device, compute_threads


def test_an_unknown_device_is_refused_with_the_choices():
    with pytest.raises(ValueError, match='"auto", "cpu" or "cuda"'):
        choose_device("tpu")


def test_cuda_is_refused_where_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="no CUDA device"):
        choose_device("cuda")
    assert choose_device("auto").type == "cpu"


def test_threads_are_given_back_even_after_an_error():
    before, inside = torch.get_num_threads(), []

    def fail() -> None:
        with compute_threads(1):
            inside.append(torch.get_num_threads())
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert inside == [1]
    assert torch.get_num_threads() == before
