"""A wheel, used where there is no checkout: it serves, runs a lab's code, trains a custom recipe.

Its environment has the wheel and, through a .pth file, the other packages that are installed here.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import boto3
import pytest

ROOT = Path(__file__).resolve().parents[2]
OWN_RECIPE = """
import json
from pathlib import Path

import boto3
import personalens
from my_recipe import MyRecipe

assert "checkout" not in personalens.__file__
personalens.activate(quiet=True)
recipe = personalens.register(MyRecipe)
personalize = boto3.client("personalize")
columns = {"USER_ID": "string", "ITEM_ID": "string", "TIMESTAMP": "long"}
schema = personalize.create_schema(name="films", schema=json.dumps({
    "type": "record", "name": "Interactions", "version": "1.0",
    "namespace": "com.amazonaws.personalize.schema",
    "fields": [{"name": name, "type": kind} for name, kind in columns.items()],
}))["schemaArn"]
group = personalize.create_dataset_group(name="films")["datasetGroupArn"]
personalens.wait(personalize, group)
dataset = personalize.create_dataset(
    name="films", schemaArn=schema, datasetGroupArn=group, datasetType="Interactions"
)["datasetArn"]
personalens.wait(personalize, dataset)
events = personalens.datasets.load("sample").interactions[list(columns)]
events.to_csv("events.csv", index=False)
job = personalize.create_dataset_import_job(
    jobName="films", datasetArn=dataset, roleArn="arn:aws:iam::123456789012:role/any",
    dataSource={"dataLocation": personalens.stage("events.csv")},
)["datasetImportJobArn"]
personalens.wait(personalize, job)
solution = personalize.create_solution(
    name="mine", datasetGroupArn=group, recipeArn=recipe, performAutoTraining=False
)["solutionArn"]
version = personalize.create_solution_version(solutionArn=solution)["solutionVersionArn"]
personalens.wait(personalize, version)
campaign = personalize.create_campaign(
    name="mine", solutionVersionArn=version, minProvisionedTPS=1
)["campaignArn"]
personalens.wait(personalize, campaign)
answer = boto3.client("personalize-runtime").get_recommendations(
    campaignArn=campaign, userId=events["USER_ID"][0], numResults=5
)
print(len(answer["itemList"]), "films")
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The bin folder of an environment with the wheel, built from a copy of the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "checkout"
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "personalens", source / "personalens", ignore=unwanted)
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder]
    run(*pip, *build, source)
    shutil.rmtree(source)
    environment = folder / "env"
    run(sys.executable, "-m", "venv", "--without-pip", environment)
    python = environment / "bin" / "python"
    (wheel,) = folder.glob("*.whl")
    run(*pip, "--python", python, "install", "--no-deps", "--no-index", wheel)
    (site,) = environment.glob("lib/python*/site-packages")
    # A folder of a .pth file only: an editable installation that lies in it is not seen.
    (site / "shared.pth").write_text(sysconfig.get_path("purelib"))
    return python.parent


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    """A folder outside of every checkout, and no settings."""
    for name in os.environ:
        if name == "PYTHONPATH" or name.startswith("PERSONALENS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    return tmp_path


def run(*command: object, cwd: Path | None = None) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{words}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def code_of(lab: str) -> list[str]:
    (path,) = (ROOT / "labs").glob(f"{lab}_*.ipynb")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.slow
@pytest.mark.allow_network
def test_it_serves(installed, elsewhere):
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    command = [installed / "personalens", "serve", "--port", url.rpartition(":")[2]]
    server = subprocess.Popen(command, cwd=elsewhere, stderr=subprocess.DEVNULL)
    try:
        wait_for(f"{url}/_personalens/health")
        keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
        client = boto3.client("personalize", "us-east-1", endpoint_url=url, **keys)
        recipes = client.list_recipes(maxResults=100)["recipes"]
        client.close()
    finally:
        server.terminate()
        server.wait(timeout=30)
    assert "aws-hrnn" in {recipe["name"] for recipe in recipes}


@pytest.mark.slow
def test_a_lab_s_code_runs(installed, elsewhere):
    """Lab 00 on the embedded sample, as a script; its exercises ask a checker, which is no part."""
    code = [source for source in code_of("00") if ".check(" not in source]
    script = elsewhere / "lab.py"
    script.write_text("\n\n".join([code[0], 'DATASET = "sample"', *code[1:]]), encoding="utf-8")
    assert "Lab 00 on sample" in run(installed / "python", script, cwd=elsewhere)


@pytest.mark.slow
def test_a_recipe_of_one_s_own_is_trained_and_recommends(installed, elsewhere):
    """Lab 09's, which a worker process has to find again."""
    parts = [text for text in code_of("09") if text.startswith("%%writefile")]
    source = "".join(part.partition("\n")[2] + "\n" for part in parts)
    (elsewhere / "my_recipe.py").write_text(source, encoding="utf-8")
    script = elsewhere / "own.py"
    script.write_text(OWN_RECIPE, encoding="utf-8")
    assert "5 films" in run(installed / "python", script, cwd=elsewhere)


def wait_for(url: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            urlopen(url, timeout=5).close()
            return
        except (URLError, ConnectionError):
            assert time.monotonic() < end, f"{url} does not answer"
            time.sleep(0.2)
