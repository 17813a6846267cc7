"""What metadata and context are worth: HRNN without, with metadata, and asked with the context.

    python -m benchmarks.side_information --dataset sample --seeds 3
    python -m benchmarks.side_information --dataset ml-100k --last 5

The last events of each user are asked for, the whole catalogue ranked; aws-hrnn, and one model of
aws-hrnn-metadata, which is asked twice: as a request without context does, and with the context of
the event asked for (its DEVICE and TIME_OF_DAY on the sample), which a request knows. Differences
are paired over the users.

On the sample the taste model is known. There the lists are also held against the truth: the mean
true score of the ten films recommended (higher is better), under the context of the request and the
session that is going on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.machine import describe_run, parser, write_result
from personalens import datasets
from personalens.datasets.interactions import ITEM_ID, USER_ID, Interactions
from personalens.datasets.releases import SAMPLE
from personalens.evaluation.holdouts import LeaveOneOut, NextItemCases, leave_one_out
from personalens.evaluation.offline_report import HIT_RATE_10, NDCG_10, paired_difference
from personalens.evaluation.ranking_metrics import top_k_matrix
from personalens.recipes.base import Recipe
from personalens.recipes.hrnn import HRNN, HRNNMetadata

PLAIN, METADATA, CONTEXT = "aws-hrnn", "aws-hrnn-metadata", "aws-hrnn-metadata, with context"
TRUE_SCORE, LIST, BATCH = "true score", 10, 256
SESSION_GAP = 7200


def report(model: Recipe, cases: NextItemCases, *, tell_context: bool, world=None) -> pd.DataFrame:
    """Return a row per question: USER_ID, ITEM_ID, NDCG@10, HR@10, the list's mean true score."""
    answers = model.items_.encode(cases.interactions.items.decode(cases.item_codes))
    parts = []
    for batch in np.array_split(np.arange(len(cases)), -(-len(cases) // BATCH)):
        asked = cases.histories(batch, model.items_, users=model.users_)
        told = asked if tell_context else [replace(history, context={}) for history in asked]
        scores = np.array(model.score(told))
        for row, history in enumerate(told):
            scores[row, history.item_codes] = -np.inf
        lists = top_k_matrix(scores, LIST)
        hits = lists == answers[batch, None]
        gain = (hits / np.log2(np.arange(2, LIST + 2))).sum(axis=1)
        part = {NDCG_10: gain, HIT_RATE_10: hits.any(axis=1).astype(float)}
        if world is not None:
            part[TRUE_SCORE] = [
                true_score(world, cases, case, history.context, model.items_.ids[ranked])
                for case, history, ranked in zip(batch, asked, lists, strict=True)
            ]
        parts.append(pd.DataFrame(part))
    names = {
        USER_ID: cases.interactions.users.decode(cases.user_codes),
        ITEM_ID: np.arange(len(cases)).astype(str),
    }
    return pd.DataFrame(names).join(pd.concat(parts, ignore_index=True))


def true_score(world, cases: NextItemCases, case: int, context: dict, ranked: np.ndarray) -> float:
    """Return the mean of the taste model's scores of a list, where the session stands then."""
    events = cases.interactions
    row = int(cases.rows[case])
    rows = np.arange(events.offsets[events.user_codes[row]], row)
    times = events.timestamps[rows]
    pauses = np.diff(np.append(times, events.timestamps[row]))
    opens = int(np.flatnonzero(np.append(True, pauses >= SESSION_GAP)).max())
    films = events.items.decode(events.item_codes[rows]).tolist()
    user = str(events.users.ids[events.user_codes[row]])
    scores = world.scores(
        user, context, films[opens:], seen=films[:opens], at=int(events.timestamps[row])
    )
    return float(scores[ranked.astype(int) - 1].mean())


def run(split: LeaveOneOut, data, seed: int) -> dict[str, pd.DataFrame]:
    """Train both recipes once and return the report of each way to ask."""
    world = data.world if data.name == SAMPLE else None
    tables = {"items": data.items.drop(columns="TITLE"), "users": data.users}
    plain = HRNN(seed=seed).fit(split.train_and_validation)
    rich = HRNNMetadata(seed=seed).fit(split.train_and_validation, **tables)
    return {
        PLAIN: report(plain, split.test, tell_context=False, world=world),
        METADATA: report(rich, split.test, tell_context=False, world=world),
        CONTEXT: report(rich, split.test, tell_context=True, world=world),
    }


def main() -> None:
    options = parser(__doc__)
    add = options.add_argument
    add("--dataset", default=SAMPLE)
    add("--last", type=int, default=1, help="events asked for at each user's end")
    add("--seeds", type=int, default=3)
    options = options.parse_args()
    data = datasets.load(options.dataset)
    events = Interactions.from_frame(data.interactions)
    fewest = max(5, 2 * options.last + 1)
    split = leave_one_out(events, min_events=fewest, positions=options.last)
    reports = [run(split, data, seed) for seed in range(options.seeds)]
    # One row a question: its mean over the seeds.
    means = {name: pd.concat([r[name] for r in reports]) for name in reports[0]}
    keys = [USER_ID, ITEM_ID]
    means = {name: table.groupby(keys, as_index=False).mean() for name, table in means.items()}
    if not events.request_context:
        del means[CONTEXT]
    result = describe_run("side information") | {
        "dataset": options.dataset,
        "last": options.last,
        "seeds": options.seeds,
        "questions": len(means[PLAIN]),
        "rows": [summarise(name, means) for name in means],
    }
    print(f"{options.dataset}: {result['questions']} questions, {options.seeds} seeds")
    for row in result["rows"]:
        print(f"{row['model']}: {row['means']}")
        for each in row["differences"]:
            print(f"  {each['metric']} minus {each['other']}: ", end="")
            print(f"{each['difference']:+.4f} ± {each['standard_error']:.4f}")
    write_result(result, f"side-information-{options.dataset}", options.results)


def summarise(name: str, means: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """Return one way's means, and what it has more than each way before it, paired over users."""
    metrics = means[name].columns.drop([USER_ID, ITEM_ID])
    before = list(means)[: list(means).index(name)]
    differences = []
    for metric in metrics:
        for other in before:
            more, error = paired_difference(means[name], means[other], metric=metric)
            differences.append(
                {"metric": metric, "other": other, "difference": more, "standard_error": error}
            )
    return {
        "model": name,
        "means": means[name][metrics].mean().round(5).to_dict(),
        "differences": differences,
    }


if __name__ == "__main__":
    main()
