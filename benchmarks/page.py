"""Write benchmarks/README.md from the results that the other modules left in benchmarks/results.

    python -m benchmarks.page [--results FOLDER --page README.md]

Nothing in the tables is written by hand: tests/benchmarks/test_page.py holds that the committed
README.md is what this module makes of the committed results. A kind of result has one row in
``SECTIONS``; a table is its columns: a header, and how a cell is made of a row.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.goals import COUNTS, NDCG, outcomes
from benchmarks.machine import RESULTS

Result = Mapping[str, Any]
Columns = Mapping[str, str | Callable[[Result], str]]
"""Header -> a format of the row's members, or a function of the row."""

INTRODUCTION = """\
# Benchmarks

`make bench` measures everything again. It takes hours, because peers that train networks are slow
on a CPU. `make bench QUICK=1` runs the same modules with tiny settings in minutes, to see that they
work. `python -m benchmarks.page` makes this page from the files in `results/`.

The words of this page:

- A **goal** is a figure that was written down before the models were built. The first table says
  whether it was met.
- A **peer** is a well-known library or a published method that does the same work beside ours.
- **Next item**: the last event of each user is asked for. **Hold-out**: the newest tenth of some
  users' events is asked for, as GetSolutionMetrics does it. A **draw** is one random choice of
  these users; **tenths** are ten draws that together take every user once.
- **Amazon's slide** is the chart of rating errors in Amazon's launch slides of 2018.

How to read the tables:

- The whole catalogue is ranked, without the items that the user has had. Events of the same second
  are put in order by one seeded rule, for all models. Every model runs in a process of its own and
  returns lists of 25; the same code judges them all.
- ± behind a figure is the standard deviation over seeds (next item), or over draws or tenths of
  users. ± behind a difference is the standard error over users, paired: below two of these, two
  models cannot be told apart.
- Peers choose among several settings on validation data; the line below each table names the chosen
  one. Our recipes have the service's default hyperparameters and are not tuned here. Their fixed
  settings were chosen on earlier events of ml-100k and ml-latest-small, so part of a lead on these
  two data sets is effort spent on them.
- A question of a hold-out has several right answers, and there are two ways to compute NDCG for
  that. NDCG@10, as in most papers, divides by the list that begins with *everything* that is right.
  The service's NDCG divides by the best order of the *hits that the list has*: it does not ask what
  was missed, and is about twice as high. Do not compare one with the other.
- "slow training" has 16 epochs at a rate of .005 in place of 6 at .012. Set
  `PERSONALENS_TRAINING_MAX_EPOCHS=16 PERSONALENS_TRAINING_LEARNING_RATE=0.005
  PERSONALENS_TRAINING_PATIENCE=4` to train everything like that.
- "fit s" is one whole training: early stopping, then a second training on all events. "top 25 s" is
  the time for the lists of all questions, "peak MB" the memory of the whole process with its
  libraries. A slow model has one run where others have several.
- EASE and the transition counts are our own implementations of published closed forms; the other
  peers are the named libraries.
- The server is uvicorn. granian under the same application, two workers, medians of three rounds of
  `python -m benchmarks.http_servers` on 1 December 2026: 371 against 281 µs of processor time for a
  recommendation, 709 against 718 for an event, and granian cuts off requests under way at its end.
"""

PROTOCOLS = {
    "next-item": (
        "next item",
        "{questions:,} questions: each user's last {last_events}, everything before it known.",
    ),
    "hold-out": (
        "the service's hold-out",
        "{questions:,} questions: the newest tenth of the events of a tenth of the users, none of "
        "whom trains, as in GetSolutionMetrics; mean over {rounds} draws of these users.",
    ),
    "hold-out-tenths": (
        "the service's hold-out, every user once",
        "{questions:,} questions: the newest tenth of the events of every user, none of whom "
        "trains when asked: {rounds} trainings, each without another share of the users. What "
        "GetSolutionMetrics reports depends on whom it draws; this is the mean over everybody.",
    ),
    "hold-out-known": (
        "the hold-out of known users",
        "{questions:,} questions: the newest tenth of the events of a tenth of the users, whose "
        "older events train; mean over {rounds} draws of these users. Not the service's hold-out, "
        "where no test user trains; but the goal of 0.24 for that one was set by the first draw "
        "of this one (transition counts 0.216, a GRU 0.229, blended with EASE 0.242).",
    ),
    "unseen-users": (
        "unseen users",
        "{questions:,} questions: the last event of users none of whom trains, as in Amazon's "
        "notebooks of 2018 and 2019; mean over {rounds} folds, which ask every user once.",
    ),
}
"""Title and text of each, in the order in which they are shown."""
COMPARED = 2
"""Recipes whose paired differences have a column; the results file has those of all."""


# -- how cells are made ---------------------------------------------------------------------------


def table(columns: Columns, rows: Iterable[Result]) -> str:
    """Return a Markdown table."""
    lines: list[Iterable[str]] = [columns, ["---"] * len(columns)]
    for row in rows:
        lines.append(
            [
                cell.format(**row) if isinstance(cell, str) else cell(row)
                for cell in columns.values()
            ]
        )
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(seconds: float) -> str:
    """Return seconds with three figures or so."""
    digits = 0 if seconds >= 100 else 1 if seconds >= 1 else 2
    return f"{seconds:,.{digits}f}"


def seconds(name: str) -> Callable[[Result], str]:
    """Return the cell of a row's seconds."""
    return lambda row: number(row[name])


def with_spread(row: Result, metric: str) -> str:
    """Return a figure, and ± its spread where there is one."""
    spread = (row["sd"] or {}).get(metric, 0.0)
    return f"{row[metric]:.4f}" + (f" ± {spread:.4f}" if spread else "")


def plus_minus(found: Result | None, name: str = "difference") -> str:
    """Return a difference with its standard error."""
    return "" if found is None else f"{found[name]:+.4f} ± {found['standard_error']:.4f}"


def last_events(result: Result) -> str:
    """Return which events of a user are asked for, in words."""
    return "event" if result["last"] == 1 else f"{result['last']} events"


# -- the sections ---------------------------------------------------------------------------------


def accuracy(result: Result) -> Iterator[str]:
    """One protocol on one data set: the table, and what validation chose."""
    _, text = PROTOCOLS[result["protocol"]]
    yield text.format(**result, last_events=last_events(result))
    metrics = [NDCG, "HR@10", "MRR@25", "coverage"]
    if result["protocol"].startswith("hold-out"):
        metrics.insert(1, f"service {NDCG}")
    found = {(each["recipe"], each["other"]): each for each in result["differences"]}
    recipes = list(dict.fromkeys(recipe for recipe, _ in found))[:COMPARED]
    columns: dict[str, Any] = {"model": "{model}"}
    for metric in metrics:
        columns[metric] = lambda row, metric=metric: with_spread(row, metric)
    for recipe in recipes:
        columns[f"{recipe} minus it"] = lambda row, recipe=recipe: plus_minus(
            found.get((recipe, row["model"]))
        )
    columns |= {"fit s": seconds("fit_seconds"), "top 25 s": seconds("ask_seconds")}
    columns |= {"peak MB": "{peak_mb:,.0f}", "runs": "{runs}"}
    yield table(columns, result["rows"])
    if result["protocol"] in ("hold-out", "hold-out-known"):
        yield from_draw_to_draw(result, recipes)
    yield choices(result)


def from_draw_to_draw(result: Result, recipes: list[str]) -> str:
    """Return how far apart the draws of test users are, of which there are few in each."""
    rows = result["rows"]
    shown = [row for row in rows if row["model"] in (*recipes, COUNTS) and "lowest" in row]
    if not shown:
        return ""
    ranges = [
        f"{row['model']} from {row['lowest'][NDCG]:.4f} to {row['highest'][NDCG]:.4f}"
        for row in shown
    ]
    text = (
        "The draws differ by more than the models do, and move all models together. NDCG@10 "
        f"from draw to draw: {'; '.join(ranges)}. Compare models on the same draws only."
    )
    if result["protocol"] == "hold-out-known":
        firsts = [f"{row['model']} {row['first'][NDCG]:.4f}" for row in shown]
        text += f" On the first, that of the goal: {'; '.join(firsts)}."
    return text


def choices(result: Result) -> str:
    """Return each contestant's setting, how many validation chose it from, and how the trainings
    that stop by themselves ended."""
    shown = []
    for row in result["rows"]:
        parts = [f"{name}={value:g}" for name, value in row["setting"].items()]
        if row["tried"] > 1:
            parts.append(f"of {row['tried']} settings")
        for note in row["notes"][:1]:
            if "epochs" in note:
                stopped = f", ended by {note['stopped_by']}" if "stopped_by" in note else ""
                parts.append(f"{note['epochs']} epochs{stopped}")
        if parts:
            shown.append(f"{row['model']}: {', '.join(parts)}")
    return f"Settings: {'; '.join(shown)}." if shown else ""


def side_information(result: Result) -> Iterator[str]:
    """What metadata and context are worth."""
    yield (
        f"{result['questions']:,} questions, each user's last {last_events(result)}; mean of "
        f"{result['seeds']} seeds."
    ) + (
        " The sample's taste model is known: “true score” is what it gives the ten films of a "
        "list, on average."
        if "true score" in result["rows"][0]["means"]
        else ""
    )
    base = result["rows"][0]["model"]

    def more(row: Result, metric: str) -> str:
        found = [d for d in row["differences"] if (d["other"], d["metric"]) == (base, metric)]
        return plus_minus(found[0] if found else None)

    # Two metrics have a column of one name, so the header is no mapping's key here.
    metrics = list(result["rows"][0]["means"])
    header = ["model", *(name for metric in metrics for name in (metric, f"minus {base}"))]
    lines = [header, ["---"] * len(header)]
    for row in result["rows"]:
        cells = [(f"{row['means'][metric]:.4f}", more(row, metric)) for metric in metrics]
        lines.append([row["model"], *(text for pair in cells for text in pair)])
    yield "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cold_items(result: Result) -> Iterator[str]:
    """Hidden items: means over the draws."""
    yield (
        "A random half of the items loses all its events; each user is asked for ten of these, "
        f"which are known by {', '.join(result['fields'])} alone. Random hidden items are the "
        "measure. Nobody knows the popularity of hidden items; it shows how much of a precision "
        "is popularity."
    )

    def of(recipe: str) -> dict[str, Any]:
        draws = [row for row in result["draws"] if row["recipe"] == recipe]
        names = ("precision_at_10", "random", "hidden_by_popularity", "ratio")
        row = {name: float(np.mean([draw[name] for draw in draws])) for name in names}
        spread = np.std([draw["ratio"] for draw in draws], ddof=1) if len(draws) > 1 else 0.0
        row["spread"] = f" ± {spread:.2f}" if len(draws) > 1 else ""
        return row | {"recipe": recipe, "draws": len(draws)}

    columns = {
        "recipe": "{recipe}",
        "precision@10": "{precision_at_10:.4f}",
        "random": "{random:.4f}",
        "times random": "{ratio:.2f}{spread}",
        "by popularity": "{hidden_by_popularity:.4f}",
        "draws": "{draws}",
    }
    yield table(columns, map(of, dict.fromkeys(row["recipe"] for row in result["draws"])))


def rating_chart(result: Result) -> Iterator[str]:
    """Amazon's slide, measured: a table and the slide's order for each split."""
    yield (
        "Amazon's slide names MovieLens, but neither the release nor the split: rolling average "
        ".933, FM .916, I-AutoRec .871, RNN .857, HRNN .846. Here every model is tuned on "
        "validation and asked one step ahead; HRNN is `RatingHRNN`. The averages and HRNN read "
        "everybody's ratings before the one asked for, RNN those of its user, FM and I-AutoRec the "
        "training part alone. `rating_chart.py` says how much effort went into each model."
    )
    yield f"![Amazon's slide, measured](results/deck-chart-{result['dataset']}.png)"
    models = {
        "model": "{model}",
        "RMSE": lambda r: f"{r['rmse']:.4f}" + (f" ± {r['sd']:.4f}" if r["seeds"] > 1 else ""),
        "minus HRNN": lambda r: "" if r["model"] == "HRNN" else plus_minus(r, "minus_hrnn"),
        "fit s": seconds("fit_seconds"),
        "settings tried": lambda row: str(row["tried"] or ""),
    }
    steps = {"the slide's order": "{step}", "slide": "{deck:+.3f}", "here": plus_minus}
    for name, part in result["splits"].items():
        yield (
            f"**Split {name}**: {part['ratings']:,} ratings, {part['strangers']:.0%} by people "
            "who are not in the training part."
        )
        yield table(models, part["rows"])
        yield table({**steps, "came": "{came}"}, part["steps"])


def deepfm_ratings(result: Result) -> Iterator[str]:
    """DeepFM on ratings."""
    alone, together = result["alone"], result["together"]
    models = f"{alone['mean']:.4f} ± {alone['sd']:.4f}"
    if result["members"] > 1:
        models += (
            f", the mean of {result['members']} models' answers {together['mean']:.4f} ± "
            f"{together['sd']:.4f}"
        )
    time = "with" if result["with_time"] else "without"
    yield (
        f"A fifth of the ratings at random is asked for, {len(result['folds'])} of the five parts; "
        f"{time} the fields of the time of a rating. RMSE of one model {models} (± over the parts)."
    )


def training(result: Result) -> Iterator[str]:
    """The speeds of training."""
    limit = result["limit"]
    text = (
        "One thread; a token is an event that is predicted once; the median epoch counts. The last "
        "rows are what `torch.mm` reaches in the same run on the matrix products of HRNN's "
        f"training at their shapes ({limit['width']} dimensions, {limit['hidden']} states, "
        f"{limit['items']:,} items, {limit['batch']} histories a batch), gradients included: "
        f"{limit['gigaflops']:.0f} GFLOP/s. HRNN trains at {limit['share']:.0%} of it, everything "
        f"else included; of the output layer's products alone at {limit['output_share']:.0%}."
    )
    if fit := result.get("whole_fit"):
        text += (
            " A whole fit of aws-hrnn, early stopping and the second training on everything "
            f"included, took {number(fit['seconds'])} s on {fit['threads']} threads."
        )
    yield text
    products = {
        "all matrix products alone": limit["tokens_per_second"],
        "those of the output layer": limit["output_tokens_per_second"],
    }
    columns = {
        "model": "{model}",
        "tokens/s": "{tokens_per_second:,.0f}",
        "s an epoch": lambda row: number(row["epoch_seconds"]) if "epochs" in row else "",
        "epochs": lambda row: str(row.get("epochs", "")),
    }
    alone = [{"model": name, "tokens_per_second": speed} for name, speed in products.items()]
    yield table(columns, [*result["rows"], *alone])


STEP = {"step": "{step}", "s": seconds("seconds"), "CPU s": seconds("cpu_seconds")}


def import_and_sims(result: Result) -> Iterator[str]:
    """Import and SIMS on ten million interactions."""
    imported, sims = result["import"], result["sims"]

    def steps(part: Result) -> str:
        speed = lambda row: f"{part['rows'] / row['seconds']:,.0f}"  # noqa: E731
        return table({**STEP, "rows/s": speed, "peak MB": "{peak_mb:,.0f}"}, part["steps"])

    yield (
        f"A CSV file of {imported['rows']:,} interactions ({imported['megabytes']:,.0f} MB, "
        "identifiers as strings) to Parquet: bare conversions, and the import with every check, "
        f"which takes {imported['seconds_over_fastest']:.1f} s more than {imported['fastest']}. "
        "The fastest of the runs counts."
    )
    yield steps(imported)
    yield (
        f"Item-item similarities of {sims['rows']:,} interactions with {sims['items']:,} items, "
        f"{sims['neighbours']} neighbours kept, items drawn evenly or with a few popular ones:"
    )
    yield steps(sims)


def batch_inference(result: Result) -> Iterator[str]:
    """Batch inference beside implicit's recommend."""
    yield (
        f"The best 25 of {result['items']:,} items for each of {result['users']:,} users, by the "
        f"same {result['factors']} factors of each. implicit's recommend and the ranking alone "
        "name codes; a job, and implicit where it writes a job's file, reads and writes JSON lines "
        "and looks up every user. The fastest of the runs counts."
    )
    runs = {"s of every run": lambda row: ", ".join(map(number, row["all_seconds"]))}
    yield table({**STEP, **runs, "MB added": "{added_mb:,.0f}"}, result["steps"])


def serving(result: Result) -> Iterator[str]:
    """The service's speed: a table for each catalogue."""
    yield (
        f"`personalens serve --workers {result['workers']}`, asked by a client in a process of its "
        "own on the same cores, and boto3 in process; lists of 25. Milliseconds until the answer "
        "is there; CPU: the server's (in process: the caller's) for one request."
    )

    def whole(name: str) -> Callable[[Result], str]:
        return lambda row: f"{row[name]:,.0f}" if name in row else ""

    columns = {
        "request": "{what}",
        "connections": lambda row: str(row.get("connections", "")),
        "a second": "{per_second:,.0f}",
        **{f"{name} ms": f"{{{name}_ms:.2f}}" for name in ("p50", "p95", "p99")},
        **{"CPU µs": whole("cpu_us"), "MB": whole("memory_mb")},
        "failed": lambda row: str(row["failed"] or ""),
    }
    for catalogue in result["catalogues"]:
        yield f"**{catalogue['name']}**"
        yield table(columns, catalogue["rows"])


SECTIONS: dict[str, tuple[str, Callable[[Result], Iterator[str]]]] = {
    "accuracy": ("{dataset}, {protocol_title}", accuracy),
    "side information": ("Metadata and context, {dataset}", side_information),
    "cold items": ("Cold items, {dataset}, by {field_names}", cold_items),
    "rating chart": ("Amazon's slide of rating errors, {dataset}", rating_chart),
    "deepfm ratings": ("DeepFM on ratings, {dataset}", deepfm_ratings),
    "training": ("Training speed, {dataset}", training),
    "import and sims": ("Import and SIMS", import_and_sims),
    "batch inference": ("Batch inference", batch_inference),
    "serving": ("Serving", serving),
}
"""Heading and blocks of each kind of result, in the order in which they are shown."""


# -- the page -------------------------------------------------------------------------------------


def section(result: Result) -> str:
    """Return a section: heading, blocks, and where, when and how it was measured."""
    title, blocks = SECTIONS[result["benchmark"]]
    words = {"field_names": ", ".join(result.get("fields", ()))}
    words["protocol_title"], _ = PROTOCOLS.get(result.get("protocol"), ("", ""))
    heading = f"## {title.format(**result, **words)}"
    return "\n\n".join([heading, *filter(None, blocks(result)), conditions(result)]) + "\n"


def conditions(result: Result) -> str:
    """Return command, machine, versions and date."""
    versions = dict(result["versions"])
    for row in result.get("rows", ()):
        versions |= {k: v for k, v in row.get("versions", {}).items() if k not in versions}
    steps = [*result.get("import", {}).get("steps", ()), *result.get("sims", {}).get("steps", ())]
    versions |= {each["step"].split(",")[0]: each["version"] for each in steps if "version" in each}
    named = ", ".join(f"{name} {value}" for name, value in versions.items())
    loads = [each.get("load", 0.0) for each in [result, *result.get("rows", ()), *steps]]
    busy = ""
    if max(loads) > result["cores"] + 1:  # one or two are those of the benchmark itself
        busy = " Others used the machine at the same time: seconds are upper bounds."
    of = result.get("machine_cores", result["cores"])
    cores = f"{result['cores']} of {of}" if of != result["cores"] else f"{of}"
    command = re.sub(r"benchmarks/(\w+)\.py", r"-m benchmarks.\1", result["command"])
    command = command.replace("deck_chart", "rating_chart")  # the module's first name
    return (
        f"<sub>`{command}`<br>{result['date']}; {result['processor']}, {cores} cores, "
        f"{result['memory_gb']} GB, OMP_NUM_THREADS {result['threads']}; Python "
        f"{result['python']}, {named}.{busy}</sub>"
    )


def load_results(folder: Path = RESULTS) -> list[dict[str, Any]]:
    """Return the results in the order in which they are shown."""
    results = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]

    def place(result: Result) -> tuple[int, int, str]:
        protocol = list(PROTOCOLS).index(result.get("protocol", "next-item"))
        return list(SECTIONS).index(result["benchmark"]), protocol, str(result.get("dataset"))

    return sorted(results, key=place)


def render(results: Sequence[Result]) -> str:
    """Return the page."""
    parts = [INTRODUCTION]
    if rows := outcomes(results):
        columns = {"what": "{what}", "goal": "{goal}", "measured": "{measured}", "met": "{met}"}
        shown = table(columns, [row._asdict() for row in rows])
        parts.append(f"## In short\n\n{shown}\n")
    return "\n".join([*parts, *map(section, results)])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--results", type=Path, default=RESULTS)
    options.add_argument("--page", type=Path, default=RESULTS.parent / "README.md")
    chosen = options.parse_args()
    chosen.page.write_text(render(load_results(chosen.results)), encoding="utf-8")


if __name__ == "__main__":
    main()
