"""A disk that is full, or a file that cannot be read, in every job: the reason says what to do, and
nothing of what was there is lost."""

from __future__ import annotations

import errno
import json
import os

import pytest
from safetensors import SafetensorError

from personalens import durable_files
from personalens.cli.home_examination import examine_home
from personalens.datasets.dataset_files import DatasetFiles
from personalens.recipes import saved_models
from personalens.storage.datasets import dataset_folder
from personalens.storage.model_folders import load_model, version_folder
from personalens.training import trainer
from tests.contract.account import RECIPE, ROLE

ADVICE = {
    errno.ENOSPC: ("There is no room left to write", "Free some space"),
    errno.EDQUOT: ("There is no room left to write", "Free some space"),
    errno.EROFS: ("may not read or write", "try again"),
    errno.EIO: ("could not be read or written", "try again"),
    errno.EMFILE: ("Too many files are open", "try again"),
}


class Jobs:
    """One job of each kind; each returns what its Describe says once it has ended."""

    def __init__(self, service, films, folder):
        self.service, self.films, self.folder = service, films, folder
        films.frame.to_csv(folder / "rows.csv", index=False)
        (folder / "users.csv").write_text("USER_ID\nviewer-1\n")
        (folder / "users.jsonl").write_text('{"userId": "viewer-1"}\n')
        (folder / "items.jsonl").write_text('{"itemId": "film-1"}\n')
        self.output = {"s3DataDestination": {"path": f"{folder}/out/"}}
        self.version = self._version("popular", "aws-popularity-count")
        self.affinity = self._version("affinity", "aws-item-affinity")

    def _version(self, name, recipe, **members):
        solution = self.service.create_solution(
            name=name, datasetGroupArn=self.films.group, recipeArn=RECIPE + recipe, **members
        )["solutionArn"]
        return self.service.create_solution_version(solutionArn=solution)["solutionVersionArn"]

    def _trained(self, *words, **members):
        arn = self._version(*words, **members)
        return self.service.describe_solution_version(solutionVersionArn=arn)["solutionVersion"]

    def training(self):
        return self._trained("again", "aws-popularity-count")

    def neural_training(self):
        return self._trained("neural", "aws-hrnn")

    def search(self):
        config = {"hpoConfig": {"hpoResourceConfig": {"maxNumberOfTrainingJobs": "2"}}}
        return self._trained("search", "aws-hrnn", performHPO=True, solutionConfig=config)

    def importing(self):
        arn = self.service.create_dataset_import_job(
            jobName="again",
            datasetArn=self.films.dataset,
            dataSource={"dataLocation": str(self.folder / "rows.csv")},
            roleArn=ROLE,
        )
        return self.service.describe_dataset_import_job(**arn)["datasetImportJob"]

    def export(self):
        arn = self.service.create_dataset_export_job(
            jobName="export",
            datasetArn=self.films.dataset,
            ingestionMode="ALL",
            roleArn=ROLE,
            jobOutput=self.output,
        )
        return self.service.describe_dataset_export_job(**arn)["datasetExportJob"]

    def batch(self):
        arn = self.service.create_batch_inference_job(
            jobName="batch",
            solutionVersionArn=self.version,
            jobInput={"s3DataSource": {"path": f"{self.folder}/users.jsonl"}},
            jobOutput=self.output,
            roleArn=ROLE,
        )
        return self.service.describe_batch_inference_job(**arn)["batchInferenceJob"]

    def segments(self):
        arn = self.service.create_batch_segment_job(
            jobName="segments",
            solutionVersionArn=self.affinity,
            jobInput={"s3DataSource": {"path": f"{self.folder}/items.jsonl"}},
            jobOutput=self.output,
            roleArn=ROLE,
        )
        return self.service.describe_batch_segment_job(**arn)["batchSegmentJob"]

    def deletion(self):
        arn = self.service.create_data_deletion_job(
            jobName="deletion",
            datasetGroupArn=self.films.group,
            dataSource={"dataLocation": f"{self.folder}/users.csv"},
            roleArn=ROLE,
        )
        return self.service.describe_data_deletion_job(**arn)["dataDeletionJob"]


WRITERS = ("training", "neural_training", "search", "importing", "export", "batch", "segments",
           "deletion")  # fmt: skip


@pytest.fixture
def jobs(service, films, tmp_path, monkeypatch):
    monkeypatch.setenv("PERSONALENS_TRAINING_MAX_EPOCHS", "1")
    return Jobs(service, films, tmp_path)


def check_reason(found, code):
    assert "FAILED" in found["status"], found
    reason = found["failureReason"]
    for part in ADVICE[code]:
        assert part in reason, reason
    for word in ("Error:", "Internal", "Errno", "Traceback", "safetensors"):
        assert word not in reason.replace("weights.safetensors", ""), reason


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_takes_no_more_files(service, films, jobs, kind, code, monkeypatch):
    """Whatever a job writes comes to the disk through one place: there it fails."""
    rows = DatasetFiles(
        dataset_folder(service.context, service.context.store.require(films.dataset))
    )
    before = rows.manifest

    def fail(path):
        raise OSError(code, os.strerror(code), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(durable_files, "flush", fail)
        found = getattr(jobs, kind)()
    if code == errno.EIO and kind in ("export", "batch", "segments"):
        assert "Input/output error" in found["failureReason"]
    else:
        check_reason(found, code)
    if kind != "deletion":
        assert rows.manifest == before
    elif code == errno.ENOSPC:  # by then some rows and models may have been written without them
        assert "Nothing was changed" not in found["failureReason"]
        assert "The deletion is not complete." in found["failureReason"]
    assert len(load_model(version_folder(service.home, jobs.version)).items_) > 0
    assert [str(f) for f in examine_home(service.home) if not f.is_ok] == []
    assert not list(service.home.path.rglob("*.partial"))


@pytest.mark.parametrize("kind", ["training", "neural_training", "search"])
def test_a_disk_that_fills_up_while_a_model_is_written(service, jobs, kind, monkeypatch):
    """What safetensors itself says then, which is no OSError. A checkpoint is done without."""

    def full(tensors, path, *_):
        raise SafetensorError(
            "Error while serializing: I/O error: No space left on device (os error 28)"
        )

    monkeypatch.setattr(trainer, "save_file", full)
    monkeypatch.setattr(saved_models, "save_file", full)
    check_reason(getattr(jobs, kind)(), errno.ENOSPC)
    assert not list(service.home.path.rglob("*.partial"))


@pytest.mark.parametrize("code", ADVICE)
def test_what_the_system_says_is_told_in_words(jobs, monkeypatch, code):
    def refuse(path, *_):
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(durable_files, "write_json", refuse)
    check_reason(jobs.training(), code)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("kind", ["training", "export", "deletion"])
def test_rows_that_may_not_be_read(service, films, jobs, kind):
    folder = dataset_folder(service.context, service.context.store.require(films.dataset))
    [part] = (folder / "parts").iterdir()
    part.chmod(0)
    found = getattr(jobs, kind)()
    assert "cannot be read (Permission denied)" in found["failureReason"]


@pytest.mark.parametrize("kind", ["batch", "deployment"])
def test_a_model_of_a_later_version_is_told_as_such(service, jobs, kind):
    path = version_folder(service.home, jobs.version) / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 99}))
    if kind == "batch":
        reason = jobs.batch()["failureReason"]
    else:
        arn = service.create_campaign(name="c", solutionVersionArn=jobs.version)
        reason = service.describe_campaign(**arn)["campaign"]["failureReason"]
    assert "has the format 99" in reason
    assert "Update PersonaLens" in reason
