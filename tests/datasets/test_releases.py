"""Finding, fetching and refusing data sets, without the network."""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from personalens.datasets import DataUnavailable, find_data, load, releases
from personalens.datasets.releases import RELEASES, fetch


@pytest.mark.parametrize("name", ["ml-100k", "ml-1m", "ml-10m", "ml-latest-small"])
def test_a_release_is_found_by_its_folder_or_by_the_folder_above(name, make_release, monkeypatch):
    folder = make_release(name)
    for value in (folder, folder.parent):
        monkeypatch.setenv("PERSONALENS_DATA", str(value))
        assert find_data(name) == folder


def test_one_release_is_not_taken_for_another(make_release, tmp_path):
    make_release("ml-latest-small", folder="films")
    make_release("ml-10m", folder="dats")
    assert find_data("ml-latest-small", tmp_path / "films") == tmp_path / "films"
    assert find_data("ml-25m", tmp_path / "films") is None
    assert find_data("ml-10m", tmp_path / "dats") == tmp_path / "dats"
    assert find_data("ml-1m", tmp_path / "dats") is None
    make_release("ml-latest-small", folder="ml-20m")  # a release's own name decides
    assert find_data("ml-latest-small", tmp_path / "ml-20m") is None


def test_a_broken_zip_is_not_found(tmp_path):
    (tmp_path / "ml-1m.zip").write_bytes(b"PK\x03\x04 cut off")
    assert find_data("ml-1m", tmp_path) is None


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"'ml-2m'; choose one of ml-latest-small, .*, sample"):
        load("ml-2m")


def test_every_release_has_a_checksum():
    lengths = {"md5": 32, "sha256": 64}
    for release in RELEASES.values():
        kind, digest = release.checksum.split(":")
        assert len(digest) == lengths[kind]
        assert set(digest) <= set("0123456789abcdef")


def test_the_readme_lists_every_release_with_its_checksum():
    readme = (Path(__file__).resolve().parents[2] / "data" / "README.md").read_text("utf-8")
    for release in RELEASES.values():
        kind, digest = release.checksum.split(":")
        row = (
            f"| {release.name} | {release.ratings:,} | {release.megabytes} MB | {kind} `{digest}` |"
        )
        assert row in readme


def test_offline_the_error_says_how_to_get_the_file(no_data, monkeypatch):
    monkeypatch.setattr(releases, "_why_unreachable", lambda url: "no route")
    with pytest.raises(DataUnavailable) as caught:
        load("ml-1m")
    message = str(caught.value)
    assert "no route" in message
    assert "ml-1m.zip" in message
    assert str(no_data) in message
    assert "PERSONALENS_DATA" in message


def test_without_permission_nothing_is_downloaded(no_data, monkeypatch):
    monkeypatch.setattr(releases, "_why_unreachable", lambda url: pytest.fail("asked the network"))
    with pytest.raises(DataUnavailable, match="downloading is switched off"):
        load("ml-100k", download=False)


def test_a_host_that_never_answers_is_given_up_in_time(monkeypatch):
    released = threading.Event()

    def never_answers(*args, **options):
        released.wait(30)
        raise OSError("too late")

    monkeypatch.setattr(releases.socket, "create_connection", never_answers)
    started = time.monotonic()
    reason = releases._why_unreachable("https://example.invalid/x.zip", seconds=0.1)
    released.set()
    assert reason == "example.invalid did not answer within 0.1 seconds"
    assert time.monotonic() - started < 20


def test_a_refused_connection_is_named():
    reason = releases._why_unreachable("http://127.0.0.1:1/x.zip")
    assert "127.0.0.1 cannot be reached" in reason


@pytest.fixture
def archive_server(make_release, tmp_path, monkeypatch):
    """Serve a small ml-100k.zip over HTTP and pin its checksum; return the download folder."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = make_release("ml-100k", root=tmp_path / "made")
    site = tmp_path / "site"
    site.mkdir()
    with zipfile.ZipFile(site / "ml-100k.zip", "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"ml-100k/{file.name}")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(releases, "_BASE_URL", f"http://127.0.0.1:{server.server_port}")
    digest = hashlib.md5((site / "ml-100k.zip").read_bytes()).hexdigest()
    monkeypatch.setitem(RELEASES, "ml-100k", replace(RELEASES["ml-100k"], checksum=f"md5:{digest}"))
    cache = tmp_path / "cache"
    monkeypatch.setattr(releases, "_cache_folder", lambda: cache)
    monkeypatch.setattr(releases, "data_folders", lambda: [cache])
    yield cache
    server.shutdown()
    server.server_close()


def test_a_download_shows_the_licence_once_and_is_found_again(archive_server):
    told = []
    path = fetch("ml-100k", announce=told.append)
    assert path == archive_server / "ml-100k.zip"
    assert len(told) == 1
    assert "GroupLens" in told[0]
    assert "10.1145/2827872" in told[0]
    assert find_data("ml-100k") == path
    assert len(load("ml-100k", download=False).interactions) == 2


def test_an_archive_with_another_checksum_is_refused(archive_server, monkeypatch):
    wrong = replace(RELEASES["ml-100k"], checksum="md5:" + "0" * 32)
    monkeypatch.setitem(RELEASES, "ml-100k", wrong)
    with pytest.raises(DataUnavailable, match="hash"):
        fetch("ml-100k", announce=lambda text: None)
    assert find_data("ml-100k") is None
