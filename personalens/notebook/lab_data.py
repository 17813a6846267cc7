"""What a lab works with: a data set with titles, names, ARNs, and files where the service reads
them. The same calls work with AWS."""

from __future__ import annotations

import json
import os
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import pandas as pd

from personalens import datasets, durable_files
from personalens.home import default_home
from personalens.notebook.progress import is_local

BUCKET_VARIABLE = "PERSONALENS_BUCKET"
ROLE_VARIABLE = "PERSONALENS_ROLE_ARN"
KEY_PREFIX = "personalens"
_LOCAL_ROLE = "arn:aws:iam::123456789012:role/PersonaLensLabs"
_PREFIX = "lab"
_DONE = "checks.json"


def stage(path: str | os.PathLike[str], *, bucket: str | None = None) -> str:
    """Put a file or a folder where the service can read it and return its location.

    With PersonaLens active the file stays where it is and a ``file://`` location comes back. Where
    a bucket is given or ``PERSONALENS_BUCKET`` is set, the file is uploaded with boto3 and an
    ``s3://`` location comes back: that is the way to run a lab on AWS.

    Amazon Personalize: the ``dataLocation`` of CreateDatasetImportJob.

    Parameters
    ----------
    path
        A CSV file, or a folder with CSV files of one header.
    bucket
        Bucket to upload to. Default: ``PERSONALENS_BUCKET``.

    Returns
    -------
    str
        The location; a folder's ends with ``/``.

    Raises
    ------
    FileNotFoundError
        If there is nothing at ``path``.
    RuntimeError
        If the calls go to AWS and no bucket is known.

    Examples
    --------
    >>> import personalens, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> csv = Path(folder, "films.csv")
    >>> _ = csv.write_text("ITEM_ID,YEAR\\n")
    >>> with personalens.activate(folder, quiet=True):
    ...     stage(csv) == csv.resolve().as_uri()
    True
    """
    source = Path(path).resolve()
    if not source.exists():
        raise FileNotFoundError(
            f"there is no file or folder {os.fspath(path)!r} to stage: write it first"
        )
    if bucket := bucket or os.environ.get(BUCKET_VARIABLE):
        return _upload(source, bucket)
    if not is_local():
        raise RuntimeError(
            f"the calls of this notebook go to AWS, which reads from Amazon S3 only: set "
            f"{BUCKET_VARIABLE} to a bucket of yours, or call personalens.activate() to stay local"
        )
    return source.as_uri() + ("/" if source.is_dir() else "")


def _upload(source: Path, bucket: str) -> str:
    """Upload ``source`` below ``personalens/`` and return its s3:// location."""
    s3, key = boto3.client("s3"), f"{KEY_PREFIX}/{source.name}"
    if source.is_file():
        s3.upload_file(str(source), bucket, key)
        return f"s3://{bucket}/{key}"
    for file in sorted(source.glob("*.csv")):
        s3.upload_file(str(file), bucket, f"{key}/{file.name}")
    return f"s3://{bucket}/{key}/"


class ArnBook(dict[str, str]):
    """ARNs by short name; ``lab.arns["hr`` and ``lab.arns.hr`` both complete with Tab.

    Examples
    --------
    >>> book = ArnBook(items="arn:aws:personalize:us-east-1:123456789012:dataset/films/ITEMS")
    >>> book.items_schema
    Traceback (most recent call last):
    ...
    AttributeError: there is no ARN named 'items_schema' here; there are: items
    """

    def __missing__(self, name: str) -> str:
        known = ", ".join(sorted(self)) or "none yet (call lab.catch_up())"
        raise KeyError(f"there is no ARN named {name!r} here; there are: {known}")

    def __getattr__(self, name: str) -> str:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]


def read_done() -> set[str]:
    """Return the names of the self-checks that were done; a damaged file counts as none."""
    try:
        return set(json.loads((default_home().labs / _DONE).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return set()


class Lab:
    """The data of one lab, and what it has made: what its steps and its checks look at."""

    def __init__(self, number: int, dataset: str, seed: int = 0) -> None:
        self.number = number
        self.seed = seed
        self.data, self._notice = _load(dataset)
        self.dataset: str = self.data.name
        self.arns = ArnBook()
        self.missed: Counter[str] = Counter()  # how often each check was not yet done

    def note_done(self, check: str) -> None:
        """Note in the home that a self-check was done, for good."""
        if check not in (done := read_done()):
            durable_files.make_folders(default_home().labs)
            durable_files.write_json(default_home().labs / _DONE, sorted({*done, check}))

    @cached_property
    def client(self) -> Any:
        """A ``personalize`` client, made when it is first needed."""
        return boto3.client("personalize")

    def name(self, suffix: str) -> str:
        """Return a resource name of this session: ``lab-ml-100k-hrnn`` for ``hrnn``."""
        return f"{_PREFIX}-{self.dataset}-{suffix}"

    @property
    def folder(self) -> Path:
        """Where the lab writes its CSV files, below the home directory."""
        folder = default_home().labs / self.dataset
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def role_arn(self) -> str:
        """The IAM role that lets the service read your bucket.

        Here any well-formed ARN will do. On AWS it is yours: set ``PERSONALENS_ROLE_ARN``.
        """
        if configured := os.environ.get(ROLE_VARIABLE):
            return configured
        if not is_local():
            raise RuntimeError(
                f"on AWS the service needs a role that may read your bucket: set {ROLE_VARIABLE}"
            )
        return _LOCAL_ROLE

    @cached_property
    def _titles(self) -> pd.Series:
        return self.data.items.set_index("ITEM_ID")["TITLE"]

    def title(self, item_id: str) -> str:
        """Return a film's title, or its identifier in brackets where there is none."""
        return str(self._titles.get(str(item_id), f"[{item_id}]"))

    def find(self, text: str) -> pd.DataFrame:
        """Return the films whose title contains ``text``: ITEM_ID and TITLE."""
        items = self.data.items
        hits = items["TITLE"].str.contains(text, case=False, regex=False)
        return items.loc[hits, ["ITEM_ID", "TITLE"]].reset_index(drop=True)

    def with_titles(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return ``frame`` with a TITLE column in place of (right after) ITEM_ID.

        Service responses work too: an ``itemId`` column is taken as ITEM_ID.
        """
        names = [name for name in ("ITEM_ID", "itemId") if name in frame.columns]
        if not names:
            columns = ", ".join(map(str, frame.columns))
            raise ValueError(f"the table has no ITEM_ID or itemId column: {columns}")
        key, title = names[0], "TITLE" if names[0] == "ITEM_ID" else "title"
        result = frame.copy()
        result.insert(frame.columns.get_loc(key) + 1, title, frame[key].astype(str).map(self.title))
        return result

    def history(self, user_id: str, *, newest: int | None = None) -> pd.DataFrame:
        """Return a viewer's interactions with titles, oldest first, or the ``newest`` of them."""
        events = self.data.interactions
        mine = events[events["USER_ID"].astype(str) == str(user_id)]
        mine = mine.sort_values("TIMESTAMP", kind="stable")
        mine = mine if newest is None else mine.tail(newest)
        return self.with_titles(mine).reset_index(drop=True)

    def viewers(self, count: int = 3, *, at_least: int = 20, at_most: int = 200) -> list[str]:
        """Return viewers with neither a thin nor an endless history, chosen by the seed."""
        sizes = self.data.interactions["USER_ID"].astype(str).value_counts()
        usual = sorted(sizes[(sizes >= at_least) & (sizes <= at_most)].index)
        return pd.Series(usual).sample(count, random_state=self.seed).tolist()


def _load(dataset: str) -> tuple[Any, str | None]:
    """Return a data set; where MovieLens cannot be had, the sample and a line that says so."""
    try:
        return datasets.load(dataset), None
    except datasets.DataUnavailable:
        return datasets.load("sample"), (
            f"{dataset} is not on this machine and cannot be downloaded now: this lab uses the "
            "embedded sample, real films with simulated viewers."
        )
