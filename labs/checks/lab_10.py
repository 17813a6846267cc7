"""The self-checks of lab 10."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from personalens.notebook.checks import NotYet, check

from .answers import as_list, as_number, expect_near

if TYPE_CHECKING:
    from personalens.notebook.lab_session import LabSession


@check("10a", hint="blanks come first, films after them.")
def _rows(lab: LabSession, rows: Any, films: int) -> str:
    if not 1 <= as_number(films, "the number of films") <= len(lab.data.items):
        raise NotYet(f"{films} is not the number of films.")
    is_film = rows < films
    if int(rows.max()) not in (films - 1, films) or not is_film[:, :-1].any():
        raise NotYet("these rows hold other numbers than those of films and of blanks.")
    if not bool((is_film[:, 1:] >= is_film[:, :-1]).all()):
        raise NotYet("there is a blank behind a film.")
    return f"{int(is_film[:, :-1].sum()):,} lessons in {len(rows)} rows."


@check("10b", hint="run section 3 again, from the top.")
def _gains(lab: LabSession, gains: pd.DataFrame) -> str:
    ladder = gains.set_index("network")
    if not ladder["NDCG@10"].iloc[-1] > 1.5 * ladder["NDCG@10"].iloc[0]:
        raise NotYet("the last network should be far ahead of the first.")
    step = ladder.loc["+ co-occurrence"]
    if not step["gain"] > 2 * step["error"]:
        raise NotYet("the gain from co-occurrence should be more than twice its error.")
    return f"from {ladder['NDCG@10'].iloc[0]:.3f} to {ladder['NDCG@10'].iloc[-1]:.3f}."


@check("10c", hint="run the cell with class Shuffled again.")
def _order(lab: LabSession, loss: float, error: float) -> str:
    lost, doubt = as_number(loss, "the loss"), as_number(error, "the error")
    if not 0 < lost < 1 or not 0 < doubt < 1:
        raise NotYet("a loss of NDCG@10 and its error lie between 0 and 1.")
    if not lost > 2 * doubt:
        raise NotYet("losing the order should cost more than twice its error.")
    return "without the order the network recommends worse."


@check("10d", hint="run section 5 again, from the top.")
def _chart(lab: LabSession, chart: pd.DataFrame) -> str:
    figures = chart.set_index("model")["RMSE"]
    if not figures["HRNN"] < figures["rolling average"]:
        raise NotYet("HRNN should be ahead of the rolling average.")
    return f"from {figures['rolling average']:.3f} to {figures['HRNN']:.3f}."


@check("10.1", hint="divide the numbers of network.film.weight by those of all parameters.")
def _share(lab: LabSession, share: Any, network: Any) -> str:
    whole = sum(weight.numel() for weight in network.parameters())
    expect_near(share, network.film.weight.numel() / whole, what="the share", tolerance=1e-3)
    return f"{whole:,} numbers, {float(share):.0%} of them in the films' vectors."


@check("10.2", hint="the errors are two numbers, that of the plain rolling average first.")
def _two_errors(lab: LabSession, answer: Any, ratings: Any) -> str:
    from personalens.ratings.rating_evaluation import (
        RollingAverage,
        RollingMeans,
        rmse,
        split_newest_of_each_user,
    )

    given = as_list(answer, "the answer")
    if len(given) != 2:
        raise NotYet(f"there should be two numbers; these are {len(given)}.")
    split = split_newest_of_each_user(ratings)
    truths = [
        rmse(split.errors(model.fit(split.train))) for model in (RollingAverage(), RollingMeans())
    ]
    for value, truth, what in zip(given, truths, ("the first", "the second"), strict=True):
        expect_near(value, truth, what=what)
    verdict = "is" if truths[1] < truths[0] else "is not"
    return f"{truths[0]:.3f} and {truths[1]:.3f}: the strong average {verdict} worth its settings."
