"""Amazon's slide of rating errors, measured: RMSE one step ahead, every model tuned alike.

    python -m benchmarks.rating_chart --parts --seeds 3

Amazon's launch slides of 2018 have one chart of HRNN: RMSE for "MovieLens", with neither release
nor split (rolling average .933, FM .916, I-AutoRec .871, RNN .857, HRNN .846). Its figures are
``DECK_RMSE``. Here two splits: the newest tenth of all ratings ("by time"; most of its people are
new), and the newest tenth of each user's ("by user"; nobody is new).

A setting is chosen on the newest tenth, split in the same way, of what stands before the test part;
the model is then trained on all of that and asked once. Weights are frozen by then. Models that
keep a state read all ratings before the one they are asked for, those of the test part too. Events
without a rating are left out.

HRNN's form (its inputs, widths, rates) was worked out on ml-100k with some thirty trainings, judged
on the validation part of the split by time alone; its grid here is what was left open. The others
have the grids below and their papers' forms. So part of its lead on ml-100k is effort.

What came of the slide's order stands in README.md. By time, FM and I-AutoRec do not come below the
rolling average: seven in ten of these ratings are by people who are not in training. HRNN is below
the strong rolling mean, which the slide lacks, mostly by the regression on a person's own earlier
ratings.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.machine import describe_run, parser, write_result
from personalens import datasets
from personalens.datasets.interactions import Interactions
from personalens.notebook.plots.model_plots import DECK_RMSE, rmse_chart
from personalens.ratings.rating_comparators import FM, IAutoRec, RatingRNN
from personalens.ratings.rating_evaluation import (
    GlobalMean,
    RatingSplit,
    RollingAverage,
    RollingMeans,
    rmse,
    rmse_difference,
    split_by_time,
    split_newest_of_each_user,
)
from personalens.ratings.rating_head import RatingHRNN

SPLITS = {"by time": split_by_time, "by user": split_newest_of_each_user}
REFERENCE = "HRNN"


@dataclass(frozen=True)
class Contender:
    """A model of the chart: how it is made, and the values that are tried."""

    make: Callable[..., Any]
    grid: dict[str, list[Any]] = field(default_factory=dict)
    is_watched: bool = False  # its epochs are chosen from one training, epoch by epoch
    has_seed: bool = False

    def settings(self) -> Iterator[dict[str, Any]]:
        """Yield every setting of the grid."""
        for values in itertools.product(*self.grid.values()):
            yield dict(zip(self.grid, values, strict=True))


CONTENDERS = {
    "global mean": Contender(GlobalMean),
    "rolling average": Contender(RollingAverage, {"of": ["user", "item", "both"]}),
    "strong rolling mean": Contender(
        RollingMeans,
        {"item_shrink": [2, 5, 10], "user_shrink": [1, 2, 4], "user_decay": [0.85, 0.9, 0.95, 1.0]},
    ),
    "FM": Contender(
        FM,
        {"size": [4, 8, 16], "penalty": [0.05, 0.1, 0.2], "epochs": [16]},
        is_watched=True,
        has_seed=True,
    ),
    "I-AutoRec": Contender(
        IAutoRec,
        {"hidden_size": [100, 200], "penalty": [3.0, 10.0, 30.0], "epochs": [30]},
        is_watched=True,
        has_seed=True,
    ),
    "RNN": Contender(
        RatingRNN,
        {"penalty": [1.0, 3.0, 10.0], "learning_rate": [0.005, 0.01], "epochs": [2, 4]},
        has_seed=True,
    ),
    REFERENCE: Contender(
        RatingHRNN, {"penalty": [100.0, 200.0, 400.0], "epochs": [3, 5]}, has_seed=True
    ),
}
PARTS = {
    "HRNN without recurrence": {"hidden_dimension": 0},
    "HRNN without levels of session": {"sessions": False},
    "HRNN without tastes": {"penalty": 1e6},
}


def choose(
    contender: Contender, split: RatingSplit, items: pd.DataFrame, tries: int | None = None
) -> tuple[dict[str, Any], float, int]:
    """Return the setting that does best on a split, its RMSE there, and how many were tried."""
    best, lowest, tried = {}, np.inf, 0
    for setting in itertools.islice(contender.settings(), tries):
        tried += 1
        for epochs, figure in _try(contender, setting, split, items):
            if figure < lowest:
                best, lowest = setting | ({"epochs": epochs} if epochs else {}), figure
    return best, float(lowest), tried


def _try(
    contender: Contender, setting: dict[str, Any], split: RatingSplit, items: pd.DataFrame
) -> list[tuple[int, float]]:
    """Return the RMSE of a setting; of a watched model, that after each epoch."""
    model = contender.make(**setting)
    if not contender.is_watched:
        return [(0, rmse(split.errors(model.fit(split.train, items=items))))]
    figures = []

    def watch(epoch: int) -> None:
        figures.append((epoch, rmse(split.errors(model))))

    model.fit(split.train, items=items, after_epoch=watch)
    return figures


def measure(
    contender: Contender,
    setting: dict[str, Any],
    split: RatingSplit,
    items: pd.DataFrame,
    seeds: int,
) -> dict[str, Any]:
    """Train once for each seed, ask, and return RMSE, its spread, errors and seconds."""
    errors, seconds = [], []
    for seed in range(seeds if contender.has_seed else 1):
        model = contender.make(**setting, **({"seed": seed} if contender.has_seed else {}))
        began = time.perf_counter()
        model.fit(split.train, items=items)
        seconds.append(time.perf_counter() - began)
        errors.append(split.errors(model))
    figures = [rmse(each) for each in errors]
    return {
        "rmse": float(np.mean(figures)),
        "sd": float(np.std(figures, ddof=1)) if len(figures) > 1 else 0.0,
        "seeds": len(figures),
        "fit_seconds": float(np.mean(seconds)),
        # Errors whose squares are the means over the seeds: what differences are taken from.
        "errors": np.sqrt(np.mean(np.square(errors), axis=0)),
    }


def run(arguments: argparse.Namespace, split: RatingSplit, make: Callable) -> dict[str, Any]:
    """Tune and measure every model on one split."""
    items = arguments.items
    validation = make(split.train)
    results = {}
    for name, contender in CONTENDERS.items():
        setting, figure, tried = choose(contender, validation, items, arguments.tries)
        results[name] = measure(contender, setting, split, items, arguments.seeds)
        results[name] |= {"validation": figure, "tried": tried, "setting": setting}
        print(
            f"  {name}: {setting}, validation {figure:.4f}, test {results[name]['rmse']:.4f}",
            flush=True,
        )
    if arguments.parts:
        for name, without in PARTS.items():
            setting = results[REFERENCE]["setting"] | without
            results[name] = measure(
                CONTENDERS[REFERENCE], setting, split, items, arguments.seeds
            ) | {"setting": setting, "tried": 0}
    return results


def compare(results: dict[str, dict[str, Any]], who: np.ndarray) -> list[dict[str, Any]]:
    """Add to each result its RMSE minus HRNN's; return the steps of the slide's order.

    ``who`` (n,) are the people behind the errors.
    """
    for result in results.values():
        difference = rmse_difference(result["errors"], results[REFERENCE]["errors"], who)
        result["minus_hrnn"], result["standard_error"] = difference
    steps = []
    for worse, better in itertools.pairwise(DECK_RMSE):
        difference, error = rmse_difference(
            results[better]["errors"], results[worse]["errors"], who
        )
        came = "yes" if difference < 0 else "no"
        steps.append(
            {
                "step": f"{better} below {worse}",
                "deck": round(DECK_RMSE[better] - DECK_RMSE[worse], 3),
                "difference": difference,
                "standard_error": error,
                "came": came if abs(difference) > 2 * error else "not told apart",
            }
        )
    return steps


def draw(result: dict[str, Any], path: Path) -> None:
    """Save the chart: the slide's figures beside those measured."""
    import matplotlib

    matplotlib.use("Agg")
    names = [name for name in CONTENDERS if name != "global mean"]
    series = {
        f"{result['dataset']}, {split}": {
            row["model"]: row["rmse"] for row in part["rows"] if row["model"] in names
        }
        for split, part in result["splits"].items()
    }
    ax = rmse_chart(series | {"the slide's figure": DECK_RMSE})
    ax.set_title("Amazon's slide, measured")
    ax.figure.savefig(path, dpi=110)


def main() -> None:
    options = parser(__doc__)
    add = options.add_argument
    add("--dataset", default="ml-100k")
    add("--splits", nargs="*", default=list(SPLITS), choices=list(SPLITS))
    add("--seeds", type=int, default=3, help="trainings of each final model")
    add("--tries", type=int, help="at most so many settings of each model")
    add("--parts", action="store_true", help="also HRNN without each of its parts")
    arguments = options.parse_args()
    data = datasets.load(arguments.dataset)
    arguments.items = data.items
    ratings = Interactions.from_frame(data.interactions.dropna(subset="EVENT_VALUE"))
    result = describe_run("rating chart") | {"dataset": arguments.dataset, "splits": {}}
    for name in arguments.splits:
        split = SPLITS[name](ratings)
        unseen = ~np.isin(split.ratings.user_codes[split.rows], split.train.user_codes)
        print(f"\n{name}: {len(split.rows)} ratings, {unseen.mean():.0%} by people not in training")
        figures = run(arguments, split, SPLITS[name])
        steps = compare(figures, split.ratings.user_codes[split.rows])
        for row in figures.values():
            del row["errors"]
        rows = [{"model": model, **row} for model, row in figures.items()]
        shown = pd.DataFrame(rows).drop(columns="setting")
        print(f"\n{shown.round(4).to_string(index=False)}")
        print(f"\nThe slide's order, step by step\n{pd.DataFrame(steps).round(4).to_string()}")
        result["splits"][name] = {
            "ratings": len(split.rows),
            "strangers": float(unseen.mean()),
            "rows": rows,
            "steps": steps,
        }
    path = write_result(result, f"deck-chart-{arguments.dataset}", arguments.results)
    draw(result, path.with_suffix(".png"))


if __name__ == "__main__":
    main()
