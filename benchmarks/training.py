"""How fast HRNN trains: beside RecBole's GRU4Rec and RecTools' SASRec, and beside the machine.

    python -m benchmarks.training --dataset ml-100k

A token is an event that is predicted once from what came before it in its history: of a user with
n events n - 1 at most. (HRNN predicts the first one too, from the start row; that is not counted.
SASRec leaves out what lies further back than its 200 places, and that is not counted either.) Every
model trains on the same events on one thread. An epoch warms up and is not counted, except for
RecBole, whose epochs take minutes.

The limit is what ``torch.mm`` reaches here, in the same run, on all matrix products that HRNN's
training consists of, at their shapes: of the recurrence the product of the inputs, the product of
the states (one step of one batch at a time, for that is what a recurrence allows) and the way back
into item space; of the output layer the scores against all items; and for each the two products
that carry the gradients back, to its input and to its weights. The share of that limit says how
much everything else costs: non-linearities, softmax, dropout, gathering, the optimiser, padding.
``output_share`` is the share of the limit that the output layer alone would set.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contestants import KEEP_MEMORY
from benchmarks.machine import describe_run, parser, python_of, run_module, write_result
from benchmarks.splits import split_data

REPEATS = 20
PEERS = {
    "RecTools SASRec": ("peers", "peers.rectools_sasrec", "SASRec speed"),
    "RecBole GRU4Rec": ("recbole", "peers.recbole_gru4rec", "GRU4Rec speed"),
}


def measure_hrnn(dataset: str, epochs: int) -> dict[str, Any]:
    """Time epochs of HRNN's training, as its fit runs them."""
    from personalens.recipes.hrnn import RECENT_DECAYS, HRNNConfig
    from personalens.recipes.session_model import RecurrentBuilder, SessionModel
    from personalens.training.devices import compute_threads
    from personalens.training.options import TrainingOptions

    [a_round] = split_data(dataset, "next-item").rounds
    events, config, rng = a_round.train.compact(), HRNNConfig(), np.random.default_rng(0)
    shape = RecurrentBuilder(config.hidden_dimension, config.bptt, RECENT_DECAYS)
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
        "shape": {
            "width": int(model.network.items.own.embedding_dim),
            "hidden": config.hidden_dimension,
            "items": len(events.items),
            "batch": TrainingOptions().batch_size_for(len(events.users)),
        },
    }


def measure_fit(dataset: str) -> dict[str, float]:
    """Time a whole fit of aws-hrnn on all threads, the second training on everything included."""
    import torch

    from personalens.recipes.hrnn import HRNN

    [a_round] = split_data(dataset, "next-item").rounds
    began = time.perf_counter()
    HRNN(seed=0).fit(a_round.train)
    return {"seconds": time.perf_counter() - began, "threads": torch.get_num_threads()}


def time_products(rows: int, inner: int, columns: int) -> float:
    """Return the seconds a row of (rows, inner) @ (inner, columns) and of the two products that
    carry gradients back through it; the median of ``REPEATS``."""
    import torch

    vectors, weights = torch.randn(rows, inner), torch.randn(columns, inner)
    outcome, d_vectors = torch.empty(rows, columns), torch.empty(rows, inner)
    d_weights = torch.empty(columns, inner)
    loops, taken = max(1, 4096 // rows), []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        for _ in range(loops):
            torch.mm(vectors, weights.t(), out=outcome)
            torch.mm(outcome, weights, out=d_vectors)
            torch.mm(outcome.t(), vectors, out=d_weights)
        taken.append((time.perf_counter() - began) / loops / rows)
    return float(np.median(taken[1:]))


def measure_limit(width: int, hidden: int, items: int, batch: int) -> dict[str, float]:
    """Return tokens a second of all products of HRNN's training, and of its output layer's alone.

    A product that may take any number of rows at once is timed at the best of several blocks; the
    one of the states has ``batch`` rows.
    """
    from personalens.training.devices import compute_threads

    def best(inner: int, columns: int) -> float:
        return min(time_products(rows, inner, columns) for rows in (64, 256, 1024, 4096))

    with compute_threads(1):
        output = best(width, items)
        states = time_products(batch, hidden, 3 * hidden)
        seconds = best(width, 3 * hidden) + states + best(hidden, width) + output
    weights = 3 * hidden * (width + hidden) + hidden * width + width * items
    return {
        "tokens_per_second": 1 / seconds,
        "output_tokens_per_second": 1 / output,
        "gigaflops": 6e-9 * weights / seconds,
    }


def measure_peer(name: str, dataset: str, epochs: int, folder: Path) -> dict[str, Any] | None:
    """Have a peer's process train a few epochs; None where its environment is not there."""
    environment, module, model = PEERS[name]
    if not python_of(environment).exists():
        return None
    [a_round] = split_data(dataset, "next-item").rounds
    a_round.task().save(folder / "0.npz")
    run = {"round": 0, "seed": 0, "setting": {"epochs": epochs}}
    job = {"model": model, "tasks": str(folder), "runs": [run]}
    (folder / "job.json").write_text(json.dumps(job))
    run_module(
        module,
        folder / "job.json",
        environment=environment,
        check=True,
        stdout=sys.stderr,
        env=KEEP_MEMORY | os.environ | {"OMP_NUM_THREADS": "1"},
    )
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
    options = parser(__doc__)
    add = options.add_argument
    add("--dataset", default="ml-100k")
    add("--epochs", type=int, default=3, help="measured; one more warms up")
    add("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    options = options.parse_args()
    before = measure_hrnn(options.dataset, options.epochs)
    limit = measure_limit(**before["shape"])
    # Measured on both sides of the limit, so that a slow stretch of the machine shows.
    after = measure_hrnn(options.dataset, options.epochs)
    ours = before | {"seconds_per_epoch": before["seconds_per_epoch"] + after["seconds_per_epoch"]}
    whole_fit = measure_fit(options.dataset)
    rows = [row("aws-hrnn", ours)]
    for name in options.peers:
        with tempfile.TemporaryDirectory(prefix="personalens-training-") as folder:
            measured = measure_peer(name, options.dataset, options.epochs, Path(folder))
        if measured is not None:
            rows.append(row(name, measured))
    print(f"a whole fit of aws-hrnn: {whole_fit['seconds']:.1f} s")
    for each in rows:
        print(f"{each['model']:<20} {each['tokens_per_second']:>10,.0f} tokens/s")
    reached = rows[0]["tokens_per_second"]
    share = reached / limit["tokens_per_second"]
    output_share = reached / limit["output_tokens_per_second"]
    print(
        f"{'limit':<20} {limit['tokens_per_second']:>10,.0f} tokens/s; aws-hrnn at {share:.0%} of "
        f"all products, {output_share:.0%} of the output layer's alone"
    )
    result = describe_run("training") | {
        "dataset": options.dataset,
        "rows": rows,
        "whole_fit": whole_fit,
        "limit": limit | ours["shape"] | {"share": share, "output_share": output_share},
    }
    write_result(result, f"training-{options.dataset}", options.results)


if __name__ == "__main__":
    main()
