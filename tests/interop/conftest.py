"""A server with a trained account, for clients that know nothing of PersonaLens."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.contract.account import Account
from tests.local_server import LocalServer

SERVICES = ("PERSONALIZE", "PERSONALIZE_RUNTIME", "PERSONALIZE_EVENTS")


@pytest.fixture
def server(account: Account, inline_jobs: None) -> Iterator[LocalServer]:
    """The account, served."""
    with LocalServer(account.home) as server:
        yield server


@pytest.fixture
def environment(server: LocalServer) -> dict[str, str]:
    """What a client needs: the addresses that `personalens serve` prints, any keys, a region."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | {
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        **{f"AWS_ENDPOINT_URL_{service}": server.url for service in SERVICES},
    }
