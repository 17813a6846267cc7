"""How fast HRNN trains: beside RecBole's GRU4Rec and RecTools' SASRec, and beside the machine.

    python benchmarks/training.py --dataset ml-100k

A token is an event that is predicted once from what came before it in its history: of a user with
n events n - 1 at most. (HRNN predicts the first one too, from the start row; that is not counted.
SASRec leaves out what lies further back than its 200 places, and that is not counted either.) Every
model trains on the same events on one thread. An epoch warms up and is not counted, except for
RecBole, whose epochs take minutes.

The limit is what ``torch.mm`` reaches here, in the same run, at the shapes of HRNN's output layer:
the scores of a block of vectors against all items, and the two products that carry the gradients
back, to the vectors and to the items. Nothing that ends in these scores can train faster than
these three products allow; the share of the limit says how much the rest costs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from contestants import ENVIRONMENTS, HERE
from machine import describe_run
from splits import split_data

REPEATS = 20
PEERS = {
    "RecTools SASRec": ("peers", "peers/rectools_sasrec.py", "SASRec speed"),
    "RecBole GRU4Rec": ("recbole", "peers/recbole_gru4rec.py", "GRU4Rec speed"),
}


def measure_hrnn(dataset: str, epochs: int) -> dict[str, Any]:
    """Time epochs of HRNN's training, as its fit runs them."""
    from personalens.recipes.hrnn import RECENT_DECAYS, HRNNConfig
    from personalens.recipes.session_model import RecurrentShape, SessionModel
    from personalens.training.devices import compute_threads
    from personalens.training.options import TrainingOptions

    [a_round] = split_data(dataset, "next-item").rounds
    events, config, rng = a_round.train.compact(), HRNNConfig(), np.random.default_rng(0)
    shape = RecurrentShape(config.hidden_dimension, config.bptt, RECENT_DECAYS)
    model = SessionModel.begin(events, shape, rng)
    trainer = model.trainer(events, TrainingOptions(max_epochs=epochs + 1), rng)
    seconds, load = [], round(os.getloadavg()[0], 1)
    with compute_threads(1):
        for epoch in range(1, epochs + 2):
            began = time.perf_counter()
            trainer.run_epoch(epoch)
            seconds.append(time.perf_counter() - began)
    return {
        "seconds_per_epoch": seconds[1:],
        "load": load,
        "tokens": int(np.maximum(np.diff(events.offsets) - 1, 0).sum()),
        "width": int(model.network.items.own.embedding_dim),
        "items": len(events.items),
    }


def measure_limit(width: int, items: int) -> dict[str, float]:
    """Return tokens a second of the output layer's three products, at the best block of rows.

    Every block size is timed ``REPEATS`` times, interleaved; of each the median counts.
    """
    import torch

    from personalens.training.devices import compute_threads

    table = torch.randn(items, width)
    shapes = (64, 256, 1024, 4096)
    vectors = {rows: torch.randn(rows, width) for rows in shapes}
    scores = {rows: torch.randn(rows, items) for rows in shapes}
    d_vectors = {rows: torch.empty(rows, width) for rows in shapes}
    d_table = torch.empty(items, width)
    timings: dict[int, list[float]] = {rows: [] for rows in shapes}
    with compute_threads(1):
        for repeat in range(REPEATS + 1):
            for rows in shapes:
                loops = max(1, 4096 // rows)
                began = time.perf_counter()
                for _ in range(loops):
                    torch.mm(vectors[rows], table.t(), out=scores[rows])
                    torch.mm(scores[rows], table, out=d_vectors[rows])
                    torch.mm(scores[rows].t(), vectors[rows], out=d_table)
                if repeat:
                    timings[rows].append((time.perf_counter() - began) / loops)
    rates = {rows: rows / float(np.median(taken)) for rows, taken in timings.items()}
    best = max(rates, key=rates.get)
    return {
        "tokens_per_second": rates[best],
        "rows": best,
        "gigaflops": 6e-9 * rates[best] * width * items,
    }


def measure_peer(name: str, dataset: str, epochs: int, folder: Path) -> dict[str, Any] | None:
    """Have a peer's process train a few epochs; None where its environment is not there."""
    folder_name, script, model = PEERS[name]
    python = ENVIRONMENTS / folder_name / "bin" / "python"
    if not python.exists():
        return None
    [a_round] = split_data(dataset, "next-item").rounds
    a_round.task().save(folder / "0.npz")
    run = {"round": 0, "seed": 0, "setting": {"epochs": epochs}}
    job = {"model": model, "tasks": str(folder), "runs": [run]}
    (folder / "job.json").write_text(json.dumps(job))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [python, HERE / script, folder / "job.json"]
    subprocess.run(command, check=True, stdout=sys.stderr, env=environment)
    figures = json.loads((folder / "figures.json").read_text())
    return figures["runs"][0] | {name: figures[name] for name in ("versions", "load")}


def row(name: str, measured: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the table: the median epoch counts."""
    seconds = float(np.median(measured["seconds_per_epoch"]))
    return {
        "model": name,
        "tokens_per_second": measured["tokens"] / seconds,
        "epoch_seconds": seconds,
        "epochs": len(measured["seconds_per_epoch"]),
        "load": measured["load"],
        "versions": measured.get("versions", {}),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="ml-100k")
    parser.add_argument("--epochs", type=int, default=3, help="measured; one more warms up")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--results", type=Path, default=HERE / "results")
    options = parser.parse_args()
    before = measure_hrnn(options.dataset, options.epochs)
    limit = measure_limit(before["width"], before["items"])
    # Measured on both sides of the limit, so that a slow stretch of the machine shows.
    after = measure_hrnn(options.dataset, options.epochs)
    ours = before | {"seconds_per_epoch": before["seconds_per_epoch"] + after["seconds_per_epoch"]}
    rows = [row("aws-hrnn", ours)]
    for name in options.peers:
        with tempfile.TemporaryDirectory(prefix="personalens-training-") as folder:
            measured = measure_peer(name, options.dataset, options.epochs, Path(folder))
        if measured is not None:
            rows.append(row(name, measured))
    for each in rows:
        print(f"{each['model']:<20} {each['tokens_per_second']:>10,.0f} tokens/s")
    share = rows[0]["tokens_per_second"] / limit["tokens_per_second"]
    print(f"{'limit':<20} {limit['tokens_per_second']:>10,.0f} tokens/s; aws-hrnn at {share:.0%}")
    result = describe_run("training") | {
        "dataset": options.dataset,
        "rows": rows,
        "limit": limit | {"width": ours["width"], "items": ours["items"], "share": share},
    }
    options.results.mkdir(exist_ok=True)
    path = options.results / f"training-{options.dataset}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
