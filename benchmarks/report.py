"""Write benchmarks/README.md from the results that the other scripts left in benchmarks/results.

    python benchmarks/report.py

Nothing in the tables is written by hand: tests/benchmarks/test_report.py holds that the committed
README.md is what this script makes of the committed results.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PROTOCOL_ORDER = ("next-item", "hold-out", "unseen-users")
PROTOCOL_TEXTS = {
    "next-item": "each user's last {last} asked for, everything before known",
    "hold-out": (
        "the newest tenth of the events of a tenth of the users, none of whom trains: the hold-out "
        "of GetSolutionMetrics; mean over {rounds} draws of test users"
    ),
    "unseen-users": (
        "the last event of users none of whom trains: the protocol of Amazon's notebooks of 2018 "
        "and 2019; mean over {rounds} folds, which together ask every user once"
    ),
}
INTRODUCTION = """\
# Benchmarks

This page is made by `python benchmarks/report.py` from the files in `results/`; `make bench` makes
everything anew (hours: the peers that train networks are slow on a CPU).

How to read it:

- The whole catalogue is ranked, without what the user has had. Events of one second are ordered by
  one seeded rule, for everybody. Every model runs in a process of its own and hands back lists of
  25; the same code judges them all.
- ± is the standard deviation over seeds (next item) or over draws and folds of users. A difference
  between two rows is to be read from the table of paired differences: ± there is the standard error
  over users.
- "tried" is the number of settings that validation chose from. Our recipes have the service's
  default hyperparameters and are not tuned here; their fixed settings were chosen on earlier events
  of ml-100k and ml-latest-small, so part of a lead on these two sets is effort spent on them.
- "fit s" is one training, early stopping and the second training on everything included, "top 25 s"
  the lists for all questions, "peak MB" the memory of the whole process, libraries included.
- EASE and the transition counts are our own implementations of published closed forms; the other
  peers are the named libraries.
"""


def load_results(folder: Path = HERE / "results") -> list[dict[str, Any]]:
    """Return the results in the order in which they are shown."""
    results = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    return sorted(results, key=_place)


def _place(result: dict[str, Any]) -> tuple[int, int, str]:
    kinds = ("accuracy", "training", "import and sims")
    protocol = result.get("protocol", PROTOCOL_ORDER[0])
    return (
        kinds.index(result["benchmark"]),
        PROTOCOL_ORDER.index(protocol),
        str(result.get("dataset")),
    )


def render(results: Sequence[dict[str, Any]]) -> str:
    """Return the page."""
    parts = {
        "accuracy": accuracy_section,
        "training": training_section,
        "import and sims": bulk_section,
    }
    sections = [parts[result["benchmark"]](result) for result in results]
    return "\n".join([INTRODUCTION, *sections])


def accuracy_section(result: dict[str, Any]) -> str:
    """Return heading, table and differences of one protocol on one data set."""
    last = "event" if result["last"] == 1 else f"{result['last']} events"
    title = {"next-item": "next item", "hold-out": "the service's hold-out"}
    name = title.get(result["protocol"], "unseen users")
    how = PROTOCOL_TEXTS[result["protocol"]].format(last=last, rounds=result["rounds"])
    metrics = ["NDCG@10", "HR@10", "MRR@25", "P@5", "coverage"]
    if result["protocol"] == "hold-out":
        metrics.insert(1, "service NDCG@10")
        how += (
            '. "service NDCG@10" divides by the best order of the hits found, as the service '
            "does; NDCG@10 by the list that begins with all that is right"
        )
    rows = [
        [
            row["model"],
            *(with_spread(row, metric) for metric in metrics),
            number(row["fit_seconds"]),
            number(row["ask_seconds"]),
            f"{row['peak_mb']:,.0f}",
            str(row["runs"]),
            str(row["tried"]),
            remarks(row),
        ]
        for row in result["rows"]
    ]
    header = ["model", *metrics, "fit s", "top 25 s", "peak MB", "runs", "tried", "setting"]
    lines = [
        f"## {result['dataset']}, {name}",
        "",
        f"{result['questions']:,} questions: {how}.",
        "",
        table(header, rows),
        "",
    ]
    if result["differences"]:
        lines += ["NDCG@10, recipe minus other, paired over users:", "", differences(result), ""]
    return "\n".join([*lines, conditions(result), ""])


def differences(result: dict[str, Any]) -> str:
    """Return the paired differences: one row a contestant, one column a recipe."""
    found = {(each["recipe"], each["other"]): each for each in result["differences"]}
    recipes = list(dict.fromkeys(each["recipe"] for each in result["differences"]))
    others = list(dict.fromkeys(each["other"] for each in result["differences"]))

    def cell(recipe: str, other: str) -> str:
        each = found.get((recipe, other))
        if each is None:
            return ""
        return f"{each['difference']:+.4f} ± {each['standard_error']:.4f}"

    rows = [[other, *(cell(recipe, other) for recipe in recipes)] for other in others]
    return table(["other", *(f"{recipe} minus it" for recipe in recipes)], rows)


def training_section(result: dict[str, Any]) -> str:
    """Return the speeds of training."""
    limit = result["limit"]
    rows = [
        [
            row["model"],
            f"{row['tokens_per_second']:,.0f}",
            number(row["epoch_seconds"]),
            str(row["epochs"]),
        ]
        for row in result["rows"]
    ]
    alone = f"{limit['output_tokens_per_second']:,.0f}"
    rows.append(["all matrix products alone", f"{limit['tokens_per_second']:,.0f}", "", ""])
    rows.append(["those of the output layer", alone, "", ""])
    lines = [
        f"## Training speed, {result['dataset']}",
        "",
        "One thread; a token is an event that is predicted once; the median epoch counts. The last "
        "rows are what `torch.mm` reaches in the same run on the matrix products of HRNN's "
        f"training at their shapes ({limit['width']} dimensions, {limit['hidden']} states, "
        f"{limit['items']:,} items, {limit['batch']} histories a batch), gradients included: "
        f"{limit['gigaflops']:.0f} GFLOP/s. HRNN trains at {limit['share']:.0%} of it, everything "
        f"else included; of the output layer's products alone at {limit['output_share']:.0%}.",
        "",
        table(["model", "tokens/s", "s an epoch", "epochs"], rows),
        "",
    ]
    return "\n".join([*lines, conditions(result), ""])


def bulk_section(result: dict[str, Any]) -> str:
    """Return import and SIMS on ten million interactions."""
    imported, sims = result["import"], result["sims"]

    def rows(part: dict[str, Any]) -> list[list[str]]:
        return [
            [
                each["step"],
                number(each["seconds"]),
                number(each["cpu_seconds"]),
                f"{part['rows'] / each['seconds']:,.0f}",
                f"{each['peak_mb']:,.0f}",
            ]
            for each in part["steps"]
        ]

    header = ["step", "s", "CPU s", "rows/s", "peak MB"]
    lines = [
        "## Import and SIMS",
        "",
        f"A CSV file of {imported['rows']:,} interactions ({imported['megabytes']:,.0f} MB, "
        "identifiers as strings) to Parquet: bare conversions, and the import with every check, "
        f"which takes {imported['seconds_over_fastest']:.1f} s more than {imported['fastest']}. "
        "The fastest of the runs counts.",
        "",
        table(header, rows(imported)),
        "",
        f"Item-item similarities of {sims['rows']:,} interactions with {sims['items']:,} items, "
        f"{sims['neighbours']} neighbours kept, items drawn evenly or with a few popular ones:",
        "",
        table(header, rows(sims)),
        "",
    ]
    return "\n".join([*lines, conditions(result), ""])


def remarks(row: dict[str, Any]) -> str:
    """Return the chosen setting and what a trained peer tells of its training."""
    parts = [f"{name}={value:g}" for name, value in row["setting"].items()]
    for note in row["notes"][:1]:
        if "epochs" in note:
            stopped = f", ended by {note['stopped_by']}" if "stopped_by" in note else ""
            parts.append(f"{note['epochs']} epochs{stopped}")
    return ", ".join(parts)


def with_spread(row: dict[str, Any], metric: str) -> str:
    """Return a figure, and ± its spread where there is one."""
    spread = (row["sd"] or {}).get(metric, 0.0)
    return f"{row[metric]:.4f}" + (f" ± {spread:.4f}" if spread else "")


def number(seconds: float) -> str:
    """Return seconds with three figures or so."""
    return (
        f"{seconds:,.0f}"
        if seconds >= 100
        else f"{seconds:.1f}"
        if seconds >= 1
        else f"{seconds:.2f}"
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def conditions(result: dict[str, Any]) -> str:
    """Return machine, versions, date and command."""
    versions = dict(result["versions"])
    for row in result.get("rows", ()):
        versions |= {k: v for k, v in row.get("versions", {}).items() if k not in versions}
    steps = [*result.get("import", {}).get("steps", ()), *result.get("sims", {}).get("steps", ())]
    versions |= {each["step"].split(",")[0]: each["version"] for each in steps if "version" in each}
    named = ", ".join(f"{name} {value}" for name, value in versions.items())
    loads = [each.get("load", 0.0) for each in [*result.get("rows", ()), *steps]]
    busy = ""
    if max(loads) > result["cores"] + 1:  # one or two are those of the benchmark itself
        busy = " **Others used the machine at the same time: seconds are upper bounds.**"
    return (
        f"{result['date']}; {result['processor']}, {result['cores']} cores, "
        f"{result['memory_gb']} GB, OMP_NUM_THREADS {result['threads']}; Python "
        f"{result['python']}, {named}.{busy}\n\n`{result['command']}`"
    )


def main() -> None:
    (HERE / "README.md").write_text(render(load_results()), encoding="utf-8")


if __name__ == "__main__":
    main()
