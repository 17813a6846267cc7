"""Recipes from outside the package: registered, and then everywhere."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import personalens
from personalens.activation import activate, register
from personalens.jobs.opening import open_home
from personalens.recipes import registry
from personalens.recipes.base import Recipe
from personalens.recipes.sims import SIMS
from personalens.service_errors import ResourceNotFoundException
from personalens.storage import custom_recipes
from personalens.storage.model_folders import load_model, version_folder

EXAMPLES = Path(__file__).parents[1] / "recipes" / "examples"
ARN = "arn:aws:personalize:::recipe/"


@pytest.fixture
def learner(tmp_path, monkeypatch):
    """A learner's folder with the two examples in it, from which Python imports; forgotten after.

    Their names are new ones: what is imported here cannot be confused with another test's.
    """
    folder = tmp_path / "notebooks"
    folder.mkdir()
    names = {"ease": f"ease_{id(folder)}", "markov_chain": f"markov_chain_{id(folder)}"}
    for source, name in names.items():
        shutil.copy(EXAMPLES / f"{source}.py", folder / f"{name}.py")
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    yield folder
    for name in names.values():
        sys.modules.pop(name, None)
        custom_recipes._imported.pop(name, None)


def example(folder: Path, source: str, attribute: str) -> type[Recipe]:
    module = importlib.import_module(f"{source}_{id(folder)}")
    return getattr(module, attribute)


@pytest.fixture
def ease(learner):
    return example(learner, "ease", "EASE")


def version_of(service, films, arn, **members):
    solution = service.create_solution(
        name="mine", datasetGroupArn=films.group, recipeArn=arn, **members
    )["solutionArn"]
    version = service.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    described = service.describe_solution_version(solutionVersionArn=version)["solutionVersion"]
    assert described["status"] == "ACTIVE", described
    return version


@pytest.mark.parametrize(
    ("source", "attribute", "parameter", "value"),
    [("ease", "EASE", "penalty", "3.0"), ("markov_chain", "MarkovChain", "smoothing", "2.5")],
)
def test_a_registered_recipe_goes_all_the_way(
    service, films, learner, source, attribute, parameter, value
):
    recipe = example(learner, source, attribute)
    arn = register(recipe, home=service.home)
    assert arn == ARN + recipe.name
    assert recipe.name in [each["name"] for each in service.list_recipes(maxResults=100)["recipes"]]
    described = service.describe_recipe(recipeArn=arn)["recipe"]
    assert described["recipeType"] == "USER_PERSONALIZATION"
    assert described["description"] == recipe.__doc__
    algorithm = service.describe_algorithm(algorithmArn=described["algorithmArn"])["algorithm"]
    assert list(algorithm["defaultHyperParameters"]) == [parameter]
    config = {"algorithmHyperParameters": {parameter: value}}
    version = version_of(service, films, arn, solutionConfig=config)
    metrics = service.get_solution_metrics(solutionVersionArn=version)["metrics"]
    assert metrics["precision_at_5"] > 0
    campaign = service.create_campaign(name="mine", solutionVersionArn=version)["campaignArn"]
    answer = service.get_recommendations(campaignArn=campaign, userId="viewer-3", numResults=5)
    model = load_model(version_folder(service.home, version), service.context.recipes())
    assert getattr(model.config, parameter) == float(value)
    expected = recipe(**{parameter: float(value)}).fit(films.frame).recommend(["viewer-3"], k=5)
    assert [item["itemId"] for item in answer["itemList"]] == expected.ITEM_ID.tolist()


def test_it_is_listed_by_the_only_provider_and_in_no_domain(service, ease):
    register(ease, home=service.home)
    listed = service.list_recipes(recipeProvider="SERVICE", maxResults=100)["recipes"]
    assert "my-ease" in [each["name"] for each in listed]
    in_domain = service.list_recipes(domain="ECOMMERCE", maxResults=100)["recipes"]
    assert "my-ease" not in [each["name"] for each in in_domain]


def test_registering_again_replaces_and_other_homes_know_nothing(service, ease, tmp_path):
    before = len(service.list_recipes(maxResults=100)["recipes"])
    for _ in range(2):
        register(ease, home=service.home)
    assert len(service.list_recipes(maxResults=100)["recipes"]) == before + 1
    with activate(tmp_path / "other", quiet=True) as other:
        assert "my-ease" not in open_home(other.home).recipes()
        register(ease)  # where the service is on
        assert "my-ease" in open_home(other.home).recipes()


def test_a_worker_process_finds_the_file_and_reads_it_anew_when_it_has_changed(
    service, films, learner, ease, monkeypatch
):
    monkeypatch.setenv("PERSONALENS_WORKER_IDLE_SECONDS", "5")
    monkeypatch.chdir(learner)
    arn = register(ease, home=service.home)
    solution = service.create_solution(name="m", datasetGroupArn=films.group, recipeArn=arn)
    service.use(open_home(service.home, inline_jobs=False))

    def trained() -> dict:
        version = service.create_solution_version(**solution)["solutionVersionArn"]
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            described = service.describe_solution_version(solutionVersionArn=version)
            if described["solutionVersion"]["status"] in ("ACTIVE", "CREATE FAILED"):
                break
            time.sleep(0.05)
        return described["solutionVersion"]

    assert trained()["status"] == "ACTIVE"
    file = learner / f"ease_{id(learner)}.py"
    file.write_text(file.read_text().replace("np.linalg.inv(gram)", "np.linalg.no_such(gram)"))
    failed = trained()
    assert failed["status"] == "CREATE FAILED"
    assert "no_such" in failed["failureReason"]


SCRIPT = """
import sys
from personalens.recipes.sims import SIMS
from personalens.activation import register

class Mine(SIMS):
    name = "mine"

try:
    register(Mine, home=sys.argv[1])
except ValueError as error:
    print(error)
"""


def test_a_class_of_a_notebook_is_refused_with_what_to_do(tmp_path):
    root = str(Path(personalens.__file__).parents[1])
    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Mine is defined in a notebook or a script" in answer.stdout
    assert "%%writefile my_recipe.py" in answer.stdout


class NoMethods(Recipe):
    name, recipe_type = "no-methods", "USER_PERSONALIZATION"


class Unable(SIMS):
    name = "unable"
    explores = takes_influence = True


class Nameless(SIMS):
    name = "with spaces"


class Pretender(SIMS):
    name = "aws-better-sims"


@pytest.mark.parametrize(
    ("recipe", "error", "message"),
    [
        (dict, TypeError, "derives from personalens.recipes.base.Recipe"),
        (NoMethods, TypeError, "NoMethods lacks the methods _fit, _restore, _tensors"),
        (Unable, TypeError, "Unable lacks the methods explore, influenced"),
        (Nameless, ValueError, "'with spaces' must be 1 to 63 letters"),
        (Pretender, ValueError, "the service's own recipes"),
    ],
)
def test_what_is_no_recipe_is_refused(home, recipe, error, message):
    with pytest.raises(error, match=message):
        register(recipe, home=home)


def test_a_class_inside_a_function_is_refused(home):
    class Inner(SIMS):
        name = "inner"

    with pytest.raises(ValueError, match="inside a function"):
        register(Inner, home=home)


def test_a_file_that_is_gone_is_told_when_the_recipe_is_used(service, films, learner, ease):
    arn = register(ease, home=service.home)
    name = ease.__module__
    del sys.modules[name]
    (learner / f"{name}.py").unlink()
    with pytest.raises(ResourceNotFoundException, match=f"module {name} of .*cannot be imported"):
        service.create_solution(name="mine", datasetGroupArn=films.group, recipeArn=arn)


def test_another_file_of_that_name_is_not_taken_for_it(service, learner, ease, tmp_path):
    arn = register(ease, home=service.home)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    name = ease.__module__
    shutil.move(learner / f"{name}.py", moved / f"{name}.py")
    sys.path.append(str(moved))
    del sys.modules[name]
    with pytest.raises(ResourceNotFoundException, match="another module of that name"):
        service.describe_recipe(recipeArn=arn)


def test_an_installed_package_offers_recipes_by_an_entry_point(service, tmp_path, monkeypatch):
    package = tmp_path / "site" / "their_recipes-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: their-recipes\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(
        "[personalens.recipes]\n"
        "my-ease = tests.recipes.examples.ease:EASE\n"
        "aws-sims = tests.recipes.examples.ease:EASE\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "site")
    registry.installed.cache_clear()
    try:
        assert list(registry.installed()) == ["my-ease"]  # ours cannot be displaced
        assert registry.get("my-ease").recipe.__name__ == "EASE"
        described = service.describe_recipe(recipeArn=ARN + "my-ease")["recipe"]
        assert described["recipeType"] == "USER_PERSONALIZATION"
    finally:
        registry.installed.cache_clear()
