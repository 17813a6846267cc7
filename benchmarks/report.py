"""Write benchmarks/README.md from the results that the other scripts left in benchmarks/results.

    python benchmarks/report.py [--results FOLDER --page README.md]

Nothing in the tables is written by hand: tests/benchmarks/test_report.py holds that the committed
README.md is what this script makes of the committed results.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from machine import RESULTS
from report_sections import PROTOCOL_ORDER, SECTIONS, table
from targets import outcomes

INTRODUCTION = """\
# Benchmarks

`make bench` makes everything anew (hours: peers that train networks are slow on a CPU), `make bench
QUICK=1` runs the same scripts with tiny settings in minutes, to see that they work. This page is
made by `python benchmarks/report.py` from the files in `results/`.

How to read it:

- The whole catalogue is ranked, without what the user has had. Events of one second are ordered by
  one seeded rule, for everybody. Every model runs in a process of its own and hands back lists of
  25; the same code judges them all.
- ± behind a figure is the standard deviation over seeds (next item), or over draws and folds of
  users. ± behind a difference is the standard error over users, paired: below two of these, two
  models cannot be told apart.
- Peers choose among settings on validation; below each table stands which. Our recipes have the
  service's default hyperparameters and are not tuned here; their fixed settings were chosen on
  earlier events of ml-100k and ml-latest-small, so part of a lead on these two sets is effort spent
  on them.
- A question of a hold-out has several right answers, and there are two NDCG for that. NDCG@10, that
  of most papers, divides by the list that begins with *everything* that is right. The service's
  divides by the best order of the *hits that the list has*: it does not ask what was missed, and is
  about twice as high. A figure of one is not to be held against one of the other.
- "slow training" has 16 epochs at a rate of .005 in place of 6 at .012: what
  `PERSONALENS_TRAINING_MAX_EPOCHS=16 PERSONALENS_TRAINING_LEARNING_RATE=0.005
  PERSONALENS_TRAINING_PATIENCE=4` does to every training.
- "fit s" is one training, early stopping and the second training on everything included; "top 25 s"
  the lists for all questions; "peak MB" the memory of the whole process, libraries included. A slow
  contestant has one run where others have several.
- EASE and the transition counts are our own implementations of published closed forms; the other
  peers are the named libraries.
- The server is uvicorn. granian under the same application, two workers, medians of three rounds of
  `python benchmarks/http_servers.py` on 1 December 2026: 371 against 281 µs of processor time for a
  recommendation, 709 against 718 for an event, and requests under way are cut off at its end.
"""


def load_results(folder: Path = RESULTS) -> list[dict[str, Any]]:
    """Return the results in the order in which they are shown."""
    results = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    return sorted(results, key=_place)


def _place(result: dict[str, Any]) -> tuple[int, int, str]:
    protocol = result.get("protocol", PROTOCOL_ORDER[0])
    return (
        list(SECTIONS).index(result["benchmark"]),
        PROTOCOL_ORDER.index(protocol),
        str(result.get("dataset")),
    )


def render(results: Sequence[dict[str, Any]]) -> str:
    """Return the page."""
    parts = [INTRODUCTION]
    if rows := outcomes(results):
        shown = [[row.what, row.asked, row.measured, row.met] for row in rows]
        parts.append("## In short\n\n" + table(["what", "target", "measured", "met"], shown) + "\n")
    return "\n".join(parts + [SECTIONS[result["benchmark"]](result) for result in results])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=RESULTS.parent / "README.md")
    options = parser.parse_args()
    options.page.write_text(render(load_results(options.results)), encoding="utf-8")


if __name__ == "__main__":
    main()
