"""Getting files to where the service reads them: one call, the same in a lab and on AWS."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import boto3

BUCKET_VARIABLE = "PERSONALENS_BUCKET"
KEY_PREFIX = "personalens"
_ENDPOINT_VARIABLE = "AWS_ENDPOINT_URL_PERSONALIZE"
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


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
    bucket = bucket or os.environ.get(BUCKET_VARIABLE)
    if bucket:
        return _upload(source, bucket)
    if not is_local():
        raise RuntimeError(
            f"the calls of this notebook go to AWS, which reads from Amazon S3 only: set "
            f"{BUCKET_VARIABLE} to a bucket of yours, or call personalens.activate() to stay local"
        )
    return source.as_uri() + ("/" if source.is_dir() else "")


def is_local() -> bool:
    """Return whether the next Personalize call is answered on this machine."""
    from personalens import activation

    if activation.is_active():
        return True
    host = urlsplit(os.environ.get(_ENDPOINT_VARIABLE, "")).hostname
    return host in _LOOPBACK


def _upload(source: Path, bucket: str) -> str:
    """Upload ``source`` below ``personalens/`` and return its s3:// location."""
    s3 = boto3.client("s3")
    if source.is_file():
        key = f"{KEY_PREFIX}/{source.name}"
        s3.upload_file(str(source), bucket, key)
        return f"s3://{bucket}/{key}"
    prefix = f"{KEY_PREFIX}/{source.name}/"
    for file in sorted(source.glob("*.csv")):
        s3.upload_file(str(file), bucket, prefix + file.name)
    return f"s3://{bucket}/{prefix}"
