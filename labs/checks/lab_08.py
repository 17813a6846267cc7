"""The self-checks of lab 08."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from personalens.notebook.checks import NotYet, check
from personalens.notebook.training_log import search_log

from .answers import all_different, as_list, described, expect_near

if TYPE_CHECKING:
    from personalens.notebook.lab_session import LabSession

NDCG_25 = "normalized_discounted_cumulative_gain_at_25"


def _version(lab: LabSession, arn: str) -> dict[str, Any]:
    describe = lab.client.describe_solution_version
    return described(describe, "solution version", solutionVersionArn=arn)["solutionVersion"]


def _ndcg(lab: LabSession, arn: str) -> float:
    metrics = lab.client.get_solution_metrics(solutionVersionArn=arn)["metrics"]
    return metrics[NDCG_25]


@check("8a", hint="run the cells of section 1 again, from the top.")
def _flattery(lab: LabSession, curve: pd.DataFrame) -> str:
    flattery = curve["in the search"] - curve["measured again"]
    if not flattery.iloc[-1] > flattery.iloc[0] + 0.01:
        raise NotYet("the winner of many trials should flatter itself more than that of one.")
    return f"the winner of {curve.index[-1]} equals looks {flattery.iloc[-1]:.3f} too good."


@check("8b", hint="run the cell with personalens.wait again; the search goes on meanwhile.")
def _tuned(lab: LabSession, version_arn: str) -> str:
    version = _version(lab, version_arn)
    if "tunedHPOParams" not in version:
        raise NotYet(f"the version is {version['status']} and has no tunedHPOParams.")
    tuned = version["tunedHPOParams"]["algorithmHyperParameters"]
    return "the search chose " + ", ".join(tuned) + "."


@check("8c", hint="personalens.search_log(...) returns one row a trial.")
def _best_trial(lab: LabSession, log: pd.DataFrame, tuned: dict[str, str]) -> str:
    best = log.loc[log["value"].idxmax()]
    if not tuned:
        raise NotYet("there is no tuned hyperparameter.")
    for name, value in tuned.items():
        expect_near(best[name], float(value), what=f"{name} of the best trial", tolerance=1e-9)
    return f"trial {best['trial']} of {len(log)} is what the service trained."


@check("8d", hint="run the cells of section 4 again, from the top.")
def _by_viewer(lab: LabSession, by_viewer: pd.DataFrame, versions: dict[str, str]) -> str:
    if set(versions) != {"default", "tuned"}:
        raise NotYet("the versions should be two, named default and tuned.")
    for name, arn in versions.items():
        expect_near(by_viewer[name].mean(), _ndcg(lab, arn), what=f"the mean of {name}")
    return "viewer by viewer, the same figures as GetSolutionMetrics."


@check("8e", hint="run the cells of section 5 again, from the top.")
def _automl(lab: LabSession, *version_arns: str) -> str:
    chosen = []
    for arn in all_different(version_arns, "versions of AutoML", at_least=2):
        version = _version(lab, arn)
        if version["status"] != "ACTIVE":
            raise NotYet(f"a version of AutoML is {version['status']}.")
        recipes = search_log(arn).dropna(subset=["recipe"]).set_index("recipe")
        best = recipes["value"].idxmax()
        if not version["recipeArn"].endswith(f"/{best}"):
            raise NotYet(f"{best} had the best figure, but the service trained another recipe.")
        chosen.append(best)
    return f"AutoML trained the winners of its trials: {', '.join(chosen)}."


@check("8.1", hint="value.max() of the log less its first value; then the two metrics.")
def _gains(lab: LabSession, gains: Any, log: pd.DataFrame, versions: dict[str, str]) -> str:
    given = as_list(gains, "the answer")
    if len(given) != 2:
        raise NotYet("give two numbers: (gain_in_search, gain_on_holdout).")
    in_search = log["value"].max() - log["value"].iloc[0]
    on_holdout = _ndcg(lab, versions["tuned"]) - _ndcg(lab, versions["default"])
    expect_near(given[0], in_search, what="the gain in the search")
    expect_near(given[1], on_holdout, what="the gain on the hold-out")
    return f"{in_search:+.3f} in the search, {on_holdout:+.3f} on viewers who had no say."


@check("8.2", hint="copy hpo_config; a range whose two ends are equal is a fixed value.")
def _own_config(lab: LabSession, config: Any, version_arn: str) -> str:
    tuned = _version(lab, version_arn)["solutionConfig"]["hpoConfig"]
    if not isinstance(config, dict) or set(config) != set(tuned):
        raise NotYet(f"an hpoConfig has the members {', '.join(tuned)}.")
    ranges = config["algorithmHyperParameterRanges"]
    found = {
        row["name"]: (row["minValue"], row["maxValue"])
        for kind in ("integer", "continuous")
        for row in ranges.get(f"{kind}HyperParameterRanges", [])
    }
    if found.get("min_cointeraction_count") != (2, 5):
        raise NotYet("min_cointeraction_count should run from 2 to 5.")
    if found.get("popularity_discount_factor", (0.5, 0.5)) != (0.5, 0.5):
        raise NotYet("popularity_discount_factor should stay at 0.5.")
    if config["hpoResourceConfig"].get("maxNumberOfTrainingJobs") != "4":
        raise NotYet('maxNumberOfTrainingJobs should be "4", a string.')
    return "four trials for four values."
