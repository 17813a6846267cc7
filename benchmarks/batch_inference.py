"""Batch inference for 100,000 users over 10,000 items, beside implicit's recommend.

    python -m benchmarks.batch_inference

implicit and a batch job of ours get the same factors of users and items, and rank by the products.
implicit's ``recommend`` names codes, as our ranking alone does. The job does all that a batch job
does: it reads JSON lines, looks up every user, adds scores (the softmax over the catalogue), and
writes JSON lines; beside it implicit does the same, but for the softmax. Timed are also the job
without scores, and the job with an HRNN of default size, whose users have ``EVENTS`` events each.
Every step runs ``--repeats`` times, interleaved, in a process of its own; the fastest run counts.
The job also runs for a tenth of the users, to see that memory does not grow with them: what is
shown was added after the model had been loaded.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from argparse import SUPPRESS
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe_run, fastest_runs, parser, run_step, write_result
from benchmarks.peers.clock import timed

GROUP = "arn:aws:personalize:us-east-1:123456789012:dataset-group/bench"
FACTORS, LIST_LENGTH, EVENTS = 64, 25, 20
HRNN_USERS = 2_000
IMPLICIT = ("implicit recommend", "implicit, a job's file")
STEPS = ("ranking alone", "job", "job without scores", "job, a tenth", "job with HRNN")


def draw_factors(folder: Path, users: int, items: int) -> None:
    """Write factors.npz, and users.json with a line for each user."""
    rng = np.random.default_rng(0)
    shapes = {"users": (users, FACTORS), "items": (items, FACTORS)}
    factors = {name: rng.normal(0, 0.35, shape) for name, shape in shapes.items()}
    np.savez(folder / "factors.npz", **{n: f.astype(np.float32) for n, f in factors.items()})
    write_lines(folder / "users.json", [f"user-{code}" for code in range(users)])
    write_lines(folder / "tenth.json", [f"user-{code}" for code in range(users // 10)])


def write_lines(path: Path, users: Sequence[str]) -> None:
    """Write the input file of a batch job."""
    with path.open("w") as file:
        file.writelines(f'{{"userId": "{user}"}}\n' for user in users)


def factor_model(folder: Path, *, has_scores: bool) -> Any:
    """Return a recipe that ranks by the products of given factors, a user a row."""
    from personalens.datasets.id_maps import IdMap
    from personalens.datasets.interactions import History, Interactions
    from personalens.recipes.base import Recipe

    with np.load(folder / "factors.npz") as arrays:
        user_factors, item_factors = arrays["users"], np.ascontiguousarray(arrays["items"].T)

    class FactorModel(Recipe):
        name = "factors"
        recipe_type = "USER_PERSONALIZATION"

        def _fit(self, *arguments: Any) -> None:
            raise NotImplementedError("the factors are given")

        def histories(self, user_ids: Sequence[str]) -> list[History]:
            none = History.empty()  # it reads a user's factors, not the past
            rows = self.interactions_.users.encode(user_ids).tolist()
            return [History(none.item_codes, none.timestamps, user={"row": row}) for row in rows]

        def _score(self, histories: Sequence[History]) -> np.ndarray:
            return user_factors[[past.user["row"] for past in histories]] @ item_factors

        def _tensors(self) -> dict[str, np.ndarray]:
            return {}

        def _restore(self, tensors: dict[str, np.ndarray]) -> None:
            raise NotImplementedError("it is never saved")

    FactorModel.has_scores = has_scores
    model = FactorModel()
    codes = np.arange(len(user_factors), dtype=np.int32)
    items = item_factors.shape[1]
    model.items_ = IdMap([f"item-{code}" for code in range(items)])
    model.interactions_ = Interactions(
        users=IdMap([f"user-{code}" for code in codes]),
        items=model.items_,
        user_codes=codes,
        item_codes=codes % items,
        timestamps=codes.astype(np.int64),
    )
    return model


def hrnn_model(folder: Path, items: int) -> Any:
    """Return an HRNN after one epoch on a few users; write hrnn.json, which asks for them."""
    from personalens.datasets.id_maps import IdMap
    from personalens.datasets.interactions import Interactions
    from personalens.recipes.hrnn import HRNN
    from personalens.training.options import TrainingOptions

    rng = np.random.default_rng(0)
    size = HRNN_USERS * EVENTS
    codes = rng.integers(items, size=size)
    codes[: min(items, size)] = np.arange(min(items, size))
    events = Interactions(
        users=IdMap([f"user-{code}" for code in range(HRNN_USERS)]),
        items=IdMap([f"item-{code}" for code in range(items)]),
        user_codes=np.repeat(np.arange(HRNN_USERS, dtype=np.int32), EVENTS),
        item_codes=codes.astype(np.int32),
        timestamps=np.arange(size, dtype=np.int64),
    )
    model = HRNN()
    model.training = TrainingOptions(max_epochs=1)
    model.fit(events, refit=False)
    with (folder / "users.json").open() as file:
        lines = sum(1 for _ in file)
    write_lines(folder / "hrnn.json", [f"user-{line % HRNN_USERS}" for line in range(lines)])
    return model


def do_step(step: str, folder: Path) -> dict[str, float]:
    """Do one step here and return what it took."""
    if step == "ranking alone":
        with np.load(folder / "factors.npz") as arrays:
            users, items = arrays["users"], np.ascontiguousarray(arrays["items"].T)
        return timed(lambda: rank(users, items))
    if step == "job with HRNN":
        with np.load(folder / "factors.npz") as arrays:
            count = len(arrays["items"])
        model, source = hrnn_model(folder, count), "hrnn.json"
    else:
        model = factor_model(folder, has_scores=step != "job without scores")
        source = "tenth.json" if step == "job, a tenth" else "users.json"
    measured = timed(prepare_job(model, folder, source))
    check_answers(folder, source)
    return measured


def rank(users: np.ndarray, items: np.ndarray) -> None:
    """Rank all items for all users by the products of their factors."""
    from personalens.evaluation.ranking_metrics import top_k_matrix

    for row in range(0, len(users), 200):
        top_k_matrix(users[row : row + 200] @ items, LIST_LENGTH)


def prepare_job(model: Any, folder: Path, source: str) -> Callable[[], None]:
    """Return what a batch inference job does once its model is loaded. As with the peers, what
    belongs to no job, imports and an empty home, is there before the clock starts."""
    from personalens.home import Home
    from personalens.jobs.opening import open_home
    from personalens.runtime.answering import BlockAnswering
    from personalens.runtime.batch_jobs import BatchRecommender
    from personalens.runtime.batch_lines import answer_files
    from personalens.runtime.deployments import Deployment
    from personalens.storage.resource_store import Resource

    home = Home(folder / "home")
    context = open_home(home, inline_jobs=True)
    target = folder / "out"
    job = Resource(
        "arn:aws:personalize:us-east-1:123456789012:batch-inference-job/bench",
        "batch-inference-job",
        "bench",
        body={
            "jobInput": {"s3DataSource": {"path": str(folder / source)}},
            "jobOutput": {"s3DataDestination": {"path": f"{target}/"}},
        },
    )

    def run() -> None:
        shutil.rmtree(target, ignore_errors=True)  # a job writes over no file of another
        deployment = Deployment(job.arn, "", GROUP, model)
        answering = BlockAnswering(context, deployment)
        recommender = BatchRecommender(deployment, answering, LIST_LENGTH)
        answer_files(
            context, job, lambda event: None, recommender.answer, block_size=recommender.block_size
        )

    return run


def check_answers(folder: Path, source: str) -> None:
    """Stop unless every line of a job's input was answered."""
    asked, answered = ((folder / path).open("rb") for path in (source, f"out/{source}.out"))
    with asked, answered:
        if sum(1 for _ in asked) != sum(b'"error":null' in line for line in answered):
            raise SystemExit("not every line was answered")


def run(step: str, folder: Path) -> dict[str, Any] | None:
    """Run one step in a process of its own; None where the peer's environment is not there."""
    if step not in IMPLICIT:
        return run_step("batch_inference", "--step", step, "--folder", folder)
    files = [folder / "factors.npz", LIST_LENGTH]
    if step != IMPLICIT[0]:
        files += [folder / "users.json", folder / "implicit.json"]
    return run_step("peers.bulk_tools", step, *files, environment="peers")


def main() -> None:
    options = parser(__doc__)
    add = options.add_argument
    add("--users", type=int, default=100_000)
    add("--items", type=int, default=10_000)
    add("--repeats", type=int, default=3)
    add("--step", choices=STEPS, help=SUPPRESS)
    add("--folder", type=Path, help=SUPPRESS)
    options = options.parse_args()
    if options.step:
        print(json.dumps(do_step(options.step, options.folder)))
        return
    result = describe_run("batch inference")
    result |= {"users": options.users, "items": options.items, "factors": FACTORS}
    with tempfile.TemporaryDirectory(prefix="personalens-batch-") as name:
        folder = Path(name)
        draw_factors(folder, options.users, options.items)
        runs = fastest_runs([*IMPLICIT, *STEPS], lambda step: run(step, folder), options.repeats)
        result["steps"] = list(runs)
    write_result(result, "batch-inference", options.results)


if __name__ == "__main__":
    main()
