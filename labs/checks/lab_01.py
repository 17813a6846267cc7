"""The self-checks of lab 01."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from personalens.notebook.checks import NotYet, check

from .answers import as_number, expect_near

if TYPE_CHECKING:
    from personalens.notebook.lab_session import LabSession


@check("1a", hint="lab.data.interactions is the table to look at.")
def _three_columns(lab: LabSession, events: pd.DataFrame) -> str:
    if missing := {"USER_ID", "ITEM_ID", "TIMESTAMP"} - set(events.columns):
        raise NotYet(f"the table lacks {', '.join(sorted(missing))}.")
    if len(events) != len(lab.data.interactions):
        raise NotYet(f"the table has {len(events):,} of {len(lab.data.interactions):,} rows.")
    users, items = events["USER_ID"].nunique(), events["ITEM_ID"].nunique()
    return f"{users:,} viewers, {items:,} films, {len(events):,} interactions."


@check("1b", hint="sort the counts, add up the first tenth, divide by all interactions.")
def _head_share(lab: LabSession, share: Any) -> str:
    counts = lab.data.interactions["ITEM_ID"].value_counts()
    truth = counts.head(round(len(counts) * 0.1)).sum() / counts.sum()
    expect_near(share, truth, what="the share")
    return f"the top tenth of the films holds {truth:.0%} of the interactions."


def _gaps(lab: LabSession) -> pd.Series:
    events = lab.data.interactions.sort_values(["USER_ID", "TIMESTAMP"], kind="stable")
    return events.groupby("USER_ID")["TIMESTAMP"].diff()


@check("1c", hint="run the cells of section 4 again, from the top.")
def _sessions(lab: LabSession, sessions_per_viewer: pd.Series, minutes: float) -> str:
    long_gaps = int((_gaps(lab) > as_number(minutes, "the threshold") * 60).sum())
    truth = long_gaps + lab.data.interactions["USER_ID"].nunique()
    expect_near(sessions_per_viewer.sum(), truth, what="the number of sessions", tolerance=1e-9)
    return f"{truth:,} sessions at a threshold of {minutes:g} minutes."


@check("1d", hint="run the cell of section 5 again.")
def _tie_rule(lab: LabSession, rows: list[dict[str, float]]) -> str:
    share = rows[-1]["second number is higher"]
    if np.isfinite(share) and not 0.4 < share < 0.6:
        raise NotYet(f"with the tie rule the share should be near 0.5; it is {share:.2f}.")
    return "the tie rule does not give the order away."


@check("1.1", hint="(per_film < 5).mean() is a share.")
def _tail_share(lab: LabSession, share: Any) -> str:
    counts = lab.data.interactions["ITEM_ID"].value_counts()
    truth = (counts < 5).mean()
    expect_near(share, truth, what="the share", tolerance=5e-3)
    if truth < 0.5:
        return f"the tail is short here: {truth:.1%} of the films are watched so rarely."
    return "a long tail: most of what a catalogue holds is rarely watched."


@check("1.2", hint="one session per viewer, and one more for each gap above 24 * 3600 seconds.")
def _day_sessions(lab: LabSession, sessions: Any) -> str:
    truth = int((_gaps(lab) > 24 * 3600).sum()) + lab.data.interactions["USER_ID"].nunique()
    expect_near(sessions, truth, what="the number of sessions", tolerance=1e-9)
    return "the longer the gap you ask for, the fewer the sessions."
