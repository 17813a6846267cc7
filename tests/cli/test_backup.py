"""``personalens backup`` and ``restore``: all of a home, while everybody goes on writing."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import os
import tarfile
import threading
import time
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

from personalens.cli import backup
from personalens.cli.commands import app
from personalens.cli.home_examination import examine_home
from personalens.home import Home
from personalens.jobs.job_runner import run_jobs
from personalens.storage.event_log import Event
from personalens.storage.model_folders import load_model, replace_memory, version_folder
from tests.conftest import Service
from tests.homes.description import describe

RECIPE = "arn:aws:personalize:::recipe/aws-popularity-count"


@pytest.fixture
def run():
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def problems(home):
    return [str(finding) for finding in examine_home(home) if not finding.is_ok]


def test_a_restored_home_holds_the_same(account, tmp_path, run):
    target, new = tmp_path / "copy.tar.gz", Home(tmp_path / "new")
    done = run("backup", target, "--home", account.home.path)
    assert done.exit_code == 0, done.output
    assert run("restore", target, "--home", new.path).exit_code == 0
    assert problems(new) == []
    assert sorted(new.path.glob(".*")) == sorted(account.home.path.glob(".*")) == []
    out = [tmp_path / name for name in ("a", "b")]
    for folder in out:
        folder.mkdir()
    assert describe(Service(new), out[0]) == describe(account.service, out[1])


def test_times_of_parts_stay(account, tmp_path):
    """They say which came later, a part or a record that was put."""
    backup.back_up(account.home, tmp_path / "copy")
    backup.restore(new := Home(tmp_path / "new"), tmp_path / "copy")
    for path in account.home.datasets.glob("*/parts/*"):
        copy = new.path / path.relative_to(account.home.path)
        assert abs(copy.stat().st_mtime - path.stat().st_mtime) < 1e-3


def test_learners_files_in_the_home_are_no_part_of_it(service, films, tmp_path):
    (service.home.path / "thesis.txt").touch()
    (service.home.datasets / "own").mkdir()
    backup.back_up(service.home, tmp_path / "copy")
    with tarfile.open(tmp_path / "copy") as tar:
        assert not [name for name in tar.getnames() if "thesis" in name or "own" in name]


class TestRefusals:
    @pytest.fixture
    def copy(self, service, films, tmp_path):
        backup.back_up(service.home, tmp_path / "copy.tar.gz")
        return tmp_path / "copy.tar.gz"

    def test_nothing_is_overwritten(self, service, copy, run, tmp_path):
        before = copy.read_bytes()
        done = run("backup", copy, "--home", service.home.path)
        assert (done.exit_code, copy.read_bytes()) == (1, before)
        assert "exists already" in done.stderr
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "mine").touch()
        done = run("restore", copy, "--home", tmp_path / "new")
        assert done.exit_code == 1
        assert "is not empty" in done.stderr
        assert os.listdir(tmp_path / "new") == ["mine"]

    def test_not_into_itself_and_not_of_nothing(self, service, films, run, tmp_path):
        done = run("backup", service.home.path / "copy", "--home", service.home.path)
        assert "lies in the home" in done.stderr
        done = run("backup", tmp_path / "copy", "--home", tmp_path / "none")
        assert "there is no home" in done.stderr
        assert not (tmp_path / "copy").exists()

    @pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
    def test_half_a_file_restores_nothing(self, copy, run, tmp_path, share):
        content = copy.read_bytes()
        copy.write_bytes(content[: int(len(content) * share)])
        done = run("restore", copy, "--home", tmp_path / "new")
        assert done.exit_code == 1
        assert "is no backup of PersonaLens, or is cut or damaged" in done.stderr
        assert not (tmp_path / "new").exists()
        assert not list(tmp_path.glob("*partial*"))

    def test_flipped_bytes_restore_nothing(self, copy, run, tmp_path):
        content = bytearray(copy.read_bytes())
        for place in range(100, len(content), len(content) // 20):
            content[place] ^= 255
            copy.write_bytes(content)
            content[place] ^= 255
            assert run("restore", copy, "--home", tmp_path / "new").exit_code == 1, place
            assert not (tmp_path / "new").exists()

    def test_another_archive_and_a_missing_file(self, run, tmp_path):
        with tarfile.open(tmp_path / "other.tar", "w") as tar:
            tar.addfile(tarfile.TarInfo("letter.txt"), io.BytesIO())
        for name in ("other.tar", "none.tar"):
            done = run("restore", tmp_path / name, "--home", tmp_path / "new")
            assert done.exit_code == 1
            assert name in done.stderr
            assert "Traceback" not in done.stderr

    def test_a_newer_one(self, run, tmp_path):
        mark = json.dumps({"format": 99, "home": 1}).encode()
        entry = tarfile.TarInfo(backup.MARK)
        entry.size = len(mark)
        with gzip.open(tmp_path / "newer", "wb") as file, tarfile.open(fileobj=file, mode="w") as t:
            t.addfile(entry, io.BytesIO(mark))
        done = run("restore", tmp_path / "newer", "--home", tmp_path / "new")
        assert "A newer PersonaLens wrote" in done.stderr

    def test_a_full_disk_leaves_nothing(self, service, films, run, tmp_path, monkeypatch):
        def full(*_, **__):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(tarfile.TarFile, "add", full)
        done = run("backup", tmp_path / "copy", "--home", service.home.path)
        assert done.exit_code == 1
        assert "No space left" in done.stderr
        assert not list(tmp_path.glob("*copy*"))
        assert not list(service.home.path.glob(".backup-*"))


@contextmanager
def going_on(*works):
    """Call each of these again and again, in threads of their own, until the block ends."""
    over, errors = threading.Event(), []

    def repeat(work):
        try:
            for number in itertools.count():
                if over.is_set():
                    return
                work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=repeat, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert errors == []


def test_under_load(service, films, train, tmp_path):
    """Events, imports, trainings, deletions of users and of campaigns go on while it is made."""
    version = train("aws-popularity-count")
    folder = version_folder(service.home, version)
    campaign = service.create_campaign(name="c", solutionVersionArn=version)["campaignArn"]
    put, imported, deployed = [], [], []

    def put_events(number):
        event = Event("film-1", 1_700_000_000 + number, "click", event_id=str(number))
        service.context.events.append(films.dataset, "s", "viewer-1", [event])
        put.append(number)

    def until_active(describe):
        """Wait, for another thread may have taken the job that this one has asked for."""
        while (found := next(iter(describe().values())))["status"] != "ACTIVE":
            assert "FAILED" not in found["status"], found
            time.sleep(0.01)

    def import_rows(number):
        path = tmp_path / f"rows-{number}.csv"
        films.frame.iloc[: 1000 + number % 400].to_csv(path, index=False)
        arn = service.create_dataset_import_job(
            jobName=f"again-{number}",
            datasetArn=films.dataset,
            dataSource={"dataLocation": str(path)},
            roleArn="arn:aws:iam::123456789012:role/personalize",
        )
        until_active(lambda: service.describe_dataset_import_job(**arn))
        imported.append(number)

    def come_and_go(number):
        arn = service.create_campaign(name=f"c{number}", solutionVersionArn=version)
        until_active(lambda: service.describe_campaign(**arn))
        if number % 2:
            service.delete_campaign(**arn)
        else:
            deployed.append(arn["campaignArn"])
        model = load_model(folder)
        if model.forget_users([f"viewer-{number + 2}"]):
            replace_memory(folder, model)

    copies = []
    with going_on(put_events, import_rows, come_and_go):
        for number in range(5):
            time.sleep(0.3)
            promised = list(put), list(deployed)
            backup.back_up(service.home, tmp_path / f"copy-{number}")
            copies.append((tmp_path / f"copy-{number}", *promised))
    assert all((put, imported, deployed))
    for path, events, campaigns in copies:
        home = Home(path.with_suffix(".home"))
        backup.restore(home, path)
        assert problems(home) == []
        restored = Service(home)
        batches = restored.context.events.batches(films.dataset)
        times = {t.as_py() - 1_700_000_000 for batch in batches for t in batch["TIMESTAMP"]}
        assert set(events) <= times
        for arn in [campaign, *campaigns]:
            answer = restored.get_recommendations(campaignArn=arn, userId="viewer-1")
            assert len(answer["itemList"]) == 25
        restored.context.events.append(films.dataset, "s", "u", [Event("film-2", 1, "click")])


def test_a_running_job_is_a_waiting_one_in_the_copy(service, films, train, waiting, tmp_path):
    version = train("aws-popularity-count")
    job = waiting.jobs.claim()
    assert job.arn == version
    backup.back_up(service.home, tmp_path / "copy")
    assert waiting.jobs.is_held(job)
    backup.restore(home := Home(tmp_path / "new"), tmp_path / "copy")
    restored = Service(home)
    assert run_jobs(restored.context) == 1
    described = restored.describe_solution_version(solutionVersionArn=version)["solutionVersion"]
    assert described["status"] == "ACTIVE"
