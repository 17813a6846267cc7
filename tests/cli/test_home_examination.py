"""``personalens doctor --deep``: a sound home has no finding, and each damage has one."""

from __future__ import annotations

import shutil
import sqlite3

import pytest
from typer.testing import CliRunner

from personalens.cli.commands import app
from personalens.cli.home_examination import examine_home
from personalens.home import Home
from personalens.jobs.job_runner import run_jobs
from personalens.jobs.opening import open_home
from personalens.storage.datasets import dataset_folder
from personalens.storage.event_log import Event
from personalens.storage.model_folders import checkpoint_folder, version_folder

RECIPE = "arn:aws:personalize:::recipe/aws-popularity-count"
SUBJECTS = ["files", "resources", "jobs", "datasets", "models", "events"]


@pytest.fixture
def solution(service, films):
    return service.create_solution(name="s", datasetGroupArn=films.group, recipeArn=RECIPE)[
        "solutionArn"
    ]


@pytest.fixture
def version(service, films, solution):
    """A home with an imported dataset, a version, a campaign, events and records."""
    arn = service.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    service.create_campaign(name="c", solutionVersionArn=arn)
    click = Event("film-1", 1_700_000_000, "click", properties={"DEVICE": "tv"})
    service.context.events.append(films.dataset, "session", "viewer-1", [click])
    return arn


@pytest.fixture
def folder(service, films):
    return dataset_folder(service.context, service.context.store.require(films.dataset))


def problems(service):
    return [f"{f.subject}: {f.text}" for f in examine_home(service.home) if not f.is_ok]


def write(path, statement, *values):
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(statement, values)
    connection.close()


def test_a_sound_home_has_a_line_for_each_part(service, version):
    assert [f.subject for f in examine_home(service.home) if f.is_ok] == SUBJECTS
    assert problems(service) == []


@pytest.mark.usefixtures("quick_deletions")
def test_a_home_that_was_emptied_again_is_sound(service, films, solution, version):
    [campaign] = service.list_campaigns()["campaigns"]
    service.delete_campaign(campaignArn=campaign["campaignArn"])
    service.delete_solution(solutionArn=solution)
    service.delete_dataset(datasetArn=films.dataset)
    service.delete_dataset_group(datasetGroupArn=films.group)
    assert problems(service) == []


def test_what_is_on_its_way_is_no_problem(service, films, solution, version, waiting, tmp_path):
    service.create_solution_version(solutionArn=solution)
    job = waiting.jobs.claim()
    checkpoint_folder(version_folder(service.home, job.arn)).mkdir(parents=True)
    assert problems(service) == []


def test_an_empty_home_is_sound(tmp_path):
    [finding] = examine_home(Home(tmp_path / "none"))
    assert finding.is_ok


def test_lost_and_damaged_rows_are_found(service, version, folder):
    [part] = (folder / "parts").iterdir()
    whole = part.read_bytes()
    part.write_bytes(whole[:-10])
    [found] = problems(service)
    assert part.name in found
    assert "cannot be read" in found
    part.unlink()
    [found] = problems(service)
    assert "cannot be read" in found
    shutil.rmtree(folder)
    [found] = problems(service)
    assert "its rows are gone" in found


def test_leftovers_of_imports_are_found(service, version, folder):
    (folder / ".staging-0a1b").mkdir()
    (folder / "parts" / "000009-old.parquet").write_bytes(b"")
    (service.home.datasets / ".deleted-0a1b").mkdir()
    found = problems(service)
    assert len(found) == 3
    assert all(any(name in line for line in found) for name in ("staging", "old.p", ".deleted"))


@pytest.mark.parametrize("name", ["config.json", "ids.json", "weights.safetensors"])
def test_damaged_models_are_found(service, version, name):
    path = version_folder(service.home, version) / name
    path.write_bytes(path.read_bytes()[:5])
    [found] = problems(service)
    assert f"{version}: its model cannot be read" in found


def test_leftovers_of_trainings_are_found(service, solution, version):
    orphan = version_folder(service.home, f"{solution}/0a1b2c3d")
    orphan.mkdir()
    checkpoint_folder(version_folder(service.home, version)).mkdir()
    orphan.with_name(".0a1b2c3d-staged").mkdir()
    found = problems(service)
    assert len(found) == 3
    assert all("belongs to nothing" in line for line in found)


def test_a_resource_without_what_it_belongs_to_is_found(service, films, version):
    write(service.home.catalogue, "DELETE FROM resources WHERE arn = ?", films.schema)
    [found] = problems(service)
    assert f"{films.dataset} belongs to {films.schema}, which is not there" in found


def test_work_that_nobody_does_is_found(service, solution, version, waiting):
    run_jobs(waiting)
    arn = service.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    write(service.home.catalogue, "DELETE FROM jobs WHERE arn = ?", arn)
    [found] = problems(service)
    assert "CREATE PENDING, and no job works on it" in found


def test_a_job_without_a_resource_is_found(service, version):
    write(
        service.home.catalogue,
        "INSERT INTO jobs (kind, arn, payload, state, created_at) VALUES (?, 'arn:x', '', '', 0)",
        "train",
    )
    found = problems(service)
    assert [line.partition(":")[0] for line in found] == ["files", "jobs"]


def test_a_damaged_event_log_is_found(service, films, version):
    log = service.home.events
    write(log, "UPDATE events SET properties = '{'")
    write(log, "UPDATE log_state SET next_sequence = 1")
    write(log, "UPDATE streams SET dataset_arn = 'arn:x'")
    found = problems(service)
    assert len(found) == 4
    assert all(line.startswith("events: ") for line in found)
    assert "1 events of arn:x, which is not there" in found[0]


def test_an_event_log_that_has_no_tables_yet_is_sound(tmp_path):
    """A power cut may come when it was made and nothing more."""
    home = Home(tmp_path / "new")
    open_home(home).store.list("schema")
    home.events.touch()
    assert [str(finding) for finding in examine_home(home) if not finding.is_ok] == []


def test_a_damaged_catalogue_is_found(service, version):
    service.context.store.catalogue.close()
    path = service.home.catalogue
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    content = bytearray(path.read_bytes())
    content[4096:8192] = bytes(4096)
    path.write_bytes(content)
    assert any(line.startswith("files: catalogue.sqlite: ") for line in problems(service))


def test_the_command_examines_the_home_only_and_says_so_by_its_status(service, version, folder):
    command = ["doctor", "--deep", "--home", str(service.home.path)]
    done = CliRunner().invoke(app, command)
    assert (done.exit_code, done.output.count("OK ")) == (0, len(SUBJECTS))
    (folder / "left").touch()
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1
    assert "PROBLEM  datasets" in done.output
