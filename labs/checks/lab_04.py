"""The self-checks of lab 04."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from personalens.notebook.catch_up import RECIPES
from personalens.notebook.checks import NotYet, check

if TYPE_CHECKING:
    from personalens.notebook.lab_session import LabSession
from .answers import all_different, as_films, described, expect_near, require_active


@check("4a", hint="run the cells of section 1 again, from the top.")
def _tiny_world(lab: LabSession, answers: pd.DataFrame) -> str:
    answer = answers.set_index("recipe")["answer"]
    if answer["HRNN"] != "Alpha 2":
        raise NotYet(f"HRNN answers {answer['HRNN']!r}, not 'Alpha 2'.")
    return "only the model that reads sequences knows what comes next."


@check("4b", hint="run the three cells with create_solution again.")
def _solutions(lab: LabSession, *arns: str) -> str:
    for arn in all_different(arns, "solutions", at_least=len(RECIPES)):
        solution = described(lab.client.describe_solution, "solution", solutionArn=arn)["solution"]
        require_active(solution, f"the solution {solution['name']}")
    return f"{len(arns)} solutions are ACTIVE. Nothing is trained yet."


@check("4c", hint="run the cell with personalens.wait again; training goes on meanwhile.")
def _versions(lab: LabSession, *arns: str) -> str:
    describe = lab.client.describe_solution_version
    for arn in all_different(arns, "solution versions", at_least=len(RECIPES)):
        found = described(describe, "solution version", solutionVersionArn=arn)
        require_active(found["solutionVersion"], "a solution version")
    return f"{len(arns)} models are trained."


@check("4d", hint="personalens.training_log(...) returns one row per epoch.")
def _log(lab: LabSession, log: pd.DataFrame) -> str:
    loss = log["loss"].dropna()
    if len(loss) < 2 or not loss.iloc[-1] < loss.iloc[0]:
        raise NotYet("the loss did not fall.")
    if not loss.is_monotonic_decreasing:
        return f"the loss fell, though not in every epoch: {loss.iloc[0]:.2f}, {loss.iloc[-1]:.2f}."
    return "the loss fell from epoch to epoch."


@check("4.1", hint="c is the size of the intersection of the two sets of viewers.")
def _similarity(lab: LabSession, similarity: Any, film_a: str, film_b: str) -> str:
    events = lab.data.interactions
    films = as_films(lab, [film_a, film_b], "the pair of films")
    a, b = (set(events.loc[events["ITEM_ID"] == film, "USER_ID"]) for film in films)
    truth = len(a & b) / np.sqrt(len(a) * len(b))
    expect_near(similarity, truth, what="the similarity", tolerance=5e-3)
    return f"{len(a & b)} viewers saw both films; the similarity is {truth:.2f}."


@check("4.2", hint="Bob has seen two parts of a trilogy of three.")
def _bob(lab: LabSession, film: str) -> str:
    if not isinstance(film, str) or film.strip() != "Delta 3":
        raise NotYet(f"{film!r} is not what comes next for Bob.")
    return "Bob gets the end of his trilogy."
