"""The outputs that are committed with the labs are what the labs give, where MovieLens is at hand.

A file of its own, so that another worker runs it beside test_lab_runs.py: these two take longest.
"""

from __future__ import annotations

import pytest

from .conftest import LABS, reproduce

pytestmark = [pytest.mark.slow, pytest.mark.movielens, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def differences(movielens_folder, tmp_path_factory):
    """All labs, in their order, on one home: what differs, by name."""
    folder = tmp_path_factory.mktemp("committed")
    report = folder / "report.xml"
    return reproduce(LABS, folder / "home", report, PERSONALENS_DATA=str(movielens_folder))


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.stem)
def test_committed_outputs_reproduce(differences, lab):
    assert not differences[lab.name], differences[lab.name]
