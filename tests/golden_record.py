"""What the package answers, as one JSON file: to be equal before and after a change of its plan.

Every recipe's weights and 50 viewers' lists, and the answers of all operations on an account with
one resource of every kind. Numbers of trainings are the same on one machine only, so make both
records on the same one:

    python -m tests.golden_record before.json
    ... the change ...
    python -m tests.golden_record after.json && cmp before.json after.json
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from personalens.aws.service_models import SERVICES, operations
from personalens.service_errors import ServiceError
from tests.conftest import ITEMS, small_world
from tests.contract.account import _CINEMA, FIELDS, RECIPE, Account, valid_requests

VIEWERS = 50
_CHANGING = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<=/)[0-9a-f]{8}\b|(?<!\w)1[6-9]\d{8}\.\d+"
)
"""Identifiers and times of this run."""


def record(folder: Path) -> dict[str, Any]:
    """Return the record, made in an empty folder."""
    account = Account.build(folder / "account")
    answers = {}
    for service in SERVICES:
        for name, operation in operations(service).items():
            copy = account.copy(folder / name)
            answers[name] = _answer(copy, operation.method, valid_requests(copy)[name])
    names = [each["name"] for each in _all_recipes(account)]
    return {"answers": answers, "recipes": {name: _recipe(account, name) for name in names}}


def _answer(account: Account, method: str, request: dict[str, Any]) -> Any:
    try:
        answer = getattr(account.service, method)(**request)
    except ServiceError as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    text = json.dumps(answer, sort_keys=True, default=repr)
    text = re.sub(rf"{re.escape(str(account.folder.parent))}/\w+", "FOLDER", text)
    text = re.sub(r'("[a-zA-Z]*DateTime"|"trainingHours"): [\d.e-]+', r"\1: 0", text)
    return json.loads(_CHANGING.sub("X", text))


def _all_recipes(account: Account) -> list[dict[str, Any]]:
    found, token = [], {}
    while True:
        page = account.service.list_recipes(maxResults=20, **token)
        found += page["recipes"]
        if "nextToken" not in page:
            return found
        token = {"nextToken": page["nextToken"]}


def _recipe(account: Account, name: str) -> dict[str, Any]:
    """Train a recipe; return the digests of its files and what it recommends."""
    service, home = account.service, account.home
    before = set(home.models.glob("*/*"))
    is_domain = re.match("aws-(vod|ecomm)-", name) is not None
    made = {"name": f"golden-{name}", "recipeArn": RECIPE + name}
    try:
        if is_domain:
            group = account.cinema_group if "vod" in name else _shop(account)
            arn = service.create_recommender(datasetGroupArn=group, **made)["recommenderArn"]
            asked = {"recommenderArn": arn}
        else:
            solution = service.create_solution(
                datasetGroupArn=_cinema(account), performAutoTraining=False, **made
            )["solutionArn"]
            version = service.create_solution_version(solutionArn=solution)["solutionVersionArn"]
            asked = {
                "campaignArn": service.create_campaign(
                    name=made["name"], solutionVersionArn=version
                )["campaignArn"]
            }
    except ServiceError as error:
        return {"error": str(error)}
    [folder] = set(home.models.glob("*/*")) - before
    files = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.name in ("weights.safetensors", "ids.json")  # config.json holds seconds
    }
    return {"files": files, "lists": [_list(account, name, asked, n) for n in range(VIEWERS)]}


def _cinema(account: Account) -> str:
    """Return a group for the recipes that learn from any: with plots, and films nobody knows."""
    if "golden_group" not in account.arns:
        items = pd.DataFrame({"ITEM_ID": [f"film-{n}" for n in range(ITEMS + 110)]})
        items["GENRES"] = [f"genre-{n % 4}" for n in range(len(items))]
        items["PLOT"] = [f"A story of {n % 4} friends and {n % 7} foes" for n in range(len(items))]
        items["CREATION_TIMESTAMP"] = 1_600_000_000 + 100_000 * items.index
        plot = {"name": "PLOT", "type": ["null", "string"], "textual": True}
        fields = {**FIELDS, "Items": [*FIELDS["Items"], plot]}
        tables = {name: pd.read_csv(account.folder / f"films-{name}.csv") for name in FIELDS}
        tables |= {"Interactions": small_world(), "Items": items}
        fields["Interactions"] = _CINEMA["Interactions"]
        account._make_group("golden", fields, tables)
    return account.arns["golden_group"]


def _shop(account: Account) -> str:
    """Return a group of the domain ECOMMERCE, made when first asked for."""
    if "shop_group" not in account.arns:
        later = small_world(8).assign(TIMESTAMP=lambda table: table["TIMESTAMP"] + 10_000_000)
        events = pd.concat([small_world(7), later])  # each use case needs 1,000 of its own type
        events["EVENT_TYPE"] = events["EVENT_TYPE"].map({"watch": "Purchase", "click": "View"})
        fields = {"Interactions": _CINEMA["Interactions"]}
        account._make_group("shop", fields, {"Interactions": events}, domain="ECOMMERCE")
    return account.arns["shop_group"]


def _list(account: Account, name: str, asked: dict[str, str], number: int) -> Any:
    viewer, film = f"viewer-{number}", f"film-{number % 40}"
    films = [f"film-{n}" for n in range(10)]
    for method, request in (
        ("get_recommendations", {"userId": viewer}),
        ("get_recommendations", {"itemId": film}),
        ("get_recommendations", {"userId": viewer, "itemId": film}),
        ("get_personalized_ranking", {"userId": viewer, "inputList": films}),
        ("get_action_recommendations", {"userId": f"user-{number}"}),
    ):
        if "recommenderArn" in asked and method != "get_recommendations":
            continue
        try:
            answer = getattr(account.service, method)(**asked, **request)
        except ServiceError:
            continue
        return [method, sorted(request), *(v for k, v in answer.items() if k != "recommendationId")]
    return f"{name} answers none of these requests"


def main() -> None:
    """Write the record to a file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    os.environ |= {"PERSONALENS_TRAINING_MAX_EPOCHS": "2", "PERSONALENS_EXPLORATION_SEED": "7"}
    with tempfile.TemporaryDirectory() as folder:
        options.file.write_text(json.dumps(record(Path(folder)), indent=1, sort_keys=True))


if __name__ == "__main__":
    main()
