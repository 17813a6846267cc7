"""Where jobs write to: a folder of ``s3://``, ``file://`` or an absolute path.

Amazon Personalize: ``s3DataDestination`` of the batch jobs, of exports and of metric attributions.
"""

from __future__ import annotations

import glob
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from personalens import durable_files
from personalens.control import s3_objects
from personalens.control.object_storage import (
    FORMS,
    DataLocationError,
    check_location,
    is_local,
    local_path,
    s3_client,
    split_key,
    unreadable,
)
from personalens.home import Home


class OutputFolder:
    """A folder that a job writes files into.

    Parameters
    ----------
    location
        The folder; a missing ``/`` at its end is added. One of this machine is made if need be.
    region
        The S3 region where the environment names none.
    home
        No file is written below it, but in the labs' folder: what lies there is PersonaLens's own.

    Raises
    ------
    DataLocationError
        If the location is of none of the forms, or inside the home.
    """

    def __init__(self, location: str, *, region: str, home: Home):
        self._location = location if location.endswith("/") else f"{location}/"
        self._region = region
        check_output(location, home)

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """A file to write; under its name it appears whole, when the block ends without an error.

        Raises
        ------
        DataLocationError
            If it cannot be written.
        """
        if is_local(self._location):
            with self._writing_file(local_path(self._location) / name) as file:
                yield file
            return
        bucket, prefix = split_key(self._location, is_folder=True)
        with tempfile.TemporaryFile() as file:
            yield file
            file.seek(0)
            with s3_client(self._location, self._region) as client:
                s3_objects.upload(client, file, bucket, prefix + name)

    @contextmanager
    def _writing_file(self, path: Path) -> Iterator[BinaryIO]:
        try:
            for left in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
                left.unlink(missing_ok=True)  # of an attempt that died
            with durable_files.replacing(path) as partial, partial.open("xb") as file:
                yield file
        except OSError as error:
            raise unreadable(self._location, error) from error


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
