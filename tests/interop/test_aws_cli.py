"""The AWS CLI, unmodified, from a shell that knows three addresses."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.contract.account import EVENT, Account, schema_text

_OWN = Path(__file__).resolve().parents[2] / ".venv-interop" / "bin" / "aws"
AWS = str(_OWN) if _OWN.exists() else shutil.which("aws")
pytestmark = pytest.mark.skipif(
    AWS is None, reason="no AWS CLI here: tests/interop/install.sh brings it"
)


@pytest.fixture
def aws(environment: dict[str, str], tmp_path: Path):
    """Return a function that runs a command and returns (exit status, answer or error text)."""
    config = {"AWS_CONFIG_FILE": str(tmp_path / "none"), "AWS_PAGER": "", "HOME": str(tmp_path)}

    def run(*words: str):
        done = subprocess.run(
            [AWS, *words, "--output", "json"],
            env=environment | config,
            capture_output=True,
            text=True,
            timeout=120,
        )
        if done.returncode:
            return done.returncode, done.stderr
        return 0, json.loads(done.stdout) if done.stdout.strip() else None

    return run


def items(answer) -> list[str]:
    return [item["itemId"] for item in answer["itemList"]]


def test_a_shell_script_uses_all_three_services(aws, account: Account):
    status, made = aws(
        "personalize", "create-schema", "--name", "cli", "--schema", schema_text("Users")
    )
    assert (status, made["schemaArn"].rpartition("/")[2]) == (0, "cli")
    status, listed = aws("personalize", "list-schemas", "--max-items", "2")
    assert (status, len(listed["schemas"])) == (0, 2)

    ask = ["personalize-runtime", "get-recommendations", "--user-id", "viewer-1"]
    ask += ["--campaign-arn", account.tastes_campaign, "--num-results", "30"]
    status, before = aws(*ask)
    assert (status, len(items(before))) == (0, 30)
    events = json.dumps([{**EVENT, "itemId": items(before)[-1]}])
    words = ["--tracking-id", account.tracking_id, "--session-id", "s", "--user-id", "viewer-1"]
    assert aws("personalize-events", "put-events", *words, "--event-list", events) == (0, None)
    status, after = aws(*ask)
    assert (status, items(after) != items(before)) == (0, True)


def test_errors_come_with_their_type_and_what_to_do(aws, account: Account):
    missing = account.tastes_campaign + "-missing"
    status, text = aws("personalize", "describe-campaign", "--campaign-arn", missing)
    assert status != 0
    assert "(ResourceNotFoundException) when calling the DescribeCampaign operation" in text
    assert missing in text
