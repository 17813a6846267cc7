"""Files in S3, streamed: nothing is loaded whole, and a broken connection is taken up again.

The client is boto3's own, so credentials, profiles, proxies and ``AWS_ENDPOINT_URL_S3`` (a local S3
server) work as in every other program.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO

from personalens.datasets.csv_import import CsvSource

logger = logging.getLogger(__name__)

READ_ATTEMPTS = 4
BUFFER_BYTES = 1 << 20


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


def object_source(client: Any, bucket: str, key: str) -> CsvSource:
    """Return one object as a CSV source; botocore's ClientError if it cannot be read."""
    head = client.head_object(Bucket=bucket, Key=key)
    return _source(client, bucket, key, head["ContentLength"], head["ETag"])


def folder_sources(
    client: Any, bucket: str, prefix: str, *, suffix: str = ".csv", recursive: bool = False
) -> list[CsvSource]:
    """Return the objects below a prefix whose names end so, by name; directly below it, unless
    ``recursive``."""
    deep = {} if recursive else {"Delimiter": "/"}
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, **deep)
    return [
        _source(client, bucket, found["Key"], found["Size"], found["ETag"])
        for page in pages
        for found in page.get("Contents", ())
        if found["Key"].lower().endswith(suffix) and not found["Key"].endswith("/")
    ]


def has_objects_below(client: Any, bucket: str, prefix: str) -> bool:
    """Whether any object's key starts with this."""
    return client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1).get("KeyCount", 0) > 0


def upload(client: Any, stream: BinaryIO, bucket: str, key: str) -> None:
    """Write an object, in parts where it is long; it is there whole or not at all."""
    client.upload_fileobj(stream, bucket, key)


def _source(client: Any, bucket: str, key: str, size: int, etag: str) -> CsvSource:
    def read_from(position: int) -> Any:
        # If-Match: a file that is replaced while it is read must not be half old, half new.
        arguments = {"Range": f"bytes={position}-"} if position else {}
        return client.get_object(Bucket=bucket, Key=key, IfMatch=etag, **arguments)["Body"]

    def open_stream() -> BinaryIO:
        return io.BufferedReader(ResumingStream(read_from, size), BUFFER_BYTES)

    return CsvSource(key.rpartition("/")[2], open_stream, size)


class ResumingStream(io.RawIOBase):
    """A download that goes on where it broke off.

    Parameters
    ----------
    read_from
        Opens the body from a position on.
    size
        How long it is; an end before that is a break, too.
    """

    def __init__(self, read_from: Callable[[int], Any], size: int):
        super().__init__()
        self._read_from = read_from
        self._size = size
        self._position = 0
        self._body: Any = None

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        if self._position >= self._size:
            return 0
        for attempt in range(1, READ_ATTEMPTS + 1):
            try:
                if self._body is None:
                    self._body = self._read_from(self._position)
                data = self._body.read(len(buffer))
                if data:
                    break
                raise OSError(f"the download ended after {self._position} of {self._size} bytes")
            except Exception as error:
                self._drop_body()
                if attempt == READ_ATTEMPTS or _is_final(error):
                    raise
                logger.warning("download broke off at byte %s: %s", self._position, error)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

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
