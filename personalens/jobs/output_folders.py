"""Where jobs write to: a folder of ``s3://``, ``file://`` or an absolute path.

Amazon Personalize: ``s3DataDestination`` of the batch jobs, of exports and of metric attributions.
In S3 an object is replaced, as by the service. A file of this machine that the job has not made is
never written over.
"""

from __future__ import annotations

import glob
import os
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

from personalens import durable_files
from personalens.home import Home
from personalens.storage.job_queue import Job
from personalens.storage.object_storage import (
    FORMS,
    DataLocationError,
    check_location,
    check_reach,
    is_local,
    local_path,
    s3_client,
    split_key,
    unreadable,
)
from personalens.storage.service_context import ServiceContext

_MADE = "_outputFiles"
"""Member of a job: the names of the files that are its own."""


class OutputFolder:
    """A folder that a job writes files into; one of this machine is made if need be.

    No file is written below ``home``, except in the labs' folder: all else there is PersonaLens's.
    ``folders``: see :func:`~personalens.storage.object_storage.check_reach`.
    """

    def __init__(
        self, location: str, *, region: str, home: Home, folders: Sequence[str] | None = None
    ):
        self._location = location if location.endswith("/") else f"{location}/"
        self._region, self._folders = region, folders
        self._made: set[str] = set()
        check_output(location, home)
        check_reach(location, folders)

    def claim(self, names: Sequence[str], made: Collection[str] = ()) -> None:
        """Make sure that no file of these names is there but those that are ``made``, which may be
        written again."""
        self._made.update(made)
        for name in names:
            self._check_free(name)

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """A file to write: whole under its name once the block has ended without an error."""
        if is_local(self._location):
            with self._writing_file(name) as file:
                yield file
            return
        bucket, prefix = split_key(self._location, is_folder=True)
        with tempfile.TemporaryFile() as file:
            yield file
            file.seek(0)
            with s3_client(self._location, self._region) as client:
                client.upload_fileobj(file, bucket, prefix + name)

    @contextmanager
    def _writing_file(self, name: str) -> Iterator[BinaryIO]:
        check_reach(self._location, self._folders)
        path = local_path(self._location) / name
        try:
            for left in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
                left.unlink(missing_ok=True)  # of an attempt that died
            with durable_files.replacing(path) as partial:
                with partial.open("xb") as file:
                    yield file
                self._check_free(name)
            self._made.add(name)
        except OSError as error:
            raise unreadable(self._location, error) from error

    def _check_free(self, name: str) -> None:
        if not is_local(self._location) or name in self._made:
            return
        path = local_path(self._location) / name
        is_empty = path.is_file() and not path.is_symlink() and path.stat().st_size == 0
        if os.path.lexists(path) and not is_empty:  # with an empty one, as _CHECK is, nothing goes
            raise DataLocationError(
                f"There is a file {name} at {self._location} that this job has not made, and it is "
                "not written over. Give another folder, or remove the file."
            )


def claim_outputs(
    context: ServiceContext, job: Job | None, output: OutputFolder, names: Sequence[str]
) -> None:
    """Take the names of the files that a job will write. They are noted before the first is
    written: a job that is done again after a crash replaces its own files, and only those. Without
    a job nothing is noted.
    """
    if job is None:
        output.claim(names)
        return
    made = context.store.require(job.arn).body.get(_MADE, ())
    output.claim(names, made)
    with context.jobs.holding(job) as tx:
        tx.update(job.arn, **{_MADE: sorted({*made, *names})})


def check_output(location: str, home: Home) -> None:
    """Refuse a folder that no job may write to; see :class:`OutputFolder`."""
    if location.startswith("s3://"):
        split_key(location, is_folder=True)
        return
    check_location(location)
    path = local_path(location).resolve()
    is_inside = path.is_relative_to(home.path.resolve())
    if is_inside and not path.is_relative_to(home.labs.resolve()):
        raise DataLocationError(
            f"The data location provided is invalid: {location}: it is inside the home of "
            f"PersonaLens. Give a folder elsewhere: {FORMS}."
        )
