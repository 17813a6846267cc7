"""Items that nobody has had: half of the catalogue hidden, then asked for by its metadata alone.

    python -m benchmarks.cold_items --dataset ml-100k --seeds 5
    python -m benchmarks.cold_items --dataset ml-100k --fields GENRES

A random half of the items (another one for each seed) loses all its events. What is left trains a
recipe; the items table is whole. Each user with at least five events among the others is then asked
about: the best ten of the hidden items, by the user's known history; right is what the user had of
the hidden half. Random hidden items are right as often as a user had hidden items. The protocol is
that of the service's own demonstration of aws-hrnn-coldstart on ML-1M (precision@10 0.152 against
0.040 at random, a ratio of 3.8, with genres only).

The third figure is what could be had without any taste: the hidden items by popularity, which a new
item does not have yet. It is no contestant, it says how much of the precision is popularity.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.machine import describe_run, parser, write_result
from personalens import datasets
from personalens.datasets.interactions import ITEM_ID, Interactions
from personalens.evaluation.ranking_metrics import top_k_matrix
from personalens.recipes import registry
from personalens.recipes.base import Recipe, histories_of

LIST, FEWEST_EVENTS, BATCH = 10, 5, 256
RECIPES = ("aws-user-personalization", "aws-hrnn-coldstart")
SETTINGS = {  # only what has no events is cold
    "aws-hrnn-coldstart": {"cold_start_max_interactions": 1, "cold_start_max_duration": 1e-9}
}


class HiddenHalf:
    """One draw of hidden items: the ``known`` events of the others, of users with five or more of
    them; the ``hidden`` ids; and ``truths`` (users, hidden) bool, who had what."""

    def __init__(self, everything: Interactions, seed: int):
        rng = np.random.default_rng(seed)
        is_hidden = np.zeros(len(everything.items), bool)
        is_hidden[rng.permutation(len(is_hidden))[: len(is_hidden) // 2]] = True
        of_hidden = is_hidden[everything.item_codes]
        counts = np.bincount(everything.user_codes[~of_hidden], minlength=len(everything.users))
        asked = counts >= FEWEST_EVENTS
        self.hidden = everything.items.ids[is_hidden]
        self.known = everything.select(asked[everything.user_codes] & ~of_hidden).compact()
        had = np.zeros((len(everything.users), len(is_hidden)), bool)
        had[everything.user_codes, everything.item_codes] = True
        rows = everything.users.encode(self.known.users.ids)
        self.truths = had[rows][:, is_hidden]

    def precision(self, scores: np.ndarray) -> np.ndarray:
        """Return (users,): the share of right ones among the ten best of (users, n) scores."""
        best = top_k_matrix(scores, LIST)
        return np.take_along_axis(self.truths, best, axis=1).mean(axis=1)


def hidden_scores(model: Recipe, case: HiddenHalf) -> np.ndarray:
    """Return (users, n): a recipe's scores of the hidden items."""
    codes = model.items_.encode(case.hidden)
    users = np.arange(len(case.known.users))
    return np.concatenate(
        [
            model.score(histories_of(case.known, batch, items=model.items_, users=model.users_))[
                :, codes
            ]
            for batch in np.array_split(users, -(-len(users) // BATCH))
        ]
    )


def measure(case: HiddenHalf, recipe: str, seed: int, tables: dict[str, Any]) -> dict[str, float]:
    """Train a recipe and return its figures on one draw."""
    began = time.perf_counter()
    entry = registry.get(recipe)
    model = entry.recipe(entry.config(**SETTINGS.get(recipe, {})), seed=seed)
    model.fit(case.known, **tables)
    found = case.precision(hidden_scores(model, case))
    random = case.truths.mean(axis=1)
    popular = case.precision(np.broadcast_to(case.truths.sum(axis=0), case.truths.shape))
    return {
        "precision_at_10": float(found.mean()),
        "standard_error": float(found.std(ddof=1) / np.sqrt(len(found))),
        "random": float(random.mean()),
        "ratio": float(found.mean() / random.mean()),
        "hidden_by_popularity": float(popular.mean()),
        "seconds": time.perf_counter() - began,
    }


def main() -> None:
    options = parser(__doc__)
    add = options.add_argument
    add("--dataset", default="ml-100k")
    add("--recipes", nargs="+", default=list(RECIPES), choices=RECIPES)
    add("--fields", nargs="+", help="columns of the items table; default: all")
    add("--seeds", type=int, default=3)
    options = options.parse_args()
    data = datasets.load(options.dataset)
    items = data.items.drop(columns="TITLE", errors="ignore")
    if options.fields:
        items = items[[ITEM_ID, *options.fields]]
    everything = Interactions.from_frame(data.interactions)
    rows = []
    for seed in range(options.seeds):
        case = HiddenHalf(everything, seed)
        for recipe in options.recipes:
            figures = measure(case, recipe, seed, {"items": items, "users": data.users})
            rows.append({"recipe": recipe, "seed": seed, **figures})
            print(pd.DataFrame(rows[-1:]).round(4).to_string(index=False), flush=True)
    table = pd.DataFrame(rows).drop(columns="seed").groupby("recipe", sort=False)
    print(f"\n{options.dataset}, items by {', '.join(items.columns[1:])}: means over the draws")
    print(table.mean().round(4).to_string())
    result = describe_run("cold items") | {
        "dataset": options.dataset,
        "fields": list(items.columns[1:]),
        "draws": rows,
    }
    of = "-".join(["", *options.fields]).lower() if options.fields else ""
    write_result(result, f"cold-items-{options.dataset}{of}", options.results)


if __name__ == "__main__":
    main()
