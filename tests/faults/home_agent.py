"""A process that answers for a home: boto3 inside it, asked from outside, killed at will."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

import personalens
from personalens.home import Home
from personalens.jobs.opening import open_home
from personalens.storage import resource_store

SERVICES = ("personalize", "personalize-runtime", "personalize-events")
FOREVER = 1e9


class Agent:
    """A forked process with boto3's clients on a home; its jobs are done inside the calls.

    Deletions last for ever there, until :meth:`end_deletions`: so whoever foretells the answers
    needs no clock.
    """

    def __init__(self, home: Path):
        fork = multiprocessing.get_context("fork")
        self._pipe, theirs = fork.Pipe()
        self._process = fork.Process(target=_serve, args=(theirs, home), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, method: str, **request: Any) -> None:
        """Ask, without waiting for the answer."""
        self._pipe.send((method, request))

    def answer(self) -> dict[str, Any] | str:
        """Return what it answers: members, or the code of an error."""
        return self._pipe.recv()

    def call(self, method: str, **request: Any) -> dict[str, Any] | str:
        self.ask(method, **request)
        return self.answer()

    def end_deletions(self) -> None:
        self.call("end_deletions")

    def kill(self) -> None:
        """kill -9, whatever it is doing."""
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def leave(self) -> None:
        """Let it end by itself."""
        self.ask("leave")
        self._process.join()
        self._pipe.close()


def import_what_agents_import(home: Path) -> None:
    """Import here what an agent has imported, so that the next ones begin with it."""
    agent = Agent(home)
    for name in agent.call("modules")["names"]:
        importlib.import_module(name)
    agent.leave()


def _serve(pipe: Any, home: Path) -> None:
    os.environ["PERSONALENS_JOBS"] = "inline"
    resource_store.DELETION_SECONDS = FOREVER
    personalens.activate(home, quiet=True)
    clients = [boto3.client(name, region_name="us-east-1") for name in SERVICES]
    while (asked := pipe.recv())[0] != "leave":
        pipe.send(_answer(clients, home, *asked))


def _answer(clients: list, home: Path, method: str, request: dict) -> dict[str, Any] | str:
    if method == "modules":
        return {"names": [name for name in sys.modules if name.startswith(("perso", "torch"))]}
    if method == "end_deletions":
        resource_store.DELETION_SECONDS = 0.0
        with open_home(Home(home)).store.transaction():
            pass  # it removes what has been deleted
        resource_store.DELETION_SECONDS = FOREVER
        return {}
    client = next(client for client in clients if hasattr(client, method))
    try:
        return getattr(client, method)(**request)
    except ClientError as error:
        return error.response["Error"]["Code"]
