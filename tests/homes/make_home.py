"""Write a home as the present version does, for later versions to open: it is committed once.

Run as ``python -m tests.homes.make_home NUMBER``; it writes ``home-NUMBER.tar.xz`` and beside it
``home-NUMBER.json``, which says what the home holds. A number that is there already is refused:
what a version has written cannot be made again once the code has changed.

Amazon Personalize's account has no files, so there is nothing of it here.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sqlite3
import sys
import tarfile
import tempfile
from pathlib import Path

from personalens.activation import register
from tests.contract.account import RECIPE, Account
from tests.homes.description import describe

HERE = Path(__file__).parent
EXAMPLE = HERE.parent / "recipes" / "examples" / "markov_chain.py"
PLACE = "/where/the/home/was"
"""Stands in the files for the folder in which the home was made: whoever unpacks it moved it."""
RECIPE_MODULE = "recipe_of_a_learner"
DEVICE = {"properties": json.dumps({"device": "tv"})}


def main(number: str) -> None:
    archive = HERE / f"home-{number}.tar.xz"
    if archive.exists():
        raise SystemExit(f"{archive.name} is there already, and what a version wrote stays")
    os.environ["PERSONALENS_TRAINING_MAX_EPOCHS"] = "1"
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as other:
        account = Account.build(Path(folder))
        _use_a_recipe_of_ones_own(account)
        _put(account)
        copy = account.copy(Path(other))  # for to describe is to export
        described = describe(copy.service, copy.folder)
        for path in account.home.path.glob("*.sqlite"):
            _forget_this_machine(path, folder)
        text = json.dumps(described, indent=1, sort_keys=True, ensure_ascii=False)
        target = HERE / f"home-{number}.json"
        target.write_text(text.replace(folder, PLACE) + "\n", encoding="utf-8")
        with tarfile.open(archive, "w:xz", preset=9) as tar:
            for name in ("home", RECIPE_MODULE + ".py"):
                tar.add(account.folder / name, name, filter=_anonymous)


def _use_a_recipe_of_ones_own(account: Account) -> None:
    shutil.copy(EXAMPLE, account.folder / f"{RECIPE_MODULE}.py")
    sys.path.append(str(account.folder))
    recipe = importlib.import_module(RECIPE_MODULE).MarkovChain
    register(recipe, home=account.home)
    service = account.service
    solution = service.create_solution(
        name="own",
        datasetGroupArn=account.films_group,
        recipeArn=RECIPE + recipe.name,
        performAutoTraining=False,
    )["solutionArn"]
    version = service.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    service.delete_campaign(campaignArn=account.tastes_campaign)  # the largest model by far
    service.delete_solution(solutionArn=account.tastes_solution)
    service.create_campaign(name="own", solutionVersionArn=version)


def _put(account: Account) -> None:
    """Put one record of each kind into the event log, and an event in each way."""
    service, tracker = account.service, account.tracking_id
    service.tag_resource(
        resourceArn=account.films_group, tags=[{"tagKey": "team", "tagValue": "films"}]
    )

    def put(session: str, sent_at: int, user: str | None = None, **event: object) -> None:
        named = {} if user is None else {"userId": user}
        event = {"eventType": "watch", "itemId": "film-1", "sentAt": sent_at, **event}
        service.put_events(trackingId=tracker, sessionId=session, eventList=[event], **named)

    put("at-home", 1_700_000_000, "viewer-1", eventId="one", eventValue=4.5, **DEVICE)
    put("at-home", 1_700_000_060, "viewer-1", impression=["film-1", "film-2"])
    put("nobody-yet", 1_700_000_120, itemId="film-7")
    put("a-name-later", 1_700_000_180, itemId="film-8")
    put("a-name-later", 1_700_000_240, "newcomer", itemId="film-9")
    put("at-work", 1_700_000_300, "viewer-2", metricAttribution={"eventAttributionSource": "mail"})
    service.put_items(
        datasetArn=account.films_items,
        items=[{"itemId": "film-new", "properties": json.dumps({"genres": "genre-1"})}],
    )
    service.put_users(
        datasetArn=account.films_users,
        users=[{"userId": "newcomer", "properties": json.dumps({"age": 30})}],
    )
    service.put_actions(
        datasetArn=account.films_actions,
        actions=[{"actionId": "gift", "properties": json.dumps({"value": 4})}],
    )
    taken = {"actionId": "join", "userId": "user-1", "sessionId": "s", "eventType": "Taken"}
    service.put_action_interactions(
        trackingId=account.action_tracking_id,
        actionInteractions=[{**taken, "timestamp": 1_700_000_000}],
    )


def _forget_this_machine(path: Path, folder: str) -> None:
    """Replace the file by a copy of it alone, without the machine's name and the folder's."""
    copy = path.with_suffix(".copy")
    connection = sqlite3.connect(path)
    connection.execute("VACUUM INTO ?", (str(copy),))
    connection.close()
    for old in path.parent.glob(f"{path.name}*"):
        old.unlink()
    path.with_suffix(".turn").unlink(missing_ok=True)
    connection = sqlite3.connect(copy)
    if path.stem == "catalogue":
        for statement in (
            "UPDATE resources SET body = replace(body, :here, :place)",
            "UPDATE jobs SET payload = replace(payload, :here, :place), holder = NULL",
            "DELETE FROM workers",
        ):
            connection.execute(statement, {"here": folder, "place": PLACE})
        connection.commit()
    connection.execute("VACUUM")
    connection.close()
    copy.rename(path)


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


if __name__ == "__main__":
    main(sys.argv[1])
