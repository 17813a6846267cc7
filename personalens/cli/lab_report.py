"""What ``personalens run`` prints at its end: everything is asked from the service.

Metrics come from GetSolutionMetrics, recommendations from GetRecommendations, the times of imports
and trainings from the Describe operations, all on the home as lab 05 leaves it: later labs add
other models, and the last one deletes them all.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
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

    metrics: pd.DataFrame
    viewer: str
    history: pd.DataFrame
    recommendations: pd.DataFrame
    steps: list[tuple[str, float]] = field(default_factory=list)


def make_report(home: Home, dataset: str) -> RunReport:
    """Ask the service on ``home`` what the labs have made there."""
    with activate(home, quiet=True):
        personalize = boto3.client("personalize")
        runtime = boto3.client("personalize-runtime")
        lab = LabSession(5, dataset=dataset, catch_up=False)
        trained = find_trained_recipes(personalize)
        metrics = {
            each.recipe: personalize.get_solution_metrics(solutionVersionArn=each.version_arn)[
                "metrics"
            ]
            for each in trained
        }
        viewer = lab.viewers(1)[0]
        recent = lab.history(viewer, newest=RECENT)
        titles, answers = {}, []
        for each in (each for each in trained if each.campaign_arn):
            subject = (
                {"itemId": str(recent["ITEM_ID"].iloc[-1])}
                if each.needs_item
                else {"userId": viewer}
            )
            started = time.perf_counter()
            response = runtime.get_recommendations(
                campaignArn=each.campaign_arn, numResults=TOP_K, **subject
            )
            answers.append((f"first recommendation, {each.recipe}", time.perf_counter() - started))
            titles[each.recipe] = [lab.title(item["itemId"]) for item in response["itemList"]]
        return RunReport(
            metrics=pd.DataFrame(metrics),
            viewer=viewer,
            history=recent,
            recommendations=pd.DataFrame(
                {name: pd.Series(column) for name, column in titles.items()}
            ),
            steps=[
                *(jobs := _job_times(personalize, trained)),
                *answers,
                *_whole_ways(jobs, answers),
            ],
        )


def find_trained_recipes(personalize: Any) -> list[TrainedRecipe]:
    """Return each recipe of the main job that has an ACTIVE solution version, in the order of their
    solutions. Later labs train others, whose metrics and answers have other forms."""
    found: dict[str, TrainedRecipe] = {}
    for solution in _all(personalize, "list_solutions", "solutions"):
        arn, recipe_arn = solution["solutionArn"], solution.get("recipeArn")
        versions = [
            version
            for version in _all(
                personalize, "list_solution_versions", "solutionVersions", solutionArn=arn
            )
            if version["status"] == "ACTIVE"
        ]
        if not versions or recipe_arn is None:
            continue
        recipe = personalize.describe_recipe(recipeArn=recipe_arn)["recipe"]
        if recipe["name"] not in RECIPES.values():
            continue
        newest = max(versions, key=lambda version: version["creationDateTime"])
        campaigns = _all(personalize, "list_campaigns", "campaigns", solutionArn=arn)
        active = [c["campaignArn"] for c in campaigns if c["status"] == "ACTIVE"]
        found.setdefault(
            recipe["name"],
            TrainedRecipe(
                recipe=recipe["name"],
                version_arn=newest["solutionVersionArn"],
                campaign_arn=active[0] if active else None,
                needs_item=recipe["recipeType"] == "RELATED_ITEMS",
            ),
        )
    return list(found.values())


def render(report: RunReport, runs: Sequence[LabRun]) -> str:
    """Return the report as text for a terminal."""
    shown = report.recommendations.map(
        lambda title: "" if pd.isna(title) else _shorten(str(title))
    ).set_axis(range(1, len(report.recommendations) + 1))
    recent = report.history[["TITLE", "EVENT_VALUE"]].rename(columns=str.lower)
    lines = [*report.steps, *((run.title, run.seconds) for run in runs)]
    width = max(len(name) for name, _ in lines)
    steps = "\n".join(f"  {name:<{width}}  {seconds:7.1f} s" for name, seconds in lines)
    return "\n\n".join(
        [
            "Metrics (GetSolutionMetrics, on the service's own hold-out)\n"
            + report.metrics.to_string(float_format=lambda value: f"{value:.4f}"),
            f"Viewer {report.viewer}: the newest films\n" + recent.to_string(index=False),
            f"Recommended to viewer {report.viewer} (aws-sims: similar to the newest film)\n"
            + shown.to_string(),
            "Seconds\n" + steps,
            f"Executed notebooks: {_common_folder(runs)}",
        ]
    )


def _job_times(personalize: Any, trained: Sequence[TrainedRecipe]) -> list[tuple[str, float]]:
    """Return how long each import, training and campaign took, from its creation to its end."""
    times = []
    for job in _all(personalize, "list_dataset_import_jobs", "datasetImportJobs"):
        if job["status"] == "ACTIVE":
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


def _shorten(title: str) -> str:
    return title if len(title) <= _TITLE_WIDTH else title[: _TITLE_WIDTH - 1] + "…"


def _common_folder(runs: Sequence[LabRun]) -> Path:
    return runs[0].executed.parent
