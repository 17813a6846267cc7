"""What the benchmarks were to show, held against what they measured.

The targets were set before the models were built. Each function reads the results that it needs and
returns rows of the report's first table; where a result is missing, so are its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

NDCG, HIT_RATE = "NDCG@10", "HR@10"
Result = dict[str, Any]


class Outcome(NamedTuple):
    """One row of the table."""

    what: str
    asked: str
    measured: str
    met: str


def outcomes(results: Sequence[Result]) -> list[Outcome]:
    """Return all rows."""
    return [
        row for check, judge in CHECKS for each in results if check(each) for row in judge(each)
    ]


def is_accuracy(dataset: str, protocol: str) -> Callable[[Result], bool]:
    """Return whether a result is that of a protocol on a data set."""
    return lambda result: (
        result["benchmark"] == "accuracy"
        and (result["dataset"], result["protocol"]) == (dataset, protocol)
    )


def is_about(benchmark: str, dataset: str = "") -> Callable[[Result], bool]:
    """Return whether a result is of a benchmark, on a data set if one is named."""
    return lambda result: (
        result["benchmark"] == benchmark and dataset in ("", result.get("dataset"))
    )


def verdict(met: Any) -> str:
    """Return yes or no."""
    return "yes" if met else "no"


def signed(difference: float, error: float) -> str:
    """Return a difference with its standard error."""
    return f"{difference:+.4f} ± {error:.4f}"


def own_rows(result: Result) -> dict[str, Result]:
    """Return the rows of our recipes."""
    return {row["model"]: row for row in result["rows"] if row["model"].startswith("aws-")}


def nearest_peer(result: Result, recipe: str) -> Outcome | None:
    """Hold the paired differences of a recipe to every peer against nought."""
    peers = [
        each
        for each in result["differences"]
        if each["recipe"] == recipe and not each["other"].startswith("aws-")
    ]
    if not peers:
        return None
    near = min(peers, key=lambda each: each["difference"])
    sure = min(each["difference"] - 2 * each["standard_error"] for each in peers)
    return Outcome(
        f"{result['dataset']}, next item: {recipe} and its peers",
        f"ahead of each of {len(peers)}",
        f"{signed(near['difference'], near['standard_error'])} to the nearest, {near['other']}",
        verdict(near["difference"] > 0) + ("" if sure > 0 else ", within two standard errors"),
    )


def next_item(result: Result) -> Iterator[Outcome]:
    """ml-100k, each user's last event."""
    ours = own_rows(result)
    best = max(ours, key=lambda name: ours[name][NDCG])
    for recipe, ndcg, hits in (("aws-hrnn", 0.125, 0.235), (best, 0.135, 0.245)):
        if recipe in ours:
            row = ours[recipe]
            yield Outcome(
                f"ml-100k, next item: {recipe}" + (", the best recipe" if ndcg == 0.135 else ""),
                f"NDCG@10 {ndcg}, HR@10 {hits}",
                f"{row[NDCG]:.4f}, {row[HIT_RATE]:.4f}; mean of {row['runs']}",
                verdict(row[NDCG] >= ndcg and row[HIT_RATE] >= hits),
            )
    if ahead := nearest_peer(result, "aws-hrnn"):
        yield ahead


def thin_next_item(result: Result) -> Iterator[Outcome]:
    """ml-latest-small, each user's last five."""
    ours = own_rows(result)
    if ahead := nearest_peer(result, max(ours, key=lambda name: ours[name][NDCG])):
        yield ahead


HOLD_OUTS = {
    "hold-out": ("the service's hold-out", "draws"),
    "hold-out-tenths": ("the service's hold-out, every user once", "tenths"),
    "hold-out-known": ("the target's hold-out, known users", "draws"),
}


def hold_out(result: Result) -> Iterator[Outcome]:
    """The service's hold-out: the target does not say which NDCG."""
    what, over = HOLD_OUTS[result["protocol"]]
    for name in ("NDCG@10", "service NDCG@10"):
        best = max(own_rows(result).values(), key=lambda row: row[name])
        counts = [row for row in result["rows"] if row["model"] == "windowed transition counts"]
        beside = f"; transition counts {counts[0][name]:.4f}" if counts else ""
        yield Outcome(
            f"ml-100k, {what}, {name}: {best['model']}",
            "0.24",
            f"{best[name]:.4f} ± {(best['sd'] or {}).get(name, 0.0):.4f} over {over}{beside}",
            verdict(best[name] >= 0.24),
        )


def target_hold_out(result: Result) -> Iterator[Outcome]:
    """The hold-out by which the target was set: on the draw that it was set by, and on all."""
    rows = {row["model"]: row["first"][NDCG] for row in result["rows"] if "first" in row}
    ours = {name: figure for name, figure in rows.items() if name.startswith("aws-")}
    if ours:
        best = max(ours, key=ours.get)
        counts = rows.get("windowed transition counts")
        beside = "" if counts is None else f"; transition counts {counts:.4f}"
        yield Outcome(
            f"ml-100k, the target's hold-out, the draw that set it, {NDCG}: {best}",
            "0.24",
            f"{ours[best]:.4f}, a single draw{beside}",
            verdict(ours[best] >= 0.24),
        )
    yield from hold_out(result)


def unseen_users(result: Result) -> Iterator[Outcome]:
    """Users who did not train."""
    best = max(own_rows(result).values(), key=lambda row: row[NDCG])
    yield Outcome(
        f"ml-100k, unseen users: {best['model']}",
        "NDCG@10 0.090, HR@10 0.136",
        f"{best[NDCG]:.4f}, {best[HIT_RATE]:.4f}",
        verdict(best[NDCG] >= 0.090 and best[HIT_RATE] >= 0.136),
    )


def weak_metadata(result: Result) -> Iterator[Outcome]:
    """aws-hrnn-metadata where metadata say little."""
    for each in result["rows"][1]["differences"]:
        if each["metric"] == NDCG:
            yield Outcome(
                f"{result['dataset']}: aws-hrnn-metadata minus {each['other']}, NDCG@10",
                "no worse",
                signed(each["difference"], each["standard_error"]),
                verdict(each["difference"] > -2 * each["standard_error"]),
            )


def strong_metadata(result: Result) -> Iterator[Outcome]:
    """aws-hrnn-metadata where metadata make the taste, asked without and with the context."""
    for row in result["rows"][1:]:
        for each in row["differences"]:
            if each["metric"] in ("true score", NDCG) and each["other"] == "aws-hrnn":
                yield Outcome(
                    f"{result['dataset']}: {row['model']} minus {each['other']}, {each['metric']}",
                    "better",
                    signed(each["difference"], each["standard_error"]),
                    verdict(each["difference"] > 2 * each["standard_error"]),
                )


def cold_items(result: Result) -> Iterator[Outcome]:
    """Hidden items."""
    for recipe in dict.fromkeys(row["recipe"] for row in result["draws"]):
        ratio = np.mean([row["ratio"] for row in result["draws"] if row["recipe"] == recipe])
        yield Outcome(
            f"{result['dataset']}, cold items by {', '.join(result['fields'])}: {recipe}",
            "precision@10 3.8 times random",
            f"{ratio:.2f} times",
            verdict(ratio >= 3.8),
        )


def rating_chart(result: Result) -> Iterator[Outcome]:
    """HRNN's rating head by time."""
    rows = {row["model"]: row for row in result["splits"]["by time"]["rows"]}
    others = [row for name, row in rows.items() if not name.startswith("HRNN")]
    near = min(others, key=lambda row: row["rmse"])
    yield Outcome(
        f"{result['dataset']}, rating chart by time: HRNN {rows['HRNN']['rmse']:.4f}",
        "RMSE at or below every other model",
        f"the next, {near['model']}, {signed(near['minus_hrnn'], near['standard_error'])}",
        verdict(near["minus_hrnn"] >= 0),
    )


def deepfm(result: Result) -> Iterator[Outcome]:
    """DeepFM on ratings."""
    yield Outcome(
        f"{result['dataset']}: DeepFM on ratings, {len(result['folds'])} parts",
        "RMSE 0.92",
        f"one model {result['alone']['mean']:.4f}",
        verdict(result["alone"]["mean"] <= 0.92),
    )


def speed(result: Result) -> Iterator[Outcome]:
    """Tokens a second, and the whole fit."""
    rates = {row["model"]: row["tokens_per_second"] for row in result["rows"]}
    ours = rates["aws-hrnn"]
    for peer, times in (("RecBole GRU4Rec", 3.0), ("RecTools SASRec", 1.0)):
        if peer in rates:
            yield Outcome(
                f"training speed of aws-hrnn: tokens a second, {peer}'s",
                f"{times:g} times" if times > 1 else "more",
                f"{ours / rates[peer]:.1f} times",
                verdict(ours >= times * rates[peer]),
            )
    yield Outcome(
        "training speed of aws-hrnn: share of the matrix-product limit",
        "half",
        f"{result['limit']['share']:.0%}",
        verdict(result["limit"]["share"] >= 0.5),
    )
    if "whole_fit" in result:
        fit = result["whole_fit"]
        yield Outcome(
            f"{result['dataset']}: a whole fit of aws-hrnn, refit included",
            "40 s on 2 cores",
            f"{fit['seconds']:.0f} s on {fit['threads']} threads",
            verdict(fit["seconds"] <= 40),
        )


def bulk(result: Result) -> Iterator[Outcome]:
    """Ten million interactions."""
    steps = {each["step"]: each for each in result["sims"]["steps"]}
    for world in ("even", "skewed"):
        ours, theirs = (steps.get(f"{tool}, {world}") for tool in ("aws-sims", "implicit"))
        if ours and theirs:
            yield Outcome(
                f"aws-sims on {result['sims']['rows']:,} interactions, {world} items",
                "no slower than implicit, 4 GB",
                f"{ours['seconds']:.1f} s, implicit {theirs['seconds']:.1f} s; "
                f"{ours['peak_mb'] / 1024:.1f} GB",
                verdict(ours["seconds"] <= theirs["seconds"] and ours["peak_mb"] <= 4096),
            )
    imported = result["import"]
    own = {each["step"]: each for each in imported["steps"]}["personalens import"]
    yield Outcome(
        f"import of {imported['rows']:,} rows",
        "5 s over the fastest bare conversion, 1 GB",
        f"{imported['seconds_over_fastest']:+.1f} s, {own['peak_mb'] / 1024:.1f} GB",
        verdict(imported["seconds_over_fastest"] <= 5 and own["peak_mb"] <= 1024),
    )


def batch(result: Result) -> Iterator[Outcome]:
    """The ranking and a whole job with scores beside implicit; a job's memory beside a tenth's."""
    steps = {each["step"]: each for each in result["steps"]}
    ranking, job = steps["ranking alone"], steps["job"]
    if peer := steps.get("implicit recommend"):
        size = f"{result['users']:,} users, {result['items']:,} items"
        written = steps.get("implicit, a job's file")
        more = f", written as JSON {written['seconds']:.1f} s" if written else ""
        if plain := steps.get("job without scores"):
            more += f"; ours without the softmax {plain['seconds']:.1f} s"
        for what, own, note in (
            ("the ranking alone", ranking, ""),
            ("the whole job, JSON and softmax", job, more),
        ):
            yield Outcome(
                f"batch inference, {size}: {what}",
                "no slower than implicit's recommend",
                f"{own['seconds']:.1f} s, implicit {peer['seconds']:.1f} s{note}",
                verdict(own["seconds"] <= peer["seconds"]),
            )
    tenth = steps["job, a tenth"]["added_mb"]
    yield Outcome(
        "memory of batch inference",
        "no more for ten times the users",
        f"{job['added_mb']:.0f} MB, for a tenth {tenth:.0f} MB",
        verdict(job["added_mb"] <= 1.1 * tenth + 10),
    )


def serving(result: Result) -> Iterator[Outcome]:
    """Requests a second and how long they take, on ml-100k."""
    for catalogue in result["catalogues"]:
        if catalogue["name"] == "ml-100k":
            found = {(row["what"], row.get("connections")): row for row in catalogue["rows"]}
            yield from served(found)


SEEN_ELSEWHERE = "an event of another process changes the answer"


def served(found: dict[tuple[str, int | None], Result]) -> Iterator[Outcome]:
    """The rows of :func:`serving`, from the rows of the benchmark by request and connections."""
    asked, put = "GetRecommendations", "PutEvents"
    rates = {
        what: max(row["per_second"] for (name, _), row in found.items() if name == what)
        for what in (asked, put)
    }
    rest, busy = found[asked, 8], found[f"{asked} during a training", 8]
    alone = found[f"boto3 in process: {asked}", None]
    ratio = busy["p99_ms"] / rest["p99_ms"]
    seen = found[SEEN_ELSEWHERE, None]["slowest_ms"]
    for what, target, measured, met in (
        (f"{asked} over HTTP", "2,500 a second", f"{rates[asked]:,.0f}", rates[asked] >= 2500),
        (f"{asked}, 8 connections", "p99 10 ms", f"{rest['p99_ms']:.1f} ms", rest["p99_ms"] < 10),
        (f"{asked} beside a training", "p99 3 times that at rest", f"{ratio:.1f}", ratio <= 3),
        (f"{asked} in process", "p50 0.8 ms", f"{alone['p50_ms']:.2f} ms", alone["p50_ms"] < 0.8),
        (f"{put} on disk", "1,000 a second", f"{rates[put]:,.0f}", rates[put] >= 1000),
        (SEEN_ELSEWHERE, "100 ms", f"{seen:.0f} ms, the slowest of 40", seen <= 100),
    ):
        yield Outcome(f"ml-100k: {what}", target, measured, verdict(met))


CHECKS: list[tuple[Callable[[Result], bool], Callable[[Result], Iterator[Outcome]]]] = [
    (is_accuracy("ml-100k", "next-item"), next_item),
    (is_accuracy("ml-latest-small", "next-item"), thin_next_item),
    (is_accuracy("ml-100k", "hold-out"), hold_out),
    (is_accuracy("ml-100k", "hold-out-tenths"), hold_out),
    (is_accuracy("ml-100k", "hold-out-known"), target_hold_out),
    (is_accuracy("ml-100k", "unseen-users"), unseen_users),
    (is_about("side information", "ml-100k"), weak_metadata),
    (is_about("side information", "sample"), strong_metadata),
    (is_about("cold items", "ml-100k"), cold_items),
    (is_about("rating chart", "ml-100k"), rating_chart),
    (is_about("deepfm ratings", "ml-100k"), deepfm),
    (is_about("training", "ml-100k"), speed),
    (is_about("import and sims"), bulk),
    (is_about("batch inference"), batch),
    (is_about("serving"), serving),
]
