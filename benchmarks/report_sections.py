"""The sections of benchmarks/README.md: one function for each kind of results file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

PROTOCOL_ORDER = ("next-item", "hold-out", "hold-out-tenths", "hold-out-known", "unseen-users")
PROTOCOL_TITLES = {
    "next-item": "next item",
    "hold-out": "the service's hold-out",
    "hold-out-tenths": "the service's hold-out, every user once",
    "hold-out-known": "the target's hold-out, known users",
    "unseen-users": "unseen users",
}
PROTOCOL_TEXTS = {
    "next-item": "{questions:,} questions: each user's last {last}, everything before it known.",
    "hold-out": (
        "{questions:,} questions: the newest tenth of the events of a tenth of the users, none of "
        "whom trains, as in GetSolutionMetrics; mean over {rounds} draws of these users."
    ),
    "hold-out-tenths": (
        "{questions:,} questions: the newest tenth of the events of every user, none of whom "
        "trains when asked: {rounds} trainings, each without another share of the users. What "
        "GetSolutionMetrics reports depends on whom it draws; this is the mean over everybody."
    ),
    "hold-out-known": (
        "{questions:,} questions: the newest tenth of the events of a tenth of the users, whose "
        "older events train; mean over {rounds} draws of these users. Not the service's hold-out, "
        "where no test user trains; but the target of 0.24 for that one was set by the first draw "
        "of this one (transition counts 0.216, a GRU 0.229, blended with EASE 0.242)."
    ),
    "unseen-users": (
        "{questions:,} questions: the last event of users none of whom trains, as in Amazon's "
        "notebooks of 2018 and 2019; mean over {rounds} folds, which ask every user once."
    ),
}
COMPARED = 2
"""Recipes whose paired differences have a column; the results file has those of all."""


def accuracy_section(result: dict[str, Any]) -> str:
    """Return one protocol on one data set: the table, and what validation chose."""
    last = "event" if result["last"] == 1 else f"{result['last']} events"
    metrics = ["NDCG@10", "HR@10", "MRR@25", "coverage"]
    if result["protocol"].startswith("hold-out"):
        metrics.insert(1, "service NDCG@10")
    found = {(each["recipe"], each["other"]): each for each in result["differences"]}
    recipes = list(dict.fromkeys(recipe for recipe, _ in found))[:COMPARED]
    rows = [
        [
            row["model"],
            *(with_spread(row, metric) for metric in metrics),
            *(plus_minus(found.get((recipe, row["model"]))) for recipe in recipes),
            number(row["fit_seconds"]),
            number(row["ask_seconds"]),
            f"{row['peak_mb']:,.0f}",
            str(row["runs"]),
        ]
        for row in result["rows"]
    ]
    header = ["model", *metrics, *(f"{recipe} minus it" for recipe in recipes)]
    text = PROTOCOL_TEXTS[result["protocol"]].format(**result | {"last": last})
    shown = table([*header, "fit s", "top 25 s", "peak MB", "runs"], rows)
    return section(
        f"{result['dataset']}, {PROTOCOL_TITLES[result['protocol']]}",
        [text, shown, *from_draw_to_draw(result, recipes), choices(result)],
        result,
    )


def from_draw_to_draw(result: dict[str, Any], recipes: list[str]) -> Iterator[str]:
    """Yield how far apart the draws of test users are, of which there are few in each."""
    if result["protocol"] not in ("hold-out", "hold-out-known"):
        return
    shown = [
        row
        for row in result["rows"]
        if row["model"] in (*recipes, "windowed transition counts") and "lowest" in row
    ]
    if not shown:
        return
    ranges = [
        f"{row['model']} from {row['lowest']['NDCG@10']:.4f} to {row['highest']['NDCG@10']:.4f}"
        for row in shown
    ]
    text = (
        "The draws differ by more than the models do, and move all models together. NDCG@10 "
        f"from draw to draw: {'; '.join(ranges)}. Compare models on the same draws only."
    )
    if result["protocol"] == "hold-out-known":
        firsts = [f"{row['model']} {row['first']['NDCG@10']:.4f}" for row in shown]
        text += f" On the first, that of the target: {'; '.join(firsts)}."
    yield text


def choices(result: dict[str, Any]) -> str:
    """Return each contestant's setting, how many validation chose it from, and how the trainings
    that stop by themselves ended."""
    told = []
    for row in result["rows"]:
        parts = [f"{name}={value:g}" for name, value in row["setting"].items()]
        if row["tried"] > 1:
            parts.append(f"of {row['tried']} settings")
        for note in row["notes"][:1]:
            if "epochs" in note:
                stopped = f", ended by {note['stopped_by']}" if "stopped_by" in note else ""
                parts.append(f"{note['epochs']} epochs{stopped}")
        if parts:
            told.append(f"{row['model']}: {', '.join(parts)}")
    return f"Settings: {'; '.join(told)}." if told else ""


def chart_section(result: dict[str, Any]) -> str:
    """Return the deck's chart, measured: a table and the deck's order for each split."""
    blocks = [
        "The deck shows for “MovieLens”, with neither release nor split: rolling average .933, FM "
        ".916, I-AutoRec .871, RNN .857, HRNN .846. Here every model is tuned on validation and "
        "asked one step ahead; HRNN is `RatingHRNN`. The averages and HRNN read everybody's "
        "ratings before the one asked for, RNN those of its user, FM and I-AutoRec the training "
        "part alone. How much effort went into each model is told in `deck_chart.py`.",
        f"![The deck's chart, measured](results/deck-chart-{result['dataset']}.png)",
    ]
    for name, part in result["splits"].items():
        rows = [
            [
                row["model"],
                f"{row['rmse']:.4f}" + (f" ± {row['sd']:.4f}" if row["seeds"] > 1 else ""),
                "" if row["model"] == "HRNN" else plus_minus(row, "minus_hrnn"),
                number(row["fit_seconds"]),
                str(row["tried"] or ""),
            ]
            for row in part["rows"]
        ]
        header = ["model", "RMSE", "minus HRNN", "fit s", "settings tried"]
        steps = [
            [step["step"], f"{step['deck']:+.3f}", plus_minus(step), step["came"]]
            for step in part["steps"]
        ]
        blocks += [
            f"**Split {name}**: {part['ratings']:,} ratings, {part['strangers']:.0%} by people "
            "who are not in the training part.",
            table(header, rows),
            table(["the deck's order", "deck", "here", "came"], steps),
        ]
    return section(f"The deck's chart of rating errors, {result['dataset']}", blocks, result)


def ratings_section(result: dict[str, Any]) -> str:
    """Return DeepFM on ratings."""
    alone, together = result["alone"], result["together"]
    models = f"{alone['mean']:.4f} ± {alone['sd']:.4f}"
    if result["members"] > 1:
        models += (
            f", the mean of {result['members']} models' answers {together['mean']:.4f} ± "
            f"{together['sd']:.4f}"
        )
    time = "with" if result["with_time"] else "without"
    text = (
        f"A fifth of the ratings at random is asked for, {len(result['folds'])} of the five parts; "
        f"{time} the fields of the time of a rating. RMSE of one model {models} (± over the parts)."
    )
    return section(f"DeepFM on ratings, {result['dataset']}", [text], result)


def cold_section(result: dict[str, Any]) -> str:
    """Return hidden items: means over the draws."""
    recipes = list(dict.fromkeys(row["recipe"] for row in result["draws"]))
    rows = []
    for recipe in recipes:
        draws = [row for row in result["draws"] if row["recipe"] == recipe]
        found, random, popular, ratio = (
            np.array([row[name] for row in draws])
            for name in ("precision_at_10", "random", "hidden_by_popularity", "ratio")
        )
        spread = f" ± {ratio.std(ddof=1):.2f}" if len(draws) > 1 else ""
        rows.append(
            [
                recipe,
                f"{found.mean():.4f}",
                f"{random.mean():.4f}",
                f"{ratio.mean():.2f}{spread}",
                f"{popular.mean():.4f}",
                str(len(draws)),
            ]
        )
    fields = ", ".join(result["fields"])
    text = (
        "A random half of the items loses all its events; each user is asked for ten of these, "
        f"which are known by {fields} alone. Random hidden items are the measure. The popularity "
        "of hidden items is not known to anybody; it tells how much of a precision is popularity."
    )
    header = ["recipe", "precision@10", "random", "times random", "by popularity", "draws"]
    title = f"Cold items, {result['dataset']}, by {fields}"
    return section(title, [text, table(header, rows)], result)


def side_section(result: dict[str, Any]) -> str:
    """Return what metadata and context are worth."""
    metrics = list(result["rows"][0]["means"])
    base = result["rows"][0]["model"]
    rows = []
    for row in result["rows"]:
        more = {each["metric"]: each for each in row["differences"] if each["other"] == base}
        rows.append([row["model"]])
        for metric in metrics:
            rows[-1] += [f"{row['means'][metric]:.4f}", plus_minus(more.get(metric))]
    last = "event" if result["last"] == 1 else f"{result['last']} events"
    text = (
        f"{result['questions']:,} questions, each user's last {last}; mean of {result['seeds']} "
        "seeds."
    )
    if "true score" in metrics:
        text += (
            " The sample's taste model is known: “true score” is what it gives the ten films of "
            "a list, on average."
        )
    header = [name for metric in metrics for name in (metric, f"minus {base}")]
    title = f"Metadata and context, {result['dataset']}"
    return section(title, [text, table(["model", *header], rows)], result)


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
    text = (
        "One thread; a token is an event that is predicted once; the median epoch counts. The last "
        "rows are what `torch.mm` reaches in the same run on the matrix products of HRNN's "
        f"training at their shapes ({limit['width']} dimensions, {limit['hidden']} states, "
        f"{limit['items']:,} items, {limit['batch']} histories a batch), gradients included: "
        f"{limit['gigaflops']:.0f} GFLOP/s. HRNN trains at {limit['share']:.0%} of it, everything "
        f"else included; of the output layer's products alone at {limit['output_share']:.0%}."
    )
    if "whole_fit" in result:
        text += (
            f" A whole fit of aws-hrnn, early stopping and the second training on everything "
            f"included, took {number(result['whole_fit']['seconds'])} s on "
            f"{result['whole_fit']['threads']} threads."
        )
    title = f"Training speed, {result['dataset']}"
    return section(
        title, [text, table(["model", "tokens/s", "s an epoch", "epochs"], rows)], result
    )


def bulk_section(result: dict[str, Any]) -> str:
    """Return import and SIMS on ten million interactions."""
    imported, sims = result["import"], result["sims"]

    def steps(part: dict[str, Any]) -> str:
        rows = [
            [
                each["step"],
                number(each["seconds"]),
                number(each["cpu_seconds"]),
                f"{part['rows'] / each['seconds']:,.0f}",
                f"{each['peak_mb']:,.0f}",
            ]
            for each in part["steps"]
        ]
        return table(["step", "s", "CPU s", "rows/s", "peak MB"], rows)

    blocks = [
        f"A CSV file of {imported['rows']:,} interactions ({imported['megabytes']:,.0f} MB, "
        "identifiers as strings) to Parquet: bare conversions, and the import with every check, "
        f"which takes {imported['seconds_over_fastest']:.1f} s more than {imported['fastest']}. "
        "The fastest of the runs counts.",
        steps(imported),
        f"Item-item similarities of {sims['rows']:,} interactions with {sims['items']:,} items, "
        f"{sims['neighbours']} neighbours kept, items drawn evenly or with a few popular ones:",
        steps(sims),
    ]
    return section("Import and SIMS", blocks, result)


def batch_section(result: dict[str, Any]) -> str:
    """Return batch inference beside implicit's recommend."""
    rows = [
        [
            each["step"],
            number(each["seconds"]),
            number(each["cpu_seconds"]),
            ", ".join(number(seconds) for seconds in each["all_seconds"]),
            f"{each['added_mb']:,.0f}",
        ]
        for each in result["steps"]
    ]
    blocks = [
        f"The best 25 of {result['items']:,} items for each of {result['users']:,} users, by the "
        f"same {result['factors']} factors of each. implicit's recommend and the ranking alone "
        "name codes; a job, and implicit where it writes a job's file, reads and writes JSON lines "
        "and looks up every user. The fastest of the runs counts.",
        table(["step", "s", "CPU s", "s of every run", "MB added"], rows),
    ]
    return section("Batch inference", blocks, result)


def serving_section(result: dict[str, Any]) -> str:
    """Return the service's speed: a table for each catalogue."""
    blocks = [
        f"`personalens serve --workers {result['workers']}`, asked by a client in a process of its "
        "own on the same cores, and boto3 in process; lists of 25. Milliseconds until the answer "
        "is there; CPU: the server's (in process: the caller's) for one request."
    ]
    for catalogue in result["catalogues"]:
        rows = [
            [
                row["what"],
                str(row.get("connections", "")),
                f"{row['per_second']:,.0f}",
                *(f"{row[name]:.2f}" for name in ("p50_ms", "p95_ms", "p99_ms")),
                *(f"{row[name]:,.0f}" if name in row else "" for name in ("cpu_us", "memory_mb")),
                str(row["failed"] or ""),
            ]
            for row in catalogue["rows"]
        ]
        header = ["request", "connections", "a second", "p50 ms", "p95 ms", "p99 ms", "CPU µs"]
        blocks += [f"**{catalogue['name']}**", table([*header, "MB", "failed"], rows)]
    return section("Serving", blocks, result)


SECTIONS = {
    "accuracy": accuracy_section,
    "side information": side_section,
    "cold items": cold_section,
    "rating chart": chart_section,
    "deepfm ratings": ratings_section,
    "training": training_section,
    "import and sims": bulk_section,
    "batch inference": batch_section,
    "serving": serving_section,
}
"""In the order in which they are shown."""


def section(title: str, blocks: Sequence[str], result: dict[str, Any]) -> str:
    """Return a section: heading, blocks, and where, when and how it was measured."""
    return "\n\n".join([f"## {title}", *filter(None, blocks), conditions(result)]) + "\n"


def conditions(result: dict[str, Any]) -> str:
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
    return (
        f"<sub>`{result['command']}`<br>{result['date']}; {result['processor']}, {cores} cores, "
        f"{result['memory_gb']} GB, OMP_NUM_THREADS {result['threads']}; Python "
        f"{result['python']}, {named}.{busy}</sub>"
    )


def with_spread(row: dict[str, Any], metric: str) -> str:
    """Return a figure, and ± its spread where there is one."""
    spread = (row["sd"] or {}).get(metric, 0.0)
    return f"{row[metric]:.4f}" + (f" ± {spread:.4f}" if spread else "")


def plus_minus(found: Mapping[str, Any] | None, name: str = "difference") -> str:
    """Return a difference with its standard error."""
    return "" if found is None else f"{found[name]:+.4f} ± {found['standard_error']:.4f}"


def number(seconds: float) -> str:
    """Return seconds with three figures or so."""
    digits = 0 if seconds >= 100 else 1 if seconds >= 1 else 2
    return f"{seconds:,.{digits}f}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
