"""Accuracy of our recipes beside their peers: the same questions, the same evaluation code.

    python -m benchmarks.accuracy --dataset ml-100k --protocol next-item
    python -m benchmarks.accuracy --dataset ml-latest-small --protocol next-item --last 5
    python -m benchmarks.accuracy --dataset ml-100k --protocol hold-out-tenths unseen-users

The protocols stand in :mod:`benchmarks.splits`, the contestants and their grids in
:mod:`benchmarks.contestants`. Each contestant runs in a process of its own and hands back the best
25 items for each question, without those of the history; what follows is computed here from these
lists. Events of one second are ordered by the seeded tie rule of personalens.datasets.interactions,
for everybody.

How much each was tuned differs. The peers' grids are gone through on validation events, some
settings each. The fixed settings of our recipes were chosen on earlier events of ml-100k and
ml-latest-small, never on the events asked for here; so part of a lead on these two data sets is
effort spent on them.

Results are kept under ``--work`` as they come, and what is there is not run again: an interrupted
benchmark goes on, and one row is run again by deleting its folder.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.contestants import KEEP_MEMORY, PEERS, Contestant, Setting, recipe
from benchmarks.figures import difference_rows, question_figures, summary_row
from benchmarks.machine import (
    ENVIRONMENTS,
    describe_run,
    parser,
    python_of,
    run_module,
    write_result,
)
from benchmarks.splits import PROTOCOLS, Round, Split, split_data
from personalens.evaluation.offline_report import HIT_RATE_10, NDCG_10

VALIDATION = "validation"


class Benchmark:
    """One protocol on one data set, with its intermediate results in the folder ``work``.

    ``seeds`` are the trainings of a random contestant in a protocol with one round; elsewhere each
    round has its own seed.
    """

    def __init__(self, split_arguments: dict[str, Any], seeds: int, work: Path):
        self.split_arguments, self.seeds, self.work = split_arguments, seeds, work
        self.split: Split = split_data(**split_arguments)
        self.tasks = work / "tasks"
        self.tasks.mkdir(parents=True, exist_ok=True)

    def round(self, name: str | int) -> Round:
        """Return the validation round, or one of the test rounds."""
        return self.split.validation if name == VALIDATION else self.split.rounds[int(name)]

    def measure(
        self, contestant: Contestant, given: Setting
    ) -> tuple[dict[str, Any], pd.DataFrame]:
        """Tune, train and ask one contestant; return its row, and a row per question and run.

        ``given`` is added to its settings.
        """
        folder = self.work / contestant.name.replace(" ", "-").replace(",", "")
        chosen = {**self.choose(contestant, folder), **given}
        plan = [
            {"round": number, "seed": seed, "setting": chosen}
            for number, seed in self.plan(contestant)
        ]
        report, measured = self.run(contestant, plan, folder / "test")
        runs = measured.pop("runs")
        row = {
            "model": contestant.name,
            **summary_row(report),
            "setting": chosen,
            "tried": len(contestant.grid),
            "fit_seconds": float(np.median([run.pop("fit_seconds") for run in runs])),
            "ask_seconds": float(np.mean([run.pop("ask_seconds") for run in runs])),
            **measured,
            "notes": runs if any(runs) else [],
        }
        return row, report

    def plan(self, contestant: Contestant) -> list[tuple[int, int]]:
        """Return the rounds to run, each with its seed."""
        rounds = len(self.split.rounds)
        if rounds > 1:
            pairs = [(number, number) for number in range(rounds)]
        else:
            pairs = [(0, seed) for seed in range(self.seeds if contestant.is_random else 1)]
        return pairs[:1] if contestant.is_slow else pairs

    def choose(self, contestant: Contestant, folder: Path) -> Setting:
        """Return the setting that does best on the validation round."""
        if len(contestant.grid) == 1:
            return contestant.grid[0]
        plan = [{"round": VALIDATION, "seed": 0, "setting": setting} for setting in contestant.grid]
        report, _ = self.run(contestant, plan, folder / VALIDATION)
        best = int(report.groupby("run")[NDCG_10].mean().argmax())
        return contestant.grid[best]

    def run(
        self, contestant: Contestant, plan: Sequence[dict[str, Any]], folder: Path
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Have the contestant's process do some runs; return a row per question, and figures."""
        job = {
            "model": contestant.model,
            "split": self.split_arguments,
            "tasks": str(self.tasks),
            "runs": list(plan),
        }
        if not is_done(job, folder):
            for run in plan:
                path = self.tasks / f"{run['round']}.npz"
                if contestant.environment and not path.exists():
                    self.round(run["round"]).task().save(path)
            print(f"  {contestant.name}: {len(plan)} trainings", flush=True)
            do_job(contestant, job, folder)
        reports = [
            question_figures(self.round(run["round"]), np.load(folder / f"lists-{n}.npy"), n)
            for n, run in enumerate(plan)
        ]
        return pd.concat(reports), json.loads((folder / "figures.json").read_text())


def is_done(job: dict[str, Any], folder: Path) -> bool:
    """Return whether a folder holds the results of exactly this job."""
    path = folder / "job.json"
    return (folder / "figures.json").exists() and json.loads(path.read_text()) == job


def do_job(contestant: Contestant, job: dict[str, Any], folder: Path) -> None:
    """Run the contestant's script in its environment; raise if it fails."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "job.json").write_text(json.dumps(job, indent=1))
    with (folder / "output.txt").open("w") as output:
        done = run_module(
            contestant.module,
            folder / "job.json",
            environment=contestant.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=KEEP_MEMORY | os.environ,
        )
    if done.returncode:
        raise RuntimeError(f"{contestant.name} failed; see {folder / 'output.txt'}")


def run_protocol(benchmark: Benchmark, contestants: Sequence[Contestant]) -> dict[str, Any]:
    """Measure the contestants one after the other and compare them."""
    rows: dict[str, dict[str, Any]] = {}
    reports: dict[str, pd.DataFrame] = {}
    for contestant in contestants:
        given = {}
        if contestant.seconds_of:
            if contestant.seconds_of not in rows:
                continue
            given = {"seconds": round(rows[contestant.seconds_of]["fit_seconds"], 1)}
        if not contestant.knows_strangers and len(benchmark.split.rounds) > 1:
            continue  # it cannot be asked about users who did not train
        if not (python := python_of(contestant.environment)).exists():
            print(f"  {contestant.name}: left out, there is no {python}", flush=True)
            continue
        row, report = benchmark.measure(contestant, given)
        rows[contestant.name], reports[contestant.name] = row, report
        shown = {name: round(row[name], 4) for name in (NDCG_10, HIT_RATE_10, "fit_seconds")}
        print(f"  {contestant.name}: {shown}", flush=True)
    return {
        "rows": list(rows.values()),
        "differences": difference_rows(reports, [n for n in rows if n.startswith("aws-")]),
        "questions": sum(len(each) for each in benchmark.split.rounds),
        "rounds": len(benchmark.split.rounds),
    }


def main() -> None:
    options = parser(__doc__)
    add, names = options.add_argument, [peer.name for peer in PEERS]
    add("--dataset", default="ml-100k")
    add("--protocol", nargs="+", default=["next-item"], choices=PROTOCOLS)
    add("--last", type=int, default=1, help="events asked for at each user's end")
    add("--rounds", type=int, default=10, help="draws or folds of test users")
    add("--seeds", type=int, default=5, help="trainings where there is one round")
    add("--recipes", nargs="*", default=["aws-hrnn"])
    add("--peers", nargs="*", default=names, choices=names, metavar="NAME")
    add("--tries", type=int, help="at most so many settings of each peer")
    add("--limit", type=float, help="seconds for each slow peer's training")
    add("--work", type=Path, default=ENVIRONMENTS / "work")
    measure_all(options.parse_args())


def measure_all(options: argparse.Namespace) -> None:
    """Measure the contestants and protocols that were asked for."""
    chosen = [recipe(name) for name in options.recipes]
    for peer in PEERS:
        if peer.name in options.peers:
            limited = options.limit and peer.is_slow and not peer.seconds_of
            grid = ({"limit": options.limit},) if limited else peer.grid[: options.tries]
            chosen.append(replace(peer, grid=grid))
    for protocol in options.protocol:
        last = options.last if protocol == "next-item" else 1
        arguments = {
            "dataset": options.dataset,
            "protocol": protocol,
            "last": last,
            "rounds": options.rounds,
        }
        name = f"{options.dataset}-{protocol}" + (f"-{last}" if last > 1 else "")
        print(f"{name}, {os.cpu_count()} processors", flush=True)
        benchmark = Benchmark(arguments, options.seeds, options.work.resolve() / name)
        result = describe_run("accuracy") | arguments | run_protocol(benchmark, chosen)
        write_result(result, f"accuracy-{name}", options.results)


if __name__ == "__main__":
    main()
