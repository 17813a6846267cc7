"""How a solution version learned: the curve that AWS keeps to itself."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from personalens.home import Home, default_home
from personalens.service_errors import ResourceNotFoundException
from personalens.storage.model_folders import TrainingOutcome, read_outcome, version_folder

COLUMNS = ("epoch", "loss", "metric", "seconds")
_METRIC_KEYS = {"ndcg_at_10": "metric"}


def training_log(solution_version_arn: str, home: Home | Path | str | None = None) -> pd.DataFrame:
    """Return how a solution version learned, one row per epoch.

    Parameters
    ----------
    solution_version_arn
        An ACTIVE solution version.
    home
        Where it was trained; default: ``PERSONALENS_HOME`` or the working tree's home.

    Returns
    -------
    pandas.DataFrame
        ``epoch`` (from 1), ``loss`` (mean over the epoch's events), ``metric`` (NDCG@10 on events
        held out from training, higher is better), ``seconds``. No rows for a recipe that does not
        learn in epochs.

    Raises
    ------
    ResourceNotFoundException
        If the version has not been trained in this home.

    Notes
    -----
    The curve is that of the fit without the hold-out's users, which finds the number of epochs. The
    model behind a campaign was then trained on everything for as many epochs.
    """
    log = pd.DataFrame(_outcome(solution_version_arn, home).training_log)
    return log.rename(columns=_METRIC_KEYS).reindex(columns=list(COLUMNS))


def search_log(solution_version_arn: str, home: Home | Path | str | None = None) -> pd.DataFrame:
    """Return what hyperparameter optimisation or AutoML tried, one row per training.

    Parameters
    ----------
    solution_version_arn, home
        As for :func:`training_log`.

    Returns
    -------
    pandas.DataFrame
        ``trial`` (from 1), a column for each hyperparameter that was varied (AutoML begins with
        the ``recipe``), ``value`` (what was maximised, on a hold-out of the search's own; missing
        for a trial that was cut short), ``state`` (COMPLETE or CUT), ``epochs`` that it came to,
        and ``seconds``. No rows for a version without a search.

    Raises
    ------
    ResourceNotFoundException
        If the version has not been trained in this home.
    """
    trials = _outcome(solution_version_arn, home).trials
    rows = [
        {
            "trial": trial["number"],
            **trial["params"],
            "value": trial["value"],
            "state": trial["state"],
            "epochs": len(trial["figures"]),
            "seconds": trial["seconds"],
        }
        for trial in trials
    ]
    varied = dict.fromkeys(name for trial in trials for name in trial["params"])
    return pd.DataFrame(rows, columns=["trial", *varied, "value", "state", "epochs", "seconds"])


def _outcome(solution_version_arn: str, home: Home | Path | str | None) -> TrainingOutcome:
    if not isinstance(home, Home):
        home = default_home() if home is None else Home(Path(home))
    folder = version_folder(home, solution_version_arn)
    if not folder.is_dir():
        raise ResourceNotFoundException(
            f"{solution_version_arn} has no trained model in {home.models}. Wait until it is "
            "ACTIVE, and look into the home in which it was trained."
        )
    return read_outcome(folder)
