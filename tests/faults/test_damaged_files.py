"""Files of a home that are not what was written: every flipped byte is found, and whoever needs
such a file says what is damaged and what to do."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from personalens.cli.home_examination import examine_home
from personalens.datasets.dataset_files import DatasetFiles
from personalens.durable_files import CHECKSUMS_FILE, DamagedFiles, find_damage
from personalens.service_errors import DamagedHome, ResourceNotFoundException
from personalens.storage.datasets import dataset_folder
from personalens.storage.model_folders import (
    TrainingOutcome,
    load_model,
    publish,
    replace_memory,
    version_folder,
)
from tests.contract.account import RECIPE, ROLE

MODEL_FILES = ("config.json", "ids.json", "weights.safetensors")
FIGURES = ("metrics.json", "training_log.json", "trials.json")


@pytest.fixture
def popular(train):
    return train("aws-popularity-count")


@pytest.fixture
def model(service, popular):
    return version_folder(service.home, popular)


@pytest.fixture
def rows(service, films):
    return dataset_folder(service.context, service.context.store.require(films.dataset))


def problems(service):
    return [f"{f.subject}: {f.text}" for f in examine_home(service.home) if not f.is_ok]


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def other_json(path: Path) -> None:
    path.write_text('{"another": ["file"]}')


def a_list(path: Path) -> None:
    path.write_text("[1, 2]")


def noise(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 8)


def one_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def missing(path: Path) -> None:
    path.unlink()


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES = (emptied, cut, other_json, a_list, noise, one_byte, missing, a_folder)


def is_advice(text: str) -> None:
    """Fail unless the text says what is damaged and what to do, in people's words."""
    assert "is damaged" in text or "are damaged" in text, text
    assert "rain it again" in text or "mport the data again" in text, text
    for word in ("Error", "Traceback", "Safetensor", "Arrow", "Parquet magic", "('"):
        assert word not in text, text


@pytest.mark.parametrize("name", MODEL_FILES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_model(service, deploy, train, name, damage):
    campaign = deploy("aws-popularity-count")
    version = service.describe_campaign(campaignArn=campaign)["campaign"]["solutionVersionArn"]
    damage(version_folder(service.home, version) / name)
    with pytest.raises(ResourceNotFoundException) as refused:
        service.get_recommendations(campaignArn=campaign, userId="viewer-1")
    is_advice(str(refused.value))
    other = service.create_campaign(name="second", solutionVersionArn=version)["campaignArn"]
    described = service.describe_campaign(campaignArn=other)["campaign"]
    assert described["status"] == "CREATE FAILED"
    is_advice(described["failureReason"])
    assert any(version in line and name in line for line in problems(service))
    figures = service.get_solution_metrics(solutionVersionArn=version)["metrics"]
    assert figures["precision_at_5"] >= 0  # they lie in a file of their own


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_figures(service, popular, model, name, damage):
    damage(model / name)
    with pytest.raises(DamagedHome) as refused:
        service.get_solution_metrics(solutionVersionArn=popular)
    is_advice(str(refused.value))
    described = service.describe_solution_version(solutionVersionArn=popular)["solutionVersion"]
    assert described["status"] == "ACTIVE"
    assert any(popular in line and name in line for line in problems(service))


@pytest.mark.parametrize("damage", [*DAMAGES])
def test_batch_jobs_and_deletions_of_users_with_a_damaged_model(
    service, films, popular, model, tmp_path, damage
):
    damage(model / "weights.safetensors")
    (tmp_path / "users.jsonl").write_text('{"userId": "viewer-1"}\n')
    (tmp_path / "users.csv").write_text("USER_ID\nviewer-1\n")
    job = service.create_batch_inference_job(
        jobName="b",
        solutionVersionArn=popular,
        jobInput={"s3DataSource": {"path": str(tmp_path / "users.jsonl")}},
        jobOutput={"s3DataDestination": {"path": f"{tmp_path}/out/"}},
        roleArn=ROLE,
    )["batchInferenceJobArn"]
    described = service.describe_batch_inference_job(batchInferenceJobArn=job)
    is_advice(described["batchInferenceJob"]["failureReason"])
    job = service.create_data_deletion_job(
        jobName="d",
        datasetGroupArn=films.group,
        dataSource={"dataLocation": str(tmp_path / "users.csv")},
        roleArn=ROLE,
    )["dataDeletionJobArn"]
    described = service.describe_data_deletion_job(dataDeletionJobArn=job)["dataDeletionJob"]
    assert described["status"] == "FAILED"
    is_advice(described["failureReason"])


def test_weights_of_another_model_of_the_same_shape(service, films, train):
    first, second = (version_folder(service.home, train(name=name)) for name in ("one", "two"))
    films.import_again(films.frame.iloc[::-1].assign(USER_ID=films.frame["USER_ID"].to_numpy()))
    third = version_folder(service.home, train(name="three"))
    assert (first / "weights.safetensors").read_bytes() == (
        second / "weights.safetensors"
    ).read_bytes()
    shutil.copy(third / "weights.safetensors", first / "weights.safetensors")
    with pytest.raises(DamagedFiles, match=r"weights\.safetensors is not what"):
        load_model(first)


def strip_the_seal(folder: Path) -> None:
    (folder / CHECKSUMS_FILE).unlink()


@pytest.mark.parametrize("name", MODEL_FILES)
@pytest.mark.parametrize("damage", [each for each in DAMAGES if each is not one_byte])
def test_a_damaged_model_of_an_earlier_version(model, name, damage):
    strip_the_seal(model)
    damage(model / name)
    with pytest.raises(ValueError, match=r"[Tt]rain") as refused:
        load_model(model)
    assert "Error" not in str(refused.value)


@pytest.mark.parametrize(
    ("array", "change"),
    [
        ("model.popularity", lambda a: a[:-1]),
        ("history.items", lambda a: a + 10_000),
        ("history.offsets", lambda a: a[:-2]),
        ("history.offsets", lambda a: a.astype("float32")),
    ],
)
def test_arrays_of_other_shapes_and_types_in_a_model_of_an_earlier_version(model, array, change):
    from safetensors.numpy import load_file, save_file

    strip_the_seal(model)
    arrays = load_file(model / "weights.safetensors")
    arrays[array] = change(arrays[array])
    save_file(arrays, model / "weights.safetensors")
    with pytest.raises(DamagedFiles, match="do not fit its recipe"):
        load_model(model)


def test_a_model_of_an_earlier_version_is_told_as_such(service, popular, model):
    strip_the_seal(model)
    assert load_model(model).name == "aws-popularity-count"
    assert problems(service) == []
    lines = [f.text for f in examine_home(service.home)]
    assert sum("an earlier version wrote it, without checksums" in line for line in lines) == 1


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["current.json", "part"])
def test_a_damaged_dataset(service, films, rows, train, damage, name):
    [part] = (rows / "parts").iterdir()
    path = part if name == "part" else rows / name
    if name == "current.json" and damage is missing:
        pytest.skip("a dataset without it is one into which nothing was imported")
    damage(path)
    solution = service.create_solution(
        name="s", datasetGroupArn=films.group, recipeArn=f"{RECIPE}aws-sims"
    )["solutionArn"]
    version = service.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    described = service.describe_solution_version(solutionVersionArn=version)["solutionVersion"]
    assert described["status"] == "CREATE FAILED"
    is_advice(described["failureReason"])
    assert any(films.dataset in line for line in problems(service))
    films.import_again(films.frame)  # the advice
    assert problems(service) == []
    version = service.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    described = service.describe_solution_version(solutionVersionArn=version)["solutionVersion"]
    assert described["status"] == "ACTIVE", described


def test_a_request_whose_filter_reads_a_damaged_dataset(service, films, rows, deploy):
    campaign = deploy("aws-popularity-count")
    made = service.create_filter(
        name="f",
        datasetGroupArn=films.group,
        filterExpression='EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("watch")',
    )["filterArn"]
    [part] = (rows / "parts").iterdir()
    one_byte(part)
    with pytest.raises(DamagedHome) as refused:
        service.get_recommendations(campaignArn=campaign, userId="viewer-1", filterArn=made)
    is_advice(str(refused.value))


def test_rows_of_a_newer_version_are_refused(rows):
    path = rows / "current.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(DamagedFiles, match=r"newer PersonaLens .* format 99.* Update PersonaLens"):
        DatasetFiles(rows).read()


@pytest.fixture(scope="module")
def small_home(tmp_path_factory):
    """A model's and a dataset's folder with everything in them, and the bytes of each file."""
    import pandas as pd

    from personalens.control.operations.provider import PersonalizeProvider
    from personalens.home import Home
    from personalens.jobs.opening import open_home
    from personalens.recipes.popularity_count import PopularityCount

    folder = tmp_path_factory.mktemp("small")
    home = Home(folder / "home")
    provider = PersonalizeProvider(open_home(home, inline_jobs=True))
    frame = pd.DataFrame(
        [(f"u{n % 9}", f"i{n % 7}", n) for n in range(1000)],
        columns=["USER_ID", "ITEM_ID", "TIMESTAMP"],
    )
    model = PopularityCount().fit(frame)
    outcome = TrainingOutcome({"coverage": 0.5}, [{"epoch": 1, "loss": 0.25}], 0.0)
    publish(home.models / "s" / "0a1b2c3d", model, outcome)
    frame.to_csv(folder / "rows.csv", index=False)
    fields = [("USER_ID", "string"), ("ITEM_ID", "string"), ("TIMESTAMP", "long")]
    schema = {
        **{"type": "record", "name": "Interactions", "version": "1.0"},
        "namespace": "com.amazonaws.personalize.schema",
        "fields": [{"name": name, "type": kind} for name, kind in fields],
    }
    group = provider.create_dataset_group(name="g")["datasetGroupArn"]
    arn = provider.create_dataset(
        name="d",
        schemaArn=provider.create_schema(name="s", schema=json.dumps(schema))["schemaArn"],
        datasetGroupArn=group,
        datasetType="Interactions",
    )["datasetArn"]
    made = provider.create_dataset_import_job(
        jobName="j", datasetArn=arn, dataSource={"dataLocation": str(folder / "rows.csv")}
    )
    imported = provider.describe_dataset_import_job(**made)["datasetImportJob"]
    assert imported["status"] == "ACTIVE", imported
    [dataset] = home.dataset_folders()
    files = [*(home.models / "s" / "0a1b2c3d").iterdir(), dataset / "current.json"]
    files += (dataset / "parts").iterdir()
    return home, {path: path.read_bytes() for path in files}


def findings(home):
    """Return what the deep examination says of files; the model belongs to no resource here."""
    found = [f.text for f in examine_home(home) if f.subject == "datasets" and not f.is_ok]
    damage = find_damage(home.models / "s" / "0a1b2c3d")
    return found + ([damage] if damage else [])


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_flipped_byte_is_found(small_home, data):
    home, files = small_home
    path = data.draw(st.sampled_from(sorted(files)))
    content = bytearray(files[path])
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        assert findings(home) != [], (path.name, place)
    finally:
        path.write_bytes(files[path])
    assert findings(home) == []


class TestForgettingUsers:
    """replace_memory at each moment at which a crash may come."""

    @pytest.fixture
    def forgetful(self, model):
        forgetful = load_model(model)
        assert forgetful.forget_users(["viewer-1"])
        return forgetful

    @pytest.mark.parametrize("steps", range(6))
    def test_a_crash_leaves_a_model_that_can_be_read_and_can_forget(
        self, model, forgetful, monkeypatch, steps
    ):
        from personalens import durable_files

        left = [steps]

        def counted(step):
            def do(*arguments):
                if not left[0]:
                    raise SystemExit
                left[0] -= 1
                return step(*arguments)

            return do

        with monkeypatch.context() as patch:
            for name in ("move", "write_seal"):
                patch.setattr(durable_files, name, counted(getattr(durable_files, name)))
            with contextlib.suppress(SystemExit):
                replace_memory(model, forgetful)
        assert find_damage(model) is None
        again = load_model(model)
        if again.forget_users(["viewer-1"]):  # the job is done again
            replace_memory(model, again)
        assert find_damage(model) is None
        assert not len(load_model(model).history("viewer-1"))
        assert len(load_model(model).history("viewer-2"))

    def test_the_rows_that_are_left_have_a_checksum_of_their_own(self, service, rows):
        files = DatasetFiles(rows)
        before = files.manifest
        files.remove_rows_of(["viewer-1"])
        assert files.manifest.parts[0].sha256 not in (None, before.parts[0].sha256)
        assert problems(service) == []
