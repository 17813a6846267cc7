"""Where jobs read from: ``s3://`` as in AWS, and ``file://`` or an absolute path beside it.

Amazon Personalize: ``dataSource.dataLocation`` of CreateDatasetImportJob, a CSV file, or a folder
that ends in ``/`` and holds CSV files with the same header (files in its subfolders are not read);
``jobInput`` of the batch jobs; ``dataSource`` of CreateDataDeletionJob. Where jobs write to is in
``output_folders``.

A server that lets other machines in has files that they must not read or write through a job. There
a location is ``s3://`` or below a folder that ``personalens serve --allow-folder`` names. The rule
is in the environment, which workers inherit, and in what each resource keeps, for a worker that was
started by somebody else; both hold, when a job is asked for and when it is done.
"""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from personalens.datasets.csv_blocks import CsvSource

logger = logging.getLogger(__name__)

FORMS = "s3://BUCKET/KEY, file:///FOLDER/FILE or an absolute path; a folder ends with /"
FOLDERS_VARIABLE = "PERSONALENS_ALLOWED_FOLDERS"
"""A JSON list of the folders that locations must lie below; without the variable, anywhere."""
KEPT_FOLDERS = "_allowedFolders"
"""Member of a resource with locations: that list as it was when they were given."""
READ_ATTEMPTS = 4
BUFFER_BYTES = 1 << 20
_FOLDER_HINT = "it is a folder: write / at the end to import the CSV files in it"


class DataLocationError(Exception):
    """The location cannot be read; the message is the job's ``failureReason``."""


def find_sources(
    location: str,
    *,
    region: str,
    suffix: str = ".csv",
    recursive: bool = False,
    folders: Sequence[str] | None = None,
) -> list[CsvSource]:
    """Return the files at a location, by name: one file, or those of a folder, whose location ends
    in ``/``, with names that end in ``suffix``, in whatever case. ``folders``: see
    :func:`check_reach`."""
    if location.startswith("s3://"):
        sources = _find_in_s3(location, region, suffix, recursive)
    elif is_local(location):
        sources = _find_in_files(location, suffix, recursive, folders)
    else:
        raise _invalid(location, f"it is none of these forms: {FORMS}")
    if not sources and suffix == ".csv":
        raise _invalid(location, "the folder holds no CSV file (a name that ends in .csv)")
    if not sources:
        raise _invalid(location, "the folder holds no file")
    return sources


def check_location(location: str) -> None:
    """Refuse a location of a form that no job could read or write, before there is a job."""
    if location.startswith("s3://"):
        split_key(location)
    elif is_local(location):
        local_path(location)
        check_reach(location)
    else:
        raise _invalid(location, f"it is none of these forms: {FORMS}")


def check_reach(location: str, folders: Sequence[str] | None = None) -> None:
    """Refuse a location of this machine outside of the folders that are allowed: those given, and
    those of the environment. Links are followed.
    """
    for allowed in (folders, allowed_folders()):
        if allowed is not None and is_local(location):
            _check_path(location, local_path(location), allowed)


def _check_path(location: str, path: Path, folders: Sequence[str]) -> None:
    try:
        real = path.resolve()
    except (OSError, RuntimeError):  # links that go in a circle
        raise _invalid(location, "it cannot be followed") from None
    if not any(real.is_relative_to(Path(folder).resolve()) for folder in folders):
        where = f" or below {', '.join(folders)}" if folders else ""
        raise _invalid(
            location,
            f"this server reads and writes at s3://{where} only. Another folder of the server is "
            "let in by `personalens serve --allow-folder FOLDER`",
        )


def allowed_folders() -> list[str] | None:
    """Return the folders below which locations of this machine may lie; None: anywhere."""
    text = os.environ.get(FOLDERS_VARIABLE)
    return None if text is None else json.loads(text)


def kept_folders() -> Mapping[str, Any]:
    """Return what a resource with locations keeps of the rule under which they were given."""
    folders = allowed_folders()
    return {} if folders is None else {KEPT_FOLDERS: folders}


def is_local(location: str) -> bool:
    """Whether a location is a file or folder of this machine."""
    return location.startswith("file://") or os.path.isabs(location)


def local_path(location: str) -> Path:
    """Return the path of a ``file://`` location or an absolute path."""
    path = Path(location)
    if location.startswith("file://"):
        parts = urlsplit(location)
        if parts.netloc not in ("", "localhost"):
            raise _invalid(
                location, f"file:// names the host {parts.netloc!r}; write file:///FOLDER"
            )
        path = Path(unquote(parts.path))
    path = Path("/", *path.parts[1:]) if path.is_absolute() else path  # POSIX keeps a leading //
    if ".." in path.parts:
        raise _invalid(location, "it climbs with '..'; write the path that is meant")
    if "\0" in str(path):
        raise _invalid(location, "no path has a null character")
    return path


def split_key(location: str, *, is_folder: bool = False) -> tuple[str, str]:
    """Return bucket and key of an ``s3://`` location; only a folder's key may be empty."""
    bucket, _, key = location.removeprefix("s3://").partition("/")
    if not bucket or not (key or is_folder):
        raise _invalid(location, f"a bucket and a key are needed: {FORMS}")
    return bucket, key


def _find_in_files(
    location: str, suffix: str, recursive: bool, folders: Sequence[str] | None
) -> list[CsvSource]:
    path = local_path(location)
    check_reach(location, folders)
    is_folder = str(location).endswith("/")
    try:
        mode = path.stat().st_mode  # follows links; a loop of links is an OSError
        if is_folder and not stat.S_ISDIR(mode):
            raise _invalid(location, "it ends with / but is not a folder")
        if not is_folder and stat.S_ISDIR(mode):
            raise _invalid(location, _FOLDER_HINT)
        if not is_folder:
            return [_file_source(location, path)]
        entries = sorted(path.rglob("*") if recursive else path.iterdir())
        files = [file for file in entries if file.name.lower().endswith(suffix)]
        for file in files:
            check_reach(str(file), folders)  # a link in an allowed folder may lead out of it
        return [_file_source(location, file) for file in files if not file.is_dir()]
    except OSError as error:
        raise unreadable(location, error) from error


def _file_source(location: str, path: Path) -> CsvSource:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise _invalid(location, f"{path.name} is not a regular file")
    with open(path, "rb"):  # say at once what may not be read
        pass
    return _named(path.name, lambda: _open_regular(path), status.st_size)


def _open_regular(path: Path) -> BinaryIO:
    # Without waiting: a pipe that took the file's place would hold the job for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
    file = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return file


def _named(name: str, open_stream: Callable[[], BinaryIO], size: int) -> CsvSource:
    from personalens.datasets.csv_blocks import CsvSource  # numpy loads with it: only jobs need it

    return CsvSource(name, open_stream, size)


def _find_in_s3(location: str, region: str, suffix: str, recursive: bool) -> list[CsvSource]:
    bucket, key = split_key(location)
    with s3_client(location, region) as client:
        if key.endswith("/"):
            return _folder_sources(client, bucket, key, suffix, recursive)
        return [object_source(client, bucket, key)]


def object_source(client: Any, bucket: str, key: str) -> CsvSource:
    """Return one object as a CSV source; botocore's ClientError if it cannot be read."""
    head = client.head_object(Bucket=bucket, Key=key)
    return _source(client, bucket, key, head["ContentLength"], head["ETag"])


def _folder_sources(
    client: Any, bucket: str, prefix: str, suffix: str, recursive: bool
) -> list[CsvSource]:
    deep = {} if recursive else {"Delimiter": "/"}
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, **deep)
    return [
        _source(client, bucket, found["Key"], found["Size"], found["ETag"])
        for page in pages
        for found in page.get("Contents", ())
        if found["Key"].lower().endswith(suffix) and not found["Key"].endswith("/")
    ]


def _source(client: Any, bucket: str, key: str, size: int, etag: str) -> CsvSource:
    def read_from(position: int) -> Any:
        # If-Match: a file that is replaced while it is read must not be half old, half new.
        arguments = {"Range": f"bytes={position}-"} if position else {}
        return client.get_object(Bucket=bucket, Key=key, IfMatch=etag, **arguments)["Body"]

    def open_stream() -> BinaryIO:
        errors = partial(_download_errors, f"s3://{bucket}/{key}", client)
        return io.BufferedReader(ResumingStream(read_from, size, errors), BUFFER_BYTES)

    return _named(key.rpartition("/")[2], open_stream, size)


class ResumingStream(io.RawIOBase):
    """A download that goes on where it broke off; an end before ``size`` is a break, too.

    ``errors`` is a context in which the error that ends it becomes another one.
    """

    def __init__(
        self,
        read_from: Callable[[int], Any],
        size: int,
        errors: Callable[[], AbstractContextManager[None]] = nullcontext,
    ):
        super().__init__()
        self._read_from = read_from
        self._size = size
        self._errors = errors
        self._position = 0
        self._body: Any = None

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        if self._position >= self._size:
            return 0
        with self._errors():
            data = self._read(len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _read(self, length: int) -> bytes:
        for attempt in range(1, READ_ATTEMPTS + 1):
            try:
                if self._body is None:
                    self._body = self._read_from(self._position)
                if data := self._body.read(length):
                    return data
                raise OSError(f"the download ended after {self._position} of {self._size} bytes")
            except Exception as error:
                self._drop_body()
                if attempt == READ_ATTEMPTS or _is_final(error):
                    raise
                logger.warning("download broke off at byte %s: %s", self._position, error)
        raise AssertionError("the last attempt has raised")

    def close(self) -> None:
        self._drop_body()
        super().close()

    def _drop_body(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            with suppress(Exception):  # it is given up anyway
                body.close()


def _is_final(error: Exception) -> bool:
    """Whether S3 itself has refused: the object changed, vanished or is forbidden."""
    response = getattr(error, "response", None) or {}
    return response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) in range(400, 500)


def open_client(region: str) -> Any:
    """Return an S3 client: the region is the environment's, else ``region``."""
    import boto3  # here: the worker needs it for S3 only, and it costs a third of a second
    from botocore.config import Config

    session = boto3.Session()
    return session.client(
        "s3",
        region_name=session.region_name or region,
        config=Config(connect_timeout=10, read_timeout=60, retries={"max_attempts": 3}),
    )


@contextmanager
def s3_client(location: str, region: str) -> Iterator[Any]:
    """An S3 client for the work inside, whose errors become a DataLocationError that names the
    location."""
    with _s3_errors(location):
        client = open_client(region)
    with _s3_errors(location, client):
        yield client


@contextmanager
def _download_errors(location: str, client: Any) -> Iterator[None]:
    try:
        with _s3_errors(location, client):
            yield
    except OSError as error:
        raise _invalid(location, f"the download broke off ({error})") from error


@contextmanager
def _s3_errors(location: str, client: Any = None) -> Iterator[None]:
    from boto3.exceptions import S3UploadFailedError
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    bucket, key = split_key(location, is_folder=True)
    try:
        yield
    except NoCredentialsError as error:
        raise _forbidden(location, "no AWS credentials are configured (run `aws configure`)") from (
            error
        )
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in ("403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"):
            raise _forbidden(location, f"S3 answered {code}") from error
        raise _invalid(location, _s3_fault(client, bucket, key, code)) from error
    except S3UploadFailedError as error:
        raise _invalid(location, f"S3 did not take it ({error})") from error
    except BotoCoreError as error:
        raise _invalid(location, f"S3 cannot be reached ({error})") from error


def _s3_fault(client: Any, bucket: str, key: str, code: str) -> str:
    if code == "NoSuchBucket":
        return f"there is no bucket {bucket}"
    if code in ("412", "PreconditionFailed"):
        return "it was replaced while it was read; try again"
    if code not in ("404", "NoSuchKey"):
        return f"S3 answered {code}"
    try:
        below = client.list_objects_v2(Bucket=bucket, Prefix=f"{key}/", MaxKeys=1)
    except Exception:  # the bucket itself may be what is missing
        return f"there is no bucket {bucket}, or no object {key} in it"
    is_folder = below.get("KeyCount", 0) > 0
    return _FOLDER_HINT if is_folder else f"there is no object {key} in the bucket {bucket}"


def unreadable(location: str, error: OSError) -> DataLocationError:
    """Return what to say of a local file or folder that cannot be read or written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DataLocationError(
            f"There is no room left to write {location} ({error.strerror}). Free some space, or "
            "give a folder on another disk."
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return DataLocationError(
            f"Insufficient privileges to access data at {location}: {error.strerror}. Make the file"
            " and the folders above it readable."
        )
    return _invalid(location, error.strerror or str(error))


def _invalid(location: str, why: str) -> DataLocationError:
    return DataLocationError(f"The data location provided is invalid: {location}: {why}.")


def _forbidden(location: str, why: str) -> DataLocationError:
    return DataLocationError(
        f"Insufficient privileges to access data in S3: {location}: {why}. Check that the"
        " credentials may list the bucket, read its objects and write where a job writes."
    )
