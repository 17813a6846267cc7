"""Fixtures for the control plane: real homes on disk, no mocks."""

from __future__ import annotations

from pathlib import Path

import pytest

from personalens.control.resource_store import ResourceStore
from personalens.control.service_context import ServiceContext
from personalens.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def store(home: Home) -> ResourceStore:
    return ResourceStore(home)


@pytest.fixture
def context(home: Home) -> ServiceContext:
    """A service whose jobs run inside the call."""
    return ServiceContext.open(home, inline_jobs=True)
