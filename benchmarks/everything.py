"""Run every benchmark, one after the other, and write the page: ``make bench``.

    python -m benchmarks.everything
    python -m benchmarks.everything --quick

A benchmark that fails does not stop the others; they are named at the end. Rows whose environment
is not there are left out. ``--quick`` runs the same modules on the sample with tiny settings, into
``build/bench``: minutes, to see that all of them work; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import os
import shlex
import time
from pathlib import Path

from benchmarks.machine import RESULTS, ROOT, run_module

QUICK = ROOT / "build" / "bench"
RECIPES = (
    "aws-hrnn aws-user-personalization aws-hrnn-metadata aws-user-personalization-v2 aws-ffnn "
    "aws-deepfm aws-sims"
)
BEST = "aws-hrnn aws-user-personalization 'aws-user-personalization, slow training'"
# Our own first, the slow peers last.
FULL = [
    "side_information --dataset sample --seeds 5",
    "side_information --dataset ml-100k --last 5 --seeds 5",
    "cold_items --dataset ml-100k --seeds 5",
    "cold_items --dataset ml-100k --seeds 5 --fields GENRES --recipes aws-user-personalization",
    "deepfm_rating --folds 5 --members 3",
    "rating_chart --parts --seeds 3",
    "import_and_sims",
    "batch_inference",
    "training",
    "serving",
    "put_events_durability",
    f"accuracy --dataset ml-100k --recipes {RECIPES}",
    "accuracy --dataset ml-100k --protocol unseen-users",
    "accuracy --dataset ml-100k --protocol hold-out hold-out-tenths hold-out-known "
    f"--recipes {BEST}",
    "accuracy --dataset ml-latest-small --last 5 --seeds 3 "
    "--recipes aws-hrnn aws-user-personalization",
]
SAMPLE = [
    "side_information --dataset sample --seeds 1",
    "cold_items --dataset sample --seeds 1 --recipes aws-user-personalization",
    "deepfm_rating --dataset sample --folds 1 --members 1 --epochs 1",
    "rating_chart --dataset sample --splits 'by time' --tries 1 --seeds 1",
    "import_and_sims --rows 100000 --items 1000 --repeats 1",
    "batch_inference --users 2000 --items 1000 --repeats 1",
    "training --dataset sample --epochs 1",
    "serving --items 100 --seconds 0.5 --connections 8",
    "put_events_durability --kills 2",
    "accuracy --dataset sample --seeds 1 --tries 1 --limit 5",
    "accuracy --dataset sample --protocol hold-out --rounds 1 --tries 1 "
    "--peers popularity 'implicit ALS' 'LensKit implicit MF'",
]
"""The same modules, all of them, with one epoch of each of our networks."""
WITHOUT_RESULTS = {"put_events_durability"}
"""They print what they measure."""


def commands(steps: list[str], results: Path, *, work: Path | None, limit: float | None):
    """Yield each step's arguments, with the folders where it puts things."""
    for step in steps:
        module, *rest = shlex.split(step)
        if module not in WITHOUT_RESULTS:
            rest += ["--results", str(results)]
        if module == "accuracy":
            rest += ["--work", str(work)] if work else []
            rest += ["--limit", str(limit)] if limit else []
        yield [module, *rest]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="tiny settings, into build/bench")
    parser.add_argument("--limit", type=float, help="seconds for each slow peer's training")
    options = parser.parse_args()
    steps, results, work = FULL, RESULTS, None
    page = ROOT / "benchmarks" / "README.md"
    if options.quick:
        steps, results, work = SAMPLE, QUICK / "results", QUICK / "work"
        page = QUICK / "README.md"
        os.environ["PERSONALENS_TRAINING_MAX_EPOCHS"] = "1"
    failed = []
    for module, *rest in commands(steps, results, work=work, limit=options.limit):
        print(f"\n== {shlex.join([module, *rest])}", flush=True)
        began = time.perf_counter()
        done = run_module(module, *rest)
        print(f"== {(time.perf_counter() - began) / 60:.1f} minutes", flush=True)
        if done.returncode:
            failed.append(shlex.join([module, *rest]))
    run_module("page", "--results", results, "--page", page, check=True)
    print(f"\nThe page: {page}")
    if failed:
        raise SystemExit("\n".join(["These failed:", *failed]))


if __name__ == "__main__":
    main()
