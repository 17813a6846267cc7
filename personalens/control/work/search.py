"""What a solution version trains: as configured, or the best of what was tried.

Amazon Personalize: ``performHPO`` and ``performAutoML`` of CreateSolution.

Notes
-----
Trials are measured on a hold-out of their own, drawn from what the version's hold-out leaves for
training. So the figures of GetSolutionMetrics are those of users who had no say in the choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from personalens.arns import parse
from personalens.control.work.training_data import TrainingData
from personalens.evaluation.holdouts import Holdout
from personalens.jobs.job_runner import JobFailed
from personalens.progress import Progress, within
from personalens.recipes.base import Recipe, RecipeConfig
from personalens.recipes.hyperparameters import ALGORITHM, config_strings
from personalens.recipes.registry import RecipeEntry
from personalens.settings.hpo_config import SearchPlan, plan_search
from personalens.training.tuning import Params, Range, Search, Trial

OBJECTIVE = "normalized_discounted_cumulative_gain_at_25"
"""What hyperparameter optimisation maximises, and AutoML unless autoMLConfig names another."""

AUTOML_JOBS = 5
"""Trainings that AutoML spends on the hyperparameters of the recipe it has chosen."""

COMPARISON_SHARE = 0.4
_SHORT_NAMES = {"normalized_discounted_cumulative_gain_at_": "NDCG@", "precision_at_": "precision@"}


@dataclass(frozen=True)
class Choice:
    """What is to be trained."""

    entry: RecipeEntry
    config: RecipeConfig
    tuned: dict[str, str] | None = None  # algorithm hyperparameters, if they were searched for
    trials: list[Trial] = field(default_factory=list)  # every training of the search


@dataclass(frozen=True)
class Contest:
    """Where and by what trials are compared."""

    data: TrainingData  # all of a version's data
    seed: int  # of hold-outs and trainings
    metric: str  # a key of what ``Recipe.measure`` returns
    folder: Path  # where finished trials are kept, so that a killed search goes on

    def search(self, name: str, plan: SearchPlan, first: list[Params], **options: Any) -> Search:
        """Return a search that keeps its trials in a file of this name."""
        figure = self.metric
        for long, short in _SHORT_NAMES.items():
            figure = figure.replace(long, short)
        return Search(
            plan.space,
            trials=plan.jobs,
            parallel=plan.parallel,
            seed=self.seed,
            first=first,
            journal=self.folder / f"{name}.json",
            key=f"{self.metric} {len(self.data.interactions)} events",
            figure=figure,
            **options,
        )

    def value(self, entry: RecipeEntry, config: RecipeConfig, progress: Progress) -> float:
        """Train with a config and return its figure on the trials' hold-out."""
        holdout = self._holdout(entry.recipe)
        # No checkpoints: a trial that goes on from one would not report its first figures again.
        model = entry.recipe(config, seed=self.seed)
        model.fit(holdout.train, progress=progress, refit=False, **self.data.tables(entry))
        figures = model.measure(holdout, catalogue_size=self.data.catalogue_size)
        if self.metric not in figures:
            raise JobFailed(
                f"{entry.name} is measured by {', '.join(figures)}, not by {self.metric}, so its "
                "hyperparameters cannot be optimised here. Set performHPO to false."
            )
        return figures[self.metric]

    def _holdout(self, recipe: type[Recipe]) -> Holdout:
        train = recipe.hold_out(self.data.interactions, seed=self.seed).train
        return recipe.hold_out(train, seed=self.seed + 1)


def choose(
    version: Mapping[str, Any],
    recipes: Mapping[str, RecipeEntry],
    contest: Contest,
    progress: Progress,
) -> Choice:
    """Return what a version trains, after the trials that its configuration asks for."""
    if version.get("performAutoML"):
        return _choose_recipe(candidates(version, recipes), contest, progress)
    config = version["solutionConfig"]
    entry = recipes[parse(version["recipeArn"]).name]
    base = entry.parse(
        config.get("algorithmHyperParameters"), config.get("featureTransformationParameters")
    )
    if not version.get("performHPO"):
        return Choice(entry, base)
    return _tune(Choice(entry, base), plan_search(entry, config), contest, progress)


def candidates(version: Mapping[str, Any], recipes: Mapping[str, RecipeEntry]) -> list[RecipeEntry]:
    """Return the recipes among which AutoML chooses for a version."""
    return [recipes[parse(arn).name] for arn in version["_automlRecipes"]]


def _choose_recipe(entries: list[RecipeEntry], contest: Contest, progress: Progress) -> Choice:
    """Compare recipes by their defaults, then tune the best one."""
    by_name = {entry.name: entry for entry in entries}
    space = (Range("recipe", "categorical", values=tuple(by_name)),)
    plan = SearchPlan(space, len(by_name), min(2, len(by_name)))
    comparison = contest.search(
        "recipes", plan, [{"recipe": name} for name in by_name], cut=False, title="recipe"
    )

    def train(params: Params, listen: Progress) -> float:
        entry = by_name[params["recipe"]]
        return contest.value(entry, entry.config(), listen)

    best = comparison.run(train, within(progress, 0.0, COMPARISON_SHARE))
    entry = by_name[best.params["recipe"]]
    choice = Choice(entry, entry.config(), trials=comparison.trials)
    if not any(row.tunable for row in entry.hyperparameters()):
        return choice
    plan = plan_search(
        entry, {"hpoConfig": {"hpoResourceConfig": {"maxNumberOfTrainingJobs": str(AUTOML_JOBS)}}}
    )
    return _tune(choice, plan, contest, within(progress, COMPARISON_SHARE, 1.0))


def _tune(choice: Choice, plan: SearchPlan, contest: Contest, progress: Progress) -> Choice:
    """Return the choice with the best hyperparameters that a search finds."""
    entry, base = choice.entry, config_strings(choice.config)

    def train(params: Params, listen: Progress) -> float:
        return contest.value(entry, _with(entry, base, params), listen)

    search = contest.search("hyperparameters", plan, [base])
    best = search.run(train, progress)
    config = _with(entry, base, best.params)
    in_algorithm = [row.name for row in entry.hyperparameters() if row.group == ALGORITHM]
    strings = config_strings(config)
    tuned = {name: strings[name] for name in in_algorithm}
    return Choice(entry, config, tuned, [*choice.trials, *search.trials])


def _with(entry: RecipeEntry, base: Mapping[str, str], params: Params) -> RecipeConfig:
    return entry.config(**{**base, **params})
