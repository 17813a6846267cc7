"""A sample of the three proofs; ``README.md`` beside it says how to run them whole."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(module: str, *options: str, ok: int = 0) -> str:
    """Run a proof, compare its exit status, and return its last line; skip where it cannot run."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.faults.{module}", *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=500,
    )
    last = done.stdout.strip().rpartition("\n")[2]
    if last.startswith("skipped"):
        pytest.skip(last)
    assert done.returncode == ok, done.stdout + done.stderr
    return last


@pytest.mark.slow
def test_what_was_acknowledged_survives_a_power_cut():
    last = run("crash_states", "--at-most", "8", "--seed", "1")
    opened, faults = re.fullmatch(r"(\d+) states opened, (\d+) with a fault", last).groups()
    assert int(opened) >= 60
    assert faults == "0"


@pytest.mark.slow
def test_without_flushes_the_proof_finds_what_is_lost():
    last = run("crash_states", "puts", "FULL import", "--at-most", "30", "--without-flushes", ok=1)
    assert not last.endswith(" 0 with a fault")


@pytest.mark.slow
def test_a_call_that_fails_once_damages_nothing():
    last = run("failing_calls", "--at-most", "10", "--seed", "1")
    failed, faults = re.fullmatch(r"(\d+) calls failed \(.*\); (\d+) with a fault", last).groups()
    assert int(failed) >= 80
    assert faults == "0"


@pytest.mark.slow
def test_answers_are_those_of_the_model():
    last = run("state_machine", "--steps", "300")
    assert int(re.match(r"(\d+) steps", last)[1]) >= 300
    assert last.endswith("no answer differed from the prediction")
