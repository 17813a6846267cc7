"""The self-checks of lab 10."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from personalens.notebook.checks import NotYet, check
from personalens.notebook.lab_checks.answers import expect_near

if TYPE_CHECKING:
    from personalens.notebook.lab_session import LabSession


@check("10a", hint="blanks come first, films after them.")
def _rows(lab: LabSession, rows: Any, films: int) -> str:
    is_film = rows < films
    if not bool((is_film[:, 1:] >= is_film[:, :-1]).all()):
        raise NotYet("there is a blank behind a film.")
    return f"{int(is_film[:, :-1].sum()):,} lessons in {len(rows)} rows."


@check("10b", hint="run the cell of the network again.")
def _scores_all_films(lab: LabSession, network: Any, films: int) -> str:
    import torch

    rows, untrained = torch.full((2, 7), films), network().eval()
    scores = untrained(rows)
    if tuple(scores.shape) != (2, 7, films):
        raise NotYet(f"scores for two rows of seven films have the shape {tuple(scores.shape)}.")
    rows[:, -1] = 0
    if not torch.equal(untrained(rows)[:, :-1], scores[:, :-1]):
        raise NotYet("a later film changes an earlier score.")
    return f"{films} scores after each film."


@check("10c", hint="run section 3 again, from the top.")
def _gains(lab: LabSession, gains: pd.DataFrame) -> str:
    ladder = gains.set_index("network")
    if not ladder["NDCG@10"].iloc[-1] > 1.5 * ladder["NDCG@10"].iloc[0]:
        raise NotYet("the last network should be far ahead of the first.")
    step = ladder.loc["+ co-occurrence"]
    if not step["gain"] > 2 * step["error"]:
        raise NotYet("the gain from co-occurrence should be more than twice its error.")
    return f"from {ladder['NDCG@10'].iloc[0]:.3f} to {ladder['NDCG@10'].iloc[-1]:.3f}."


@check("10d", hint="run the cell with class Shuffled again.")
def _order(lab: LabSession, loss: float, error: float) -> str:
    if not loss > 2 * error:
        raise NotYet("losing the order should cost more than twice its error.")
    return "without the order the network recommends worse."


@check("10.1", hint="divide the numbers of network.film.weight by those of all parameters.")
def _share(lab: LabSession, share: Any, network: Any) -> str:
    whole = sum(weight.numel() for weight in network.parameters())
    expect_near(share, network.film.weight.numel() / whole, what="the share", tolerance=1e-3)
    return f"{whole:,} numbers, {float(share):.0%} of them in the films' vectors."


@check("10.2", hint='reports are tables: leave_one_out_report(...)["NDCG@10"].mean().')
def _dropout(lab: LabSession, figure: Any, gains: pd.DataFrame) -> str:
    try:
        value = float(figure)
    except (TypeError, ValueError):
        raise NotYet(f"this is a {type(figure).__name__}, not a number.") from None
    if not 0 < value < 1:
        raise NotYet(f"NDCG@10 lies between 0 and 1; this is {value:.3g}.")
    before = gains["NDCG@10"].iloc[-1]
    return f"{value:.3f} with a dropout of 0.1, {before:.3f} with 0.5."
