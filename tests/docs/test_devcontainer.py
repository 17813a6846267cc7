""".devcontainer/ makes what `make` needs, and its last step ends in an environment for the labs."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".devcontainer"
SETTINGS = json.loads((FOLDER / "devcontainer.json").read_text(encoding="utf-8"))
DOCKERFILE = (FOLDER / "Dockerfile").read_text(encoding="utf-8")


def test_what_the_settings_name_exists():
    assert (FOLDER / SETTINGS["build"]["dockerfile"]).is_file()
    assert (FOLDER / SETTINGS["build"]["context"]).resolve() == ROOT
    for file in SETTINGS["customizations"]["codespaces"]["openFiles"]:
        copies, lab = file.split("/")
        assert copies == "my_labs"  # where personalens labs puts them
        assert (ROOT / "labs" / lab).is_file()
    user = SETTINGS["remoteUser"]
    assert f"useradd --create-home --shell /bin/bash {user}" in DOCKERFILE


def test_its_python_is_one_that_the_pins_are_for():
    from tests.docs.test_pins import PYTHONS

    (version,) = re.findall(r"^FROM python:(\d+\.\d+)-slim", DOCKERFILE, re.MULTILINE)
    assert version in PYTHONS


def test_its_last_step_is_a_target_of_the_makefile():
    make, target = shlex.split(SETTINGS["postCreateCommand"])
    assert make == "make"
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"{command}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.mark.slow
def test_its_steps_end_in_an_environment_for_the_labs(tmp_path):
    """In its container where Docker runs; else its last step in a clean folder of this machine."""
    if os.environ.get("PERSONALENS_TEST_INSTALLS") != "1":
        pytest.skip("installs everything again: set PERSONALENS_TEST_INSTALLS=1")
    checkout = tmp_path / "personalens"
    run("git", "clone", "--quiet", str(ROOT), str(checkout), cwd=tmp_path)
    check = ".venv/bin/python -m jupyterlab --version && .venv/bin/python -m personalens --help"
    steps = f"{SETTINGS['postCreateCommand']} && {check}"
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "info"], capture_output=True).returncode == 0:
        image = "personalens-devcontainer-test"
        file = str(checkout / ".devcontainer" / "Dockerfile")
        run(docker, "build", "--tag", image, "--file", file, ".", cwd=checkout)
        checkout.chmod(0o777)
        place = f"{checkout}:/workspaces/personalens"
        run(docker, "run", "--rm", "--volume", place, "--workdir", "/workspaces/personalens", image,
            "sh", "-c", steps, cwd=checkout)  # fmt: skip
    else:
        run("sh", "-c", steps, cwd=checkout)
