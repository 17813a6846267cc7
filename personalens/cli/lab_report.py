"""What ``personalens run`` prints at its end, all of it asked from the service.

Metrics come from GetSolutionMetrics, recommendations from GetRecommendations, the times of imports
and trainings from the Describe operations, all on the home as lab 05 leaves it: later labs add
other models, and the last one deletes them all.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import boto3
import pandas as pd

from personalens.activation import activate
from personalens.cli.lab_runner import LabRun
from personalens.home import Home
from personalens.notebook.catch_up import RECIPES
from personalens.notebook.lab_session import LabSession

RECENT, TOP_K = 5, 10
_TITLE_WIDTH = 36


@dataclass
class TrainedRecipe:
    """A recipe's newest trained version in the home, and the campaign that serves one."""

    recipe: str
    version_arn: str
    campaign_arn: str | None
    needs_item: bool


@dataclass
class RunReport:
    """The end of a run, as tables."""

    metrics: pd.DataFrame  # a row for each metric, a column for each recipe
    viewer: str
    history: pd.DataFrame  # the viewer's newest films: TITLE, EVENT_VALUE
    recommendations: pd.DataFrame  # a column of titles for each recipe
    steps: list[tuple[str, float]]  # what took how many seconds, in order


def make_report(home: Home, dataset: str) -> RunReport:
    """Ask the service on ``home`` what the labs have made there."""
    with activate(home, quiet=True):
        personalize = boto3.client("personalize")
        runtime = boto3.client("personalize-runtime")
        lab = LabSession(5, dataset=dataset, catch_up=False)
        trained = find_trained_recipes(personalize)
        metrics = {}
        for each in trained:
            answer = personalize.get_solution_metrics(solutionVersionArn=each.version_arn)
            metrics[each.recipe] = answer["metrics"]
        [viewer] = lab.viewers(1)
        recent = lab.history(viewer, newest=RECENT)
        newest_film = str(recent["ITEM_ID"].iloc[-1])
        titles, answers = {}, []
        for each in (each for each in trained if each.campaign_arn):
            subject = {"itemId": newest_film} if each.needs_item else {"userId": viewer}
            started = time.perf_counter()
            response = runtime.get_recommendations(
                campaignArn=each.campaign_arn, numResults=TOP_K, **subject
            )
            answers.append((f"first recommendation, {each.recipe}", time.perf_counter() - started))
            titles[each.recipe] = pd.Series(lab.title(i["itemId"]) for i in response["itemList"])
        jobs = _job_times(personalize, trained)
    steps = [*jobs, *answers, *_whole_ways(jobs, answers)]
    return RunReport(pd.DataFrame(metrics), viewer, recent, pd.DataFrame(titles), steps)


def find_trained_recipes(personalize: Any) -> list[TrainedRecipe]:
    """Return each recipe of the main job that has an ACTIVE solution version, in the order of their
    solutions. Later labs train others, whose metrics and answers have other forms."""
    found: dict[str, TrainedRecipe] = {}
    for solution in _all(personalize, "list_solutions", "solutions"):
        of = {"solutionArn": solution["solutionArn"]}
        versions = _active(_all(personalize, "list_solution_versions", "solutionVersions", **of))
        if not versions or "recipeArn" not in solution:  # it was AutoML that chose
            continue
        recipe = personalize.describe_recipe(recipeArn=solution["recipeArn"])["recipe"]
        if recipe["name"] not in RECIPES.values() or recipe["name"] in found:
            continue
        campaigns = _active(_all(personalize, "list_campaigns", "campaigns", **of))
        found[recipe["name"]] = TrainedRecipe(
            recipe=recipe["name"],
            version_arn=max(versions, key=lambda v: v["creationDateTime"])["solutionVersionArn"],
            campaign_arn=campaigns[0]["campaignArn"] if campaigns else None,
            needs_item=recipe["recipeType"] == "RELATED_ITEMS",
        )
    return list(found.values())


def render(report: RunReport, runs: Sequence[LabRun]) -> str:
    """Return the report as text for a terminal."""
    titles = report.recommendations.map(lambda title: "" if pd.isna(title) else _shorten(title))
    titles.index = range(1, len(titles) + 1)
    recent = report.history[["TITLE", "EVENT_VALUE"]].rename(columns=str.lower)
    lines = [*report.steps, *((run.title, run.seconds) for run in runs)]
    width = max(len(name) for name, _ in lines)
    return "\n\n".join(
        [
            "Metrics (GetSolutionMetrics, on the service's own hold-out)\n"
            + report.metrics.to_string(float_format=lambda value: f"{value:.4f}"),
            f"Viewer {report.viewer}: the newest films\n" + recent.to_string(index=False),
            f"Recommended to viewer {report.viewer} (aws-sims: similar to the newest film)\n"
            + titles.to_string(),
            "\n".join(["Seconds", *(f"  {name:<{width}}  {took:7.1f} s" for name, took in lines)]),
            f"Executed notebooks: {runs[0].executed.parent}",
        ]
    )


def _job_times(personalize: Any, trained: Sequence[TrainedRecipe]) -> list[tuple[str, float]]:
    """Return how long each import, training and campaign took, from its creation to its end."""
    times = []
    for job in _active(_all(personalize, "list_dataset_import_jobs", "datasetImportJobs")):
        times.append((f"import, {job['jobName']}", _duration(job)))
    for each in trained:
        version = personalize.describe_solution_version(solutionVersionArn=each.version_arn)
        times.append((f"training, {each.recipe}", _duration(version["solutionVersion"])))
    for each in trained:
        if each.campaign_arn:
            campaign = personalize.describe_campaign(campaignArn=each.campaign_arn)["campaign"]
            times.append((f"campaign, {each.recipe}", _duration(campaign)))
    return times


def _whole_ways(
    jobs: Sequence[tuple[str, float]], answers: Sequence[tuple[str, float]]
) -> list[tuple[str, float]]:
    """Return how long each recipe took from the CSV to its first recommendation, all jobs added."""
    imports = sum(seconds for name, seconds in jobs if name.startswith("import, "))
    of_recipe: dict[str, float] = {}
    for name, seconds in (*jobs, *answers):
        step, _, recipe = name.partition(", ")
        if step != "import":
            of_recipe[recipe] = of_recipe.get(recipe, imports) + seconds
    return [(f"CSV to first recommendation, {name}", value) for name, value in of_recipe.items()]


def _duration(resource: dict[str, Any]) -> float:
    return (resource["lastUpdatedDateTime"] - resource["creationDateTime"]).total_seconds()


def _all(personalize: Any, operation: str, member: str, **request: Any) -> list[dict[str, Any]]:
    pages = personalize.get_paginator(operation).paginate(**request)
    return [resource for page in pages for resource in page[member]]


def _active(resources: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [resource for resource in resources if resource["status"] == "ACTIVE"]


def _shorten(title: str) -> str:
    return title if len(title) <= _TITLE_WIDTH else title[: _TITLE_WIDTH - 1] + "…"
