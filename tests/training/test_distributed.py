"""Two processes that share every batch train as one does."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from personalens.recipes.hrnn import HRNN
from personalens.training.devices import InTurn, Replicas, joined_replicas, process_group
from tests.tiny_network import tiny_network

ROOT = Path(__file__).parents[2]
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")

WITHOUT_DROPOUT = """
import sys
import numpy as np
import pandas as pd
from personalens.recipes import session_model
from personalens.datasets.array_tree import flatten
from personalens.recipes.hrnn import HRNN
from personalens.training.devices import process_group
from personalens.training.options import TrainingOptions

session_model.DROPOUT = 0.0  # what each process drops is another thing, and not one process's
events, folder = sys.argv[1:]
with process_group() as rank:
    training = TrainingOptions(max_epochs=3, checkpoint_folder=f"{folder}/checkpoints")
    model = HRNN(training=training).fit(pd.read_csv(events, dtype=str).astype({"TIMESTAMP": int}))
    log, arrays = pd.DataFrame(model.training_log_), flatten(model._tensors())
    np.savez(f"{folder}/{rank}.npz", loss=log.loss, ndcg=log.ndcg_at_10, **arrays)
"""


def run(folder: Path, *arguments: object) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def events(tmp_path_factory) -> Path:
    """Sixty users who go round a ring of pages, with a stray now and then."""
    rng = np.random.default_rng(0)
    rows = [
        (f"u{user:02}", f"p{(5 * user + step + (rng.random() < 0.1)) % 24:02}", 100 * user + step)
        for user in range(60)
        for step in range(8 + user % 5)
    ]
    path = tmp_path_factory.mktemp("events") / "events.csv"
    pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"]).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def trained(events, tmp_path_factory) -> dict[str, dict[str, np.ndarray]]:
    """What one process found, and each of two."""
    alone, together = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    run(alone, "-c", WITHOUT_DROPOUT, events, alone)
    script = together / "script.py"
    script.write_text(WITHOUT_DROPOUT)
    run(together, *TORCHRUN, script, events, together)
    files = {"alone": alone / "0.npz", "first": together / "0.npz", "second": together / "1.npz"}
    assert len(list((together / "checkpoints").iterdir())) == 1
    return {name: dict(np.load(path)) for name, path in files.items()}


@pytest.mark.slow
def test_two_processes_have_the_loss_curve_of_one(trained):
    alone, together = trained["alone"], trained["first"]
    assert np.allclose(together["loss"], alone["loss"], rtol=1e-4)
    assert np.allclose(together["ndcg"], alone["ndcg"], atol=0.02)
    assert alone["loss"][-1] < 0.9 * alone["loss"][0]


@pytest.mark.slow
def test_two_processes_end_with_the_same_weights(trained):
    assert trained["first"].keys() == trained["second"].keys()
    for name, values in trained["first"].items():
        assert np.array_equal(values, trained["second"][name]), name


@pytest.mark.slow
def test_the_script_trains_with_dropout_and_saves_one_model(events, tmp_path):
    script = ROOT / "benchmarks" / "distributed_training.py"
    run(tmp_path, *TORCHRUN, script, events, tmp_path / "model")
    model = HRNN.load(tmp_path / "model")
    pages = np.arange(24)
    histories = [model.history(f"u{user:02}") for user in range(24)]
    best = model.score(histories).argmax(1)
    following = [(history.item_codes[-1] + 1) % len(pages) for history in histories]
    assert np.mean(best == following) > 0.5


def test_the_mean_over_a_batch_is_the_mean_of_the_shares_weighted_by_their_targets(monkeypatch):
    network = torch.nn.Linear(2, 1, bias=False)
    shares = {0: ([1.0, 2.0], 0.5, 3), 1: ([5.0, 6.0], 2.5, 1)}
    sent = {}
    for rank, (gradient, loss, targets) in shares.items():
        network.weight.grad = torch.tensor([gradient])
        monkeypatch.setattr(
            torch.distributed, "all_reduce", lambda whole, rank=rank: sent.update({rank: whole * 1})
        )
        Replicas(rank, 2).merge_gradients(network, loss, targets)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda whole: whole.add_(sent[1]))
    network.weight.grad = torch.tensor([shares[0][0]])
    assert Replicas(0, 2).merge_gradients(network, 0.5, 3) == (1.0, 4)
    assert network.weight.grad.tolist() == [[2.0, 3.0]]


def test_every_row_of_a_batch_is_in_one_share():
    chosen = np.array([7, 3, 9, 1, 4])
    shares = [Replicas(rank, 3).share(chosen).tolist() for rank in range(3)]
    assert shares == [[7, 1], [3, 4], [9]]


def test_each_process_drops_other_values_and_the_same_ones_when_asked_again():
    masks = []
    for rank in (0, 1, 0):
        network = tiny_network(5, 2, dropout=0.5)
        Replicas(rank, 2).part_ways(network, np.random.default_rng(7))
        masks.append(network.encoder.drop(torch.ones(64)))
    assert torch.equal(masks[0], masks[2])
    assert not torch.equal(masks[0], masks[1])


def test_alone_there_is_no_group():
    with process_group() as rank:
        assert (rank, joined_replicas()) == (0, None)


def test_in_turn_work_is_done_at_once():
    done = []
    with InTurn() as executor:
        result = executor.submit(lambda value: done.append(value) or len(done), 5)
        assert done == [5]
    assert result.result() == 1
