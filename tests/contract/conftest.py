"""One account with everything, built once for a process."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.account import Account


@pytest.fixture(scope="session")
def built_account(tmp_path_factory: pytest.TempPathFactory) -> Account:
    """The account as it was built; change nothing of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERSONALENS_TRAINING_MAX_EPOCHS", "1")
        return Account.build(tmp_path_factory.mktemp("account"))


@pytest.fixture
def account(built_account: Account, tmp_path: Path) -> Account:
    """A copy of the account for one test."""
    return built_account.copy(tmp_path / "account")
