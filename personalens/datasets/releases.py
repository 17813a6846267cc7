"""Which data sets there are, where they are looked for, and how one is fetched.

The checksums are those that GroupLens publishes beside each archive (``<archive>.md5``), as several
public projects pin them. For ml-latest-small, a development set that GroupLens may replace, it is
the SHA-256 of the release of September 2018 that TensorFlow Datasets pins; should GroupLens replace
the archive, the download is refused rather than silently different.
"""

from __future__ import annotations

import os
import socket
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

DATA_VARIABLE = "PERSONALENS_DATA"
SAMPLE, SAMPLE_FILE = "sample", "interactions.csv.gz"
REACH_SECONDS = 4.0
_BASE_URL = "https://files.grouplens.org/datasets/movielens"

LICENCE = (
    "MovieLens data are provided by GroupLens Research, University of Minnesota, for research and "
    "education: no commercial use without permission, no implied endorsement, and publications "
    "that use them cite: F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: "
    "History and Context. ACM Transactions on Interactive Intelligent Systems 5, 4: 19:1-19:19. "
    "https://doi.org/10.1145/2827872. The full licence is the README inside the archive."
)


class DataUnavailable(Exception):
    """A data set is neither on this machine nor can be fetched; the message says how to get it."""


@dataclass(frozen=True)
class Release:
    """One MovieLens release.

    ``layout`` is ``csv`` (header, commas), ``100k`` (u.data, u.item, u.user) or ``dat`` (``::``);
    ``folder`` is the archive's top folder; ``checksum`` is the archive's, as pooch writes it.
    """

    name: str
    layout: str
    checksum: str
    ratings: int
    megabytes: float
    has_users: bool = False

    @property
    def folder(self) -> str:
        return "ml-10M100K" if self.name == "ml-10m" else self.name

    @property
    def url(self) -> str:
        return f"{_BASE_URL}/{self.name}.zip"

    @property
    def files(self) -> tuple[str, ...]:
        """The files that are read: ratings, films, and viewers where there are any."""
        names = {
            "csv": ("ratings.csv", "movies.csv"),
            "100k": ("u.data", "u.item", "u.user"),
            "dat": ("ratings.dat", "movies.dat", "users.dat"),
        }[self.layout]
        return names if self.has_users else names[:2]


# fmt: off
_SMALL = "sha256:696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436"
RELEASES = {
    release.name: release
    for release in (
        Release("ml-latest-small", "csv", _SMALL, 100_836, 1.0),
        Release("ml-100k", "100k", "md5:0e33842e24a9c977be4e0107933c0723", 100_000, 4.9, True),
        Release("ml-1m", "dat", "md5:c4d9eecfca2ab87c1945afe126590906", 1_000_209, 5.9, True),
        Release("ml-10m", "dat", "md5:ce571fd55effeba0271552578f2648bd", 10_000_054, 65.6),
        Release("ml-20m", "csv", "md5:cd245b17a1ae2cc31bb14903e1204af3", 20_000_263, 198.7),
        Release("ml-25m", "csv", "md5:6b51fb2759a8657d3bfcbfc42b592ada", 25_000_095, 261.9),
        Release("ml-32m", "csv", "md5:d472be332d4daa821edc399621853b57", 32_000_204, 239.0),
    )
}
# fmt: on
NAMES = (*RELEASES, SAMPLE)


def get_release(name: str) -> Release:
    """Return a MovieLens release by name; ValueError with the list if there is none."""
    if name not in RELEASES:
        raise ValueError(f"There is no data set {name!r}; choose one of {', '.join(NAMES)}.")
    return RELEASES[name]


def data_folders() -> list[Path]:
    """Return the folders that are searched, in order.

    ``PERSONALENS_DATA``; ``data/`` of the checkout at or above the current folder; ``data/`` of the
    checkout that the package runs from; the download cache.
    """
    folders = [Path(value).expanduser()] if (value := os.environ.get(DATA_VARIABLE)) else []
    here = Path.cwd()
    folders += [folder / "data" for folder in (here, *here.parents) if _is_checkout(folder)][:1]
    folders += [Path(__file__).resolve().parents[2] / "data", _cache_folder()]
    return list(dict.fromkeys(folders))


def find_data(name: str, folder: Path | str | None = None) -> Path | None:
    """Return the folder or zip that holds a data set on this machine, else None."""
    roots = [Path(folder)] if folder is not None else data_folders()
    if name == SAMPLE:
        places = [place for root in roots for place in (root, root / SAMPLE)]
        return next((place for place in places if (place / SAMPLE_FILE).is_file()), None)
    release = get_release(name)
    for root in roots:
        candidates = (root, *(root / part for part in (release.name, release.folder)))
        for candidate in (*candidates, root / f"{release.name}.zip"):
            if _holds(candidate, release):
                return candidate
    return None


def fetch(name: str, *, announce: Callable[[str], None] = print) -> Path:
    """Download a MovieLens archive from GroupLens, check it, and return its path.

    The archive goes to ``data/`` of the checkout, or to the user's cache outside one. ``announce``
    is told the licence and the citation before the download starts. DataUnavailable if GroupLens
    cannot be reached within a few seconds, the download breaks off, or the checksum is another.
    """
    import pooch

    release = get_release(name)
    target = next((f for f in data_folders()[:-1] if _is_checkout(f.parent)), _cache_folder())
    if reason := _why_unreachable(release.url):
        raise unavailable(release, reason)
    announce(LICENCE)
    pooch.get_logger().setLevel("WARNING")
    try:
        return Path(
            pooch.retrieve(
                release.url,
                release.checksum,
                fname=f"{release.name}.zip",
                path=target,
                downloader=pooch.HTTPDownloader(progressbar=True, timeout=(REACH_SECONDS, 20)),
            )
        )
    except Exception as error:  # requests', urllib3's, pooch's and the disk's own: one answer
        raise unavailable(release, f"{type(error).__name__}: {error}") from error


def _holds(path: Path, release: Release) -> bool:
    if path.is_file() and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return f"{release.folder}/{release.files[0]}" in archive.namelist()
    if not all((path / file).is_file() for file in release.files):
        return False
    own = {release.name, release.folder}
    others = {r.name for r in RELEASES.values()} | {r.folder for r in RELEASES.values()}
    if path.name in own or release.layout == "100k":
        return True
    if path.name in others:
        return False
    if release.layout == "dat":  # of the two, only ml-1m says who its viewers are
        return release.has_users == (path / "users.dat").is_file()
    readme = path / "README.txt"
    return readme.is_file() and f"({release.name})" in readme.read_text("utf-8", "replace")[:2000]


def _is_checkout(folder: Path) -> bool:
    return (folder / "data" / "README.md").is_file() and (folder / "pyproject.toml").is_file()


def _cache_folder() -> Path:
    import pooch

    return Path(pooch.os_cache("personalens"))


def _why_unreachable(url: str, seconds: float = REACH_SECONDS) -> str | None:
    """Return why the host (or the proxy before it) does not answer in time, or None if it does.

    A thread, because a name server that never answers holds ``getaddrinfo`` far beyond any timeout.
    """
    parts = urlsplit(url)
    proxy = None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
    parts = urlsplit(proxy if proxy is None or "//" in proxy else f"//{proxy}") if proxy else parts
    address = (parts.hostname or "", parts.port or (80 if proxy else 443))
    outcome: list[str | None] = []

    def connect() -> None:
        try:
            socket.create_connection(address, timeout=seconds).close()
            outcome.append(None)
        except OSError as error:
            outcome.append(f"{address[0]} cannot be reached: {error}")

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(seconds)
    return outcome[0] if outcome else f"{address[0]} did not answer within {seconds:g} seconds"


def unavailable(release: Release, reason: str) -> DataUnavailable:
    """Return the error that says where the release was looked for and how to get it."""
    searched = ", ".join(str(folder) for folder in data_folders())
    return DataUnavailable(
        f"MovieLens {release.name} is not on this machine and could not be downloaded ({reason}). "
        f"Fetch {release.url} ({release.megabytes:g} MB) with a browser and put the zip, or the "
        f"folder inside it, into one of: {searched}; or set {DATA_VARIABLE} to the folder that "
        'holds it. The embedded sample needs no download: load("sample").'
    )
