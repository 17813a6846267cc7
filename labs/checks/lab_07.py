"""The self-checks of lab 07."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from personalens.notebook.checks import NotYet, check

from .answers import as_films, as_list, described, expect_near, require_active

if TYPE_CHECKING:
    from personalens.notebook.lab_session import LabSession

_ROUNDS, _EPSILON = 2000, 0.1
_YEAR = {"explorationWeight": 0.9, "explorationItemAgeCutOff": 365.0}


@check("7a", hint="run the cells of section 1 again, from the top.")
def _ready(lab: LabSession, datasets: dict[str, str], campaigns: dict[str, str]) -> str:
    for kind in ("Interactions", "Items", "Users"):
        if kind not in datasets:
            raise NotYet(f"there is no dataset of the type {kind}.")
        jobs = lab.client.list_dataset_import_jobs(datasetArn=datasets[kind])["datasetImportJobs"]
        if not any(job["status"] == "ACTIVE" for job in jobs):
            raise NotYet(f"nothing has been imported into {kind}.")
    if missing := {"popularity", "personal"} - set(campaigns):
        raise NotYet(f"there is no campaign {', '.join(sorted(missing))}.")
    for arn in campaigns.values():
        found = described(lab.client.describe_campaign, "campaign", campaignArn=arn)["campaign"]
        require_active(found, f"the campaign {found['name']}")
    return f"{len(datasets)} datasets are filled, {len(campaigns)} campaigns answer."


@check("7b", hint="run the cells of section 2 again, from the top.")
def _named(lab: LabSession, named: pd.DataFrame, premieres: list[str]) -> str:
    found, premieres = named["premieres"], as_films(lab, premieres, "the list of premieres")
    if found["popularity"] != 0:
        raise NotYet("popularity names a film without viewers: were all its rows taken out?")
    if found["personal"] != len(premieres):
        raise NotYet(f"User-Personalization names {found['personal']} of {len(premieres)}.")
    return f"one recipe names all {len(premieres)} premieres, the other none."


@check("7c", hint="run the cells of section 2 again, from the top.")
def _quarters(lab: LabSession, quarters: pd.DataFrame) -> str:
    high, low = quarters["where it stands high"].mean(), quarters["where it stands low"].mean()
    if not high > low:
        raise NotYet("the premieres should be liked better where they stand high.")
    return f"{high:.0%} click where a premiere stands high, {low:.0%} where it stands low."


@check("7d", hint="run the cells of section 3 again, from the top.")
def _context(lab: LabSession, lists: pd.DataFrame) -> str:
    gain, error = lists.loc["true context", ["truth: gain", "truth: error"]]
    if not gain > 2 * error:
        raise NotYet(f"the gain of the true context is {gain:.4f}, its error {error:.4f}.")
    if not lists.loc["true context", "truth"] > lists.loc["wrong context", "truth"]:
        raise NotYet("a wrong context should not do better than the true one.")
    return f"the true context gains {gain / error:.1f} times its standard error."


@check("7e", hint="run the cells of section 4 again, from the top.")
def _shares(lab: LabSession, shares: pd.DataFrame) -> str:
    share = shares["share of premieres"].to_numpy()
    if len(share) < 2 or not (np.diff(share) > 0).all():
        raise NotYet("the share of premieres should rise with the weight.")
    return f"from {share[0]:.1%} to {share[-1]:.1%} premieres."


@check("7f", hint="run the cells of section 5 again, from the top.")
def _strategies(lab: LabSession, ends: pd.DataFrame) -> str:
    regret = ends["regret after 2000"]
    if not regret["Thompson"] < regret["greedy"]:
        raise NotYet("who explores should have lost less in the end than who does not.")
    return f"greedy lost {regret['greedy']:.0f} clicks, Thompson {regret['Thompson']:.0f}."


@check("7.1", hint="0.1 * 2000 * (chance.max() - chance.mean())")
def _cost(lab: LabSession, cost: Any, chance: np.ndarray) -> str:
    chance = as_list(chance, "the list of chances")
    if len(chance) < 2 or not all(0 < each < 1 for each in chance):
        raise NotYet("a chance lies between 0 and 1, and there is one for each premiere.")
    truth = _EPSILON * _ROUNDS * float(np.max(chance) - np.mean(chance))
    expect_near(cost, truth, what="the cost", tolerance=0.01)
    return f"{truth:.0f} clicks, and as many again in every further {_ROUNDS:,} rounds."


@check("7.2", hint="update_campaign with both keys of itemExplorationConfig, then wait.")
def _updated(lab: LabSession, arn: str) -> str:
    found = described(lab.client.describe_campaign, "campaign", campaignArn=arn)["campaign"]
    require_active(found, f"the campaign {found['name']}")
    config = found.get("campaignConfig", {}).get("itemExplorationConfig", {})
    for key, value in _YEAR.items():
        if float(config.get(key, "nan")) != value:
            raise NotYet(f"{key} is {config.get(key, 'not set')}.")
    return "the campaign explores films of up to 365 days."
