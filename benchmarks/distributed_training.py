"""Train a recipe on a table of events in several processes at once, and save the model.

    torchrun --standalone --nproc-per-node 2 benchmarks/distributed_training.py events.csv model

Without ``torchrun`` the same script trains in one process. ``events.csv`` has the columns USER_ID,
ITEM_ID and TIMESTAMP. See :mod:`personalens.training.devices`.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import pandas as pd

from personalens.recipes import registry
from personalens.training.devices import process_group


def main() -> None:
    """Train, save, and say how the epochs went."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("events", type=Path)
    parser.add_argument("model", type=Path, help="folder to be made")
    parser.add_argument("--recipe", default="aws-hrnn")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    chosen = parser.parse_args()
    events = pd.read_csv(chosen.events, dtype={"USER_ID": str, "ITEM_ID": str})
    with process_group() as rank:
        began = time.perf_counter()
        model = registry.get(chosen.recipe).recipe(device=chosen.device).fit(events)
        if rank == 0:
            model.save(chosen.model)
            print(f"{chosen.recipe}: {time.perf_counter() - began:.1f} s")
            print(pd.DataFrame(model.training_log_).to_string(index=False))


if __name__ == "__main__":
    main()
