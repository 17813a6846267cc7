"""The self-checks of lab 09."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from personalens.notebook.checks import NotYet, check, kind_of

from .answers import as_number, described, expect_near, require_active

if TYPE_CHECKING:
    from personalens.notebook.lab_session import LabSession


@check("9a", hint="a share of 1 - decay**films lies on the newest films.")
def _memories(lab: LabSession, memory: pd.DataFrame) -> str:
    shares = memory.set_index("decay")
    if not bool((shares.diff(axis=1).iloc[:, 1:] >= 0).all(axis=None)):
        raise NotYet("more films should never have a smaller share.")
    expect_near(shares.loc[0.8, "on the last 5"], 0.67232, what="the share of five films")
    return f"{len(shares)} averages, from one film to a hundred."


@check("9b", hint="run section 2 again, from the top.")
def _beats_popularity(lab: LabSession, figures: pd.DataFrame) -> str:
    networks = figures[figures["model"] != "popularity"]
    if len(networks) < 2:
        raise NotYet("the table has fewer than two networks.")
    behind = networks[~(networks["ahead of popularity"] > 2 * networks["error"])]
    if len(behind):
        raise NotYet(f"{', '.join(behind['model'])}: not ahead of popularity by twice the error.")
    return f"{len(networks)} networks, each ahead of popularity by more than twice the error."


@check("9c", hint="the class Shuffled permutes the item_codes of each history.")
def _order(lab: LabSession, order: pd.DataFrame) -> str:
    losses = order["NDCG@10 lost"] > 2 * order["error"]
    if not losses.any():
        raise NotYet("no network loses anything; was the order lost?")
    return f"{losses.sum()} of {len(order)} losses are more than twice their error."


@check("9d", hint="call personalens.register(MyRecipe) again.")
def _registered(lab: LabSession, recipe_arn: str) -> str:
    recipe = described(lab.client.describe_recipe, "recipe", recipeArn=recipe_arn)["recipe"]
    if recipe["name"].startswith("aws-"):
        raise NotYet(f"{recipe['name']} is the service's recipe, not yours.")
    require_active(recipe, f"the recipe {recipe['name']}")
    return f"the service knows {recipe['name']}."


@check("9e", hint="run section 5 again, from the top.")
def _served(
    lab: LabSession, version_arn: str, campaign_arn: str, answers: dict[str, list[str]]
) -> str:
    describe = lab.client.describe_solution_version
    version = described(describe, "solution version", solutionVersionArn=version_arn)
    require_active(version["solutionVersion"], "the solution version")
    describe = lab.client.describe_campaign
    campaign = described(describe, "campaign", campaignArn=campaign_arn)["campaign"]
    require_active(campaign, f"the campaign {campaign['name']}")
    if campaign["solutionVersionArn"] != version_arn:
        raise NotYet("the campaign serves another solution version.")
    lists = list(answers.values())
    if not all(lists) or lists[0] == lists[-1]:
        raise NotYet("a viewer with a history should not get the newcomer's list.")
    return "your recipe answers, and not everybody alike."


@check("9.1", hint="half of: squared length of the sum, minus the sum of squared lengths.")
def _pair_sum(lab: LabSession, pair_sum: Any, fields: np.ndarray) -> str:
    products = fields @ fields.T
    truth = np.triu(products, k=1).sum()
    expect_near(pair_sum, truth, what="the sum over all pairs")
    return f"{truth:.2f}, without a loop over pairs."


@check("9.2", hint="four penalties, each with its mean NDCG@10 on the validation questions.")
def _by_penalty(lab: LabSession, by_penalty: Any) -> str:
    if not isinstance(by_penalty, (dict, pd.Series)):
        raise NotYet(f"a dictionary is expected; this is {kind_of(by_penalty)}.")
    figures = {
        float(penalty): as_number(value, f"the figure of penalty {penalty}")
        for penalty, value in by_penalty.items()
    }
    if not {1, 10, 100, 1000} <= set(figures):
        raise NotYet("a dictionary with the keys 1, 10, 100 and 1000 is expected.")
    is_share = all(0 < value < 1 for value in figures.values())
    if not is_share or len(set(figures.values())) < len(figures):
        raise NotYet("NDCG@10 lies between 0 and 1, and differs from penalty to penalty.")
    best = max(figures, key=figures.get)
    return f"a penalty of {best:g} does best, {figures[best]:.3f} on the validation questions."
