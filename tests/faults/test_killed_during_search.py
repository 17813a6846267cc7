"""kill -9 of the worker in the middle of a hyperparameter search."""

from __future__ import annotations

import json
import os
import signal

from personalens.arns import recipe_arn
from personalens.storage.model_folders import checkpoint_folder, read_outcome, version_folder
from tests.faults.conftest import make_dataset, until, workers
from tests.faults.test_killed_during_training import check_model, finished, write_events

HPO = {
    "hpoConfig": {
        "hpoResourceConfig": {"maxNumberOfTrainingJobs": "6", "maxParallelTrainingJobs": "2"},
        "algorithmHyperParameterRanges": {
            "integerHyperParameterRanges": [
                {"name": "hidden_dimension", "minValue": 32, "maxValue": 48}
            ]
        },
    }
}


def test_a_killed_search_goes_on_with_the_trials_that_it_had(
    personalize, context, tmp_path, monkeypatch
):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PERSONALENS_TRAINING_MAX_EPOCHS", "2")
    dataset = make_dataset(personalize)
    arn = personalize.create_dataset_import_job(
        jobName="events",
        datasetArn=dataset,
        dataSource={"dataLocation": str(write_events(tmp_path / "events.csv"))},
    )["datasetImportJobArn"]
    assert until(lambda: context.store.require(arn, "dataset-import-job").status == "ACTIVE")
    solution = personalize.create_solution(
        name="films",
        datasetGroupArn=context.store.list("dataset-group")[0].arn,
        recipeArn=recipe_arn("aws-hrnn"),
        performHPO=True,
        solutionConfig=HPO,
    )["solutionArn"]
    version = personalize.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    folder = version_folder(context.home, version)
    journal = checkpoint_folder(folder) / "hyperparameters.json"

    def trials() -> list:
        return json.loads(journal.read_text())["trials"] if journal.exists() else []

    assert until(lambda: len(trials()) >= 2), context.jobs.progress(version)
    for worker in workers(context):
        os.kill(worker.pid, signal.SIGKILL)
        assert until(worker.is_gone)
    kept = trials()
    assert 2 <= len(kept) < 6
    personalize.describe_solution_version(solutionVersionArn=version)
    assert until(lambda: finished(context, version))
    assert context.jobs.progress(version)["attempt"] == 2
    outcome = read_outcome(folder)
    assert [trial["number"] for trial in outcome.trials] == [1, 2, 3, 4, 5, 6]
    assert [trial for trial in outcome.trials if trial in kept] == kept  # their seconds too
    assert 32 <= int(outcome.tuned["hidden_dimension"]) <= 48
    check_model(personalize, context, version)
