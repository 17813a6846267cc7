"""Where imports read from: files, folders, and S3 through a real S3-protocol server."""

from __future__ import annotations

import json
import os
import socket

import boto3
import pytest
from moto.server import ThreadedMotoServer

from personalens.storage.object_storage import (
    FOLDERS_VARIABLE,
    DataLocationError,
    ResumingStream,
    check_location,
    find_sources,
)


def contents(location: str) -> dict[str, bytes]:
    found = {}
    for source in find_sources(location, region="us-east-1"):
        with source.open() as stream:
            found[source.name] = stream.read()
        assert source.size == len(found[source.name])
    return found


def fault(location: object) -> str:
    with pytest.raises(DataLocationError) as caught:
        find_sources(str(location), region="us-east-1")
    return str(caught.value)


@pytest.fixture
def folder(tmp_path):
    target = tmp_path / "with space é"
    (target / "sub").mkdir(parents=True)
    (target / "b.csv").write_bytes(b"B")
    (target / "a.CSV").write_bytes(b"A")
    (target / "notes.txt").write_bytes(b"no")
    (target / "sub" / "c.csv").write_bytes(b"C")
    return target


def test_a_path_and_a_file_uri_name_one_file(folder):
    assert contents(f"{folder}/b.csv") == {"b.csv": b"B"}
    assert contents((folder / "b.csv").as_uri()) == {"b.csv": b"B"}
    assert contents((folder / "notes.txt").as_uri()) == {"notes.txt": b"no"}


def test_a_folder_gives_its_csv_files_by_name_and_not_its_subfolders(folder):
    assert contents(f"{folder}/") == {"a.CSV": b"A", "b.csv": b"B"}
    assert list(contents(f"{folder.as_uri()}/")) == ["a.CSV", "b.csv"]


def test_a_link_to_a_file_is_that_file(folder):
    (folder / "link.csv").symlink_to("b.csv")
    assert contents(f"{folder}/link.csv") == {"link.csv": b"B"}


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("none.csv", "No such file or directory"),
        ("none/", "No such file or directory"),
        ("sub", "it is a folder: write / at the end"),
        ("b.csv/", "it ends with / but is not a folder"),
        ("empty/", "the folder holds no CSV file"),
        ("pipe.csv", "pipe.csv is not a regular file"),
        ("loop.csv", "Too many levels of symbolic links"),
        ("looping/", "Too many levels of symbolic links"),
    ],
)
def test_what_cannot_be_read_is_named(folder, path, reason):
    (folder / "empty").mkdir()
    os.mkfifo(folder / "pipe.csv")
    (folder / "loop.csv").symlink_to("loop.csv")
    (folder / "looping").mkdir()
    (folder / "looping" / "a.csv").symlink_to("a.csv")
    message = fault(f"{folder}/{path}")
    assert message.startswith(f"The data location provided is invalid: {folder}/{path}: ")
    assert reason in message


def test_a_pipe_that_takes_a_files_place_holds_nobody(folder):
    (source,) = find_sources(f"{folder}/b.csv", region="us-east-1")
    (folder / "b.csv").unlink()
    os.mkfifo(folder / "b.csv")
    with pytest.raises(OSError, match="not a regular file"):
        source.open()


def test_a_file_without_permission_is_a_matter_of_privileges(folder, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)  # root may read everything
    assert fault(f"{folder}/b.csv").startswith("Insufficient privileges to access data at ")


@pytest.mark.parametrize("location", ["data/a.csv", "https://x/y.csv", "a.csv", "file:a.csv"])
def test_other_forms_are_refused_with_the_right_ones(location):
    assert "s3://BUCKET/KEY, file:///FOLDER/FILE or an absolute path" in fault(location)


def test_a_file_uri_with_a_host_is_refused():
    assert "names the host 'server'" in fault("file://server/a.csv")


@pytest.fixture
def confined(folder, monkeypatch):
    """Locations must lie below the folder; beside it lies a secret, and links lead to it."""
    secret = folder.parent / "secret"
    secret.mkdir()
    (secret / "key.csv").write_bytes(b"hunter2")
    (folder / "link.csv").symlink_to(secret / "key.csv")
    (folder / "down").symlink_to(secret)
    (folder.parent / f"{folder.name}-twin").symlink_to(secret)
    monkeypatch.setenv(FOLDERS_VARIABLE, json.dumps([str(folder)]))
    return folder


OUTSIDE = [
    "{parent}/secret/key.csv",
    "{parent}/secret/",
    "{parent}/",
    "/",
    "//etc/passwd",
    "/proc/self/environ",
    "{folder}-twin/key.csv",
    "{folder}/link.csv",
    "{folder}/down/key.csv",
    "{folder}/down/",
    "{folder}/",  # one of its files is the link
    "{folder}/../secret/key.csv",
    "{uri}/%2e%2e/secret/key.csv",
    "{uri}%2F..%2Fsecret/key.csv",
    "file://localhost{parent}/secret/key.csv",
]


@pytest.mark.parametrize("location", OUTSIDE)
@pytest.mark.parametrize("kept", [False, True])
def test_nothing_outside_of_the_allowed_folders_is_read(confined, location, kept, monkeypatch):
    """By the environment, or by what the resource has kept where a worker's has no rule."""
    names = {"folder": confined, "parent": confined.parent, "uri": confined.as_uri()}
    if kept:
        monkeypatch.delenv(FOLDERS_VARIABLE)
    with pytest.raises(DataLocationError) as caught:
        find_sources(
            location.format(**names), region="us-east-1", folders=[str(confined)] if kept else None
        )
    message = str(caught.value)
    assert "--allow-folder FOLDER" in message or "climbs with" in message
    assert "hunter2" not in message


def test_what_lies_in_an_allowed_folder_is_read_by_every_spelling(confined, monkeypatch):
    (confined / "link.csv").unlink()
    for location in (f"{confined}/b.csv", f"{confined.as_uri()}/b.csv", f"/{confined}/b.csv"):
        assert contents(location) == {"b.csv": b"B"}
    assert list(contents(f"{confined}/")) == ["a.CSV", "b.csv"]
    other = confined.parent / "secret"
    monkeypatch.setenv(FOLDERS_VARIABLE, json.dumps([str(confined), str(other)]))
    assert contents(f"{other}/key.csv") == contents(f"{confined}/down/key.csv")


def test_without_a_folder_only_s3_is_left(folder, monkeypatch):
    monkeypatch.setenv(FOLDERS_VARIABLE, "[]")
    assert "at s3:// only" in fault(f"{folder}/b.csv")
    check_location("s3://films/a.csv")


@pytest.fixture(scope="module")
def s3_server():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def s3(s3_server, monkeypatch, tmp_path):
    """A client of an S3 server, and the environment that leads there."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_server)
    client = boto3.client("s3", region_name="us-east-1")
    client.create_bucket(Bucket="films")
    yield client
    for found in client.list_objects_v2(Bucket="films").get("Contents", ()):
        client.delete_object(Bucket="films", Key=found["Key"])
    client.delete_bucket(Bucket="films")
    client.close()


def test_objects_and_folders_of_s3(s3):
    for key in ("data/b.csv", "data/a.csv", "data/", "data/notes.txt", "data/sub/c.csv"):
        s3.put_object(Bucket="films", Key=key, Body=key.encode())
    assert contents("s3://films/data/b.csv") == {"b.csv": b"data/b.csv"}
    assert contents("s3://films/data/") == {"a.csv": b"data/a.csv", "b.csv": b"data/b.csv"}


def test_an_object_is_streamed_and_not_loaded(s3):
    body = os.urandom(3 << 20)
    s3.put_object(Bucket="films", Key="big.csv", Body=body)
    (source,) = find_sources("s3://films/big.csv", region="us-east-1")
    with source.open() as stream:
        assert stream.read(10) == body[:10]
        assert stream.raw.tell() <= 1 << 20
        assert stream.tell() == 10
        assert stream.read() == body[10:]
        assert stream.tell() == len(body)


def test_an_object_that_is_replaced_while_it_is_read_is_an_error(s3):
    s3.put_object(Bucket="films", Key="a.csv", Body=b"old")
    (source,) = find_sources("s3://films/a.csv", region="us-east-1")
    s3.put_object(Bucket="films", Key="a.csv", Body=b"new")
    replaced = r"invalid: s3://films/a.csv: it was replaced while it was read"
    with source.open() as stream, pytest.raises(DataLocationError, match=replaced):
        stream.read()


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        ("AccessDenied", "Insufficient privileges to access data in S3: s3://films/a.csv: "),
        ("NoSuchKey", "s3://films/a.csv: there is no object a.csv in the bucket films"),
        (ConnectionError("reset"), r"s3://films/a.csv: the download broke off \(reset\)"),
    ],
)
def test_a_refusal_in_mid_download_is_the_locations(s3, monkeypatch, refusal, reason):
    from botocore.exceptions import ClientError

    from personalens.storage import object_storage

    s3.put_object(Bucket="films", Key="a.csv", Body=b"rows")
    client = object_storage.open_client("us-east-1")
    monkeypatch.setattr(object_storage, "open_client", lambda region: client)
    (source,) = find_sources("s3://films/a.csv", region="us-east-1")

    def refuse(**request):
        if isinstance(refusal, Exception):
            raise refusal
        status = {"HTTPStatusCode": 404 if refusal == "NoSuchKey" else 403}
        said = {"Error": {"Code": refusal}, "ResponseMetadata": status}
        raise ClientError(said, "GetObject")

    monkeypatch.setattr(client, "get_object", refuse)
    with source.open() as stream, pytest.raises(DataLocationError, match=reason):
        stream.read()


def test_what_is_not_in_s3_is_named(s3):
    s3.put_object(Bucket="films", Key="data/a.csv", Body=b"x")
    assert "there is no object none.csv in the bucket films" in fault("s3://films/none.csv")
    assert "it is a folder: write / at the end" in fault("s3://films/data")
    assert "no bucket nowhere" in fault("s3://nowhere/a.csv")
    assert "there is no bucket nowhere" in fault("s3://nowhere/data/")
    assert "the folder holds no CSV file" in fault("s3://films/none/")
    assert "a bucket and a key are needed" in fault("s3://films")


@pytest.mark.parametrize("code", ["AccessDenied", "403"])
def test_access_denied_is_a_matter_of_privileges(s3, monkeypatch, code):
    from botocore.exceptions import ClientError

    from personalens.storage import object_storage

    def refuse(*arguments):
        raise ClientError({"Error": {"Code": code}}, "HeadObject")

    monkeypatch.setattr(object_storage, "object_source", refuse)
    message = fault("s3://films/a.csv")
    assert message.startswith("Insufficient privileges to access data in S3: s3://films/a.csv: ")


def test_without_credentials_it_is_a_matter_of_privileges_too(s3, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "no AWS credentials are configured" in fault("s3://films/a.csv")


def test_an_s3_that_cannot_be_reached_is_named(s3, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{unused.getsockname()[1]}")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        assert "S3 cannot be reached" in fault("s3://films/a.csv")


class Body:
    """A download that breaks off after some bytes."""

    def __init__(self, data: bytes, breaks_after: int, error: Exception | None):
        self.data, self.left, self.error = data, breaks_after, error

    def read(self, size: int) -> bytes:
        if not self.left:
            if self.error:
                raise self.error
            return b""
        size = min(size, self.left)
        part, self.data = self.data[:size], self.data[size:]
        self.left -= size
        return part

    def close(self) -> None:
        self.data = b""


@pytest.mark.parametrize("error", [None, ConnectionError("gone")])
def test_a_download_goes_on_where_it_broke_off(error):
    data, starts = os.urandom(100), []

    def read_from(position: int) -> Body:
        starts.append(position)
        return Body(data[position:], 30, error)

    with ResumingStream(read_from, 100) as stream:
        assert stream.read() == data
    assert starts == [0, 30, 60, 90]


def test_a_download_that_never_comes_is_given_up():
    starts = []

    def read_from(position: int) -> Body:
        starts.append(position)
        return Body(b"", 0, ConnectionError("gone"))

    with ResumingStream(read_from, 100) as stream, pytest.raises(ConnectionError, match="gone"):
        stream.read()
    assert starts == [0, 0, 0, 0]
