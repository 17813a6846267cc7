"""Waiting for the service: one call instead of a describe loop in every cell.

boto3 ships no waiters for Amazon Personalize, and nearly everything there is asynchronous.
:func:`wait` looks at a resource until it is ready, shows how far it is, and raises with the
service's own ``failureReason`` when it failed. It needs nothing but Describe calls, so it does the
same on AWS; with PersonaLens active it also shows the job's stage, epoch, loss and rows.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TextIO
from urllib.parse import urlsplit

from botocore.exceptions import ClientError
from tqdm import tqdm

from personalens import arns
from personalens.home import Home

Until = Literal["ready", "stopped", "deleted"]

READY = frozenset({"ACTIVE", "COMPLETED", "INACTIVE"})
"""Statuses that stay. A data deletion job ends COMPLETED, a stopped recommender INACTIVE."""

STOPPED = "CREATE STOPPED"
ENDED = frozenset({STOPPED, "INACTIVE"})
_LOCAL_POLL, _REMOTE_POLL = (0.1, 0.5), (15.0, 30.0)
_GRACE = 5
"""Looks after which a stop or a delete that was asked for must show in the status."""
_WIDTH = 88
_ENDPOINT_VARIABLE = "AWS_ENDPOINT_URL_PERSONALIZE"


class WaitFailed(RuntimeError):
    """What was waited for will not come: it failed, was stopped, or was never asked for.

    ``status`` is its last one, such as ``CREATE FAILED``; ``failure_reason`` the service's
    ``failureReason``, or a sentence in its place.
    """

    def __init__(self, arn: str, status: str, failure_reason: str) -> None:
        self.arn, self.status, self.failure_reason = arn, status, failure_reason
        super().__init__(f"{_title(arn)}: {status}. {failure_reason}")


def wait(
    client: Any,
    arn: str,
    *,
    until: Until = "ready",
    timeout: float | None = None,
    poll: float | None = None,
    quiet: bool = False,
) -> dict[str, Any] | None:
    """Wait until a resource of Amazon Personalize is ready, and return its description.

    Amazon Personalize: DescribeDatasetGroup, DescribeDatasetImportJob, DescribeSolutionVersion,
    DescribeCampaign and so on, by the kind of ARN. An update in progress (``latestCampaignUpdate``)
    is waited for as well. What is being deleted will never be ready: its end is waited for.

    Parameters
    ----------
    client
        ``boto3.client("personalize")``, of AWS or of PersonaLens.
    arn
        What to wait for.
    until : {"ready", "stopped", "deleted"}, default "ready"
        "stopped" waits for the end of StopSolutionVersionCreation or StopRecommender; "deleted"
        until Describe finds it no more.
    timeout : float, optional
        Seconds after which to give up waiting. The work itself goes on.
    poll : float, optional
        Seconds between looks. Default: 0.1 to 0.5 on this machine, 15 to 30 on AWS.
    quiet : bool, default False
        Show nothing.

    Returns
    -------
    dict or None
        The inner object of the last Describe response; None once deleted, whatever was waited for.

    Raises
    ------
    WaitFailed
        With the ``failureReason``, if it failed or was stopped.
    TimeoutError
        After ``timeout`` seconds.

    Examples
    --------
    >>> import boto3, personalens, tempfile
    >>> with personalens.activate(tempfile.mkdtemp(), quiet=True):
    ...     personalize = boto3.client("personalize")
    ...     arn = personalize.create_dataset_group(name="films")["datasetGroupArn"]
    ...     wait(personalize, arn, quiet=True)["status"]
    'ACTIVE'
    """
    _check_arguments(client, until)
    started, is_going = time.monotonic(), False
    job_progress = _progress_source()
    with StatusLine(_title(arn), shown=not quiet) as line:
        for looks, pause in enumerate(_pauses(poll, is_local(client.meta.endpoint_url))):
            description = _describe(client, arn)
            if description is not None:
                is_going = _status(description).startswith("DELETE")
            status = _settled(arn, description, "deleted" if is_going else until, looks)
            elapsed = time.monotonic() - started
            if status is not None:
                missing = missing_values(job_progress(arn) or {})
                line.finish(f"{status} ({elapsed:.1f} s){missing}")
                return description
            line.update(_status(description), job_progress(arn) or {})
            if timeout is not None and elapsed >= timeout:
                raise TimeoutError(
                    f"{_title(arn)}: still {_status(description)} after {elapsed:.0f} s. The work "
                    "goes on; call wait again to go on waiting."
                )
            time.sleep(pause if timeout is None else min(pause, timeout - elapsed))


def deletion_began(client: Any, arn: str) -> bool:
    """Return whether a deletion of this ARN has begun, be it under way or over."""
    status = _status(_describe(client, arn))
    return status == "deleted" or status.startswith("DELETE")


# -- looking -------------------------------------------------------------------------------------


def _check_arguments(client: Any, until: str) -> None:
    if not hasattr(client, "describe_solution_version"):
        raise TypeError(f'wait needs a client made by boto3.client("personalize"), not {client!r}')
    if until not in ("ready", "stopped", "deleted"):
        raise ValueError(f'until is {until!r}; it can be "ready", "stopped" or "deleted"')


def _describe(client: Any, arn: str) -> dict[str, Any] | None:
    """Return the inner object of the Describe operation of this ARN; None if it is gone."""
    first, *others = arns.parse(arn).kind.split("-")
    member = first + "".join(word.capitalize() for word in others)
    describe = getattr(client, "_".join(["describe", first, *others]))
    try:
        return describe(**{f"{member}Arn": arn})[member]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return None
        raise


def _settled(arn: str, description: Mapping[str, Any] | None, until: str, looks: int) -> str | None:
    """Return the words to close with when waiting is over, None to go on; raise if it failed."""
    if description is None:
        if until == "deleted":
            return "deleted"
        raise WaitFailed(arn, "not found", "Nothing has this ARN: check it, or create it first.")
    status = _status(description)
    if status.endswith("FAILED") and (until != "deleted" or status.startswith("DELETE")):
        reasons = (each.get("failureReason") for each in (description, _latest_update(description)))
        reason = next(filter(None, reasons), "The service gave no failureReason.")
        raise WaitFailed(arn, status, reason)
    if until == "deleted":
        if looks >= _GRACE and not status.startswith("DELETE"):
            raise WaitFailed(arn, status, "It is not being deleted: call the delete operation.")
        return None
    if status == STOPPED and until == "ready":
        raise WaitFailed(arn, status, "It was stopped before it finished.")
    if until == "stopped":
        # A version that became ACTIVE before the stop reached it has come to its end too.
        is_over = status in ENDED or (status in READY and looks >= _GRACE)
        return status if is_over else None
    return status if status in READY else None


def _status(description: Mapping[str, Any] | None) -> str:
    """Return the status that counts: an update's while one is in progress or has failed."""
    if description is None:
        return "deleted"
    status = description.get("status", "ACTIVE")  # a schema has none: it is there at once
    update = _latest_update(description).get("status", status)
    return update if status in READY and update not in READY else status


def _latest_update(description: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return ``latestCampaignUpdate``, ``latestSolutionUpdate`` and the like, or nothing."""
    for name, value in description.items():
        if re.fullmatch(r"latest[A-Za-z]+Update", name) and isinstance(value, Mapping):
            return value
    return {}


def is_local(endpoint: str | None = None) -> bool:
    """Return whether a call to an endpoint is answered on this machine; default: the endpoint that
    the environment names for Personalize."""
    if _active_home() is not None:
        return True
    host = urlsplit(endpoint or os.environ.get(_ENDPOINT_VARIABLE, "")).hostname
    return re.fullmatch(r"localhost|127(\.\d+){3}|::1", host or "") is not None


def _active_home() -> Home | None:
    from personalens import activation

    return activation.current_home() if activation.is_active() else None


def _progress_source() -> Callable[[str], Mapping[str, Any] | None]:
    """Return how to learn a job's stage, fraction, epoch and so on: nothing is known of AWS's."""
    if (home := _active_home()) is None:
        return lambda arn: None
    from personalens.storage.job_queue import JobQueue

    return JobQueue(home).progress


def _title(arn: str) -> str:
    """Return "Solution version films/0a1b2c3d" for its ARN."""
    parsed = arns.parse(arn)
    name = "/".join(filter(None, (parsed.name, parsed.qualifier)))
    return f"{parsed.kind.replace('-', ' ').capitalize()} {name}"


def _pauses(poll: float | None, is_local: bool) -> Iterator[float]:
    """Yield pauses without an end that grow, so that quick work is seen at once."""
    pause, longest = _LOCAL_POLL if is_local else _REMOTE_POLL
    while True:
        yield pause if poll is None else poll
        pause = min(pause * 1.5, longest)


# -- showing ---------------------------------------------------------------------------------------


class StatusLine:
    """Shown while waiting: a live bar where somebody watches, then one line that stays.

    Where the output goes to a file there is no live bar; ``shown=False`` prints nothing at all.
    """

    def __init__(self, title: str, *, shown: bool) -> None:
        self.title, self.shown = title, shown
        self.stream = _stream()
        self.is_live = shown and (_in_notebook() or self.stream.isatty())
        self.bar: tqdm | None = None

    def __enter__(self) -> StatusLine:
        return self

    def __exit__(self, *_: object) -> None:
        self._take_away()

    def update(self, status: str, progress: Mapping[str, Any]) -> None:
        """Show the status, and the job's progress where it is known."""
        if not self.is_live:
            return
        if self.bar is None:
            self.bar = tqdm(total=1.0, leave=False, file=self.stream, ncols=_WIDTH)
        fraction = progress.get("fraction")
        self.bar.set_description_str(progress.get("stage") or status, refresh=False)
        self.bar.set_postfix_str(_numbers(progress), refresh=False)
        if fraction is None:
            self.bar.bar_format = "{desc} [{elapsed}]{postfix}"
        else:
            self.bar.bar_format = "{desc} {percentage:3.0f}%|{bar}|{postfix}"
            self.bar.n = min(1.0, max(0.0, float(fraction)))
        self.bar.refresh()

    def finish(self, text: str) -> None:
        """Take the bar away and print the line that stays."""
        self._take_away()
        if self.shown:
            print(f"{self.title}: {text}", file=self.stream, flush=True)

    def _take_away(self) -> None:
        if self.bar is not None:
            self.bar.close()


def _numbers(progress: Mapping[str, Any]) -> str:
    """Return ``epoch 3/8, loss 5.213, 12,000/100,000 rows`` from a job's progress."""
    parts = []
    if (epoch := progress.get("epoch")) is not None:
        parts.append(f"epoch {epoch}" + (f"/{progress['epochs']}" if "epochs" in progress else ""))
    for name in ("loss", "metric"):
        if (value := progress.get(name)) is not None:
            parts.append(f"{name} {value:.3f}")
    if (rows := progress.get("rows")) is not None:
        total = f"/{progress['total_rows']:,}" if "total_rows" in progress else ""
        parts.append(f"{rows:,}{total} rows")
    return ", ".join(parts)


def missing_values(progress: Mapping[str, Any]) -> str:
    """Return what an import took as missing, as the end of a line; empty if that is nothing.

    >>> missing_values({"missing_values": {"YEAR": 12, "GENRES": 1}})
    '; values taken as missing: YEAR 12, GENRES 1'
    """
    counts = progress.get("missing_values") or {}
    columns = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    return f"; values taken as missing: {columns}" if columns else ""


def _in_notebook() -> bool:
    return "ipykernel" in sys.modules and hasattr(sys.stdout, "set_parent")


def _stream() -> TextIO:
    """A notebook cell's output; elsewhere stderr, so that a script's stdout stays its own."""
    return sys.stdout if _in_notebook() else sys.stderr
