"""The benchmark of metadata and context: the questions, and the truth of the sample."""

import numpy as np
import pandas as pd
import pytest

from personalens import datasets
from personalens.datasets.interactions import Interactions
from personalens.evaluation.holdouts import leave_one_out


@pytest.fixture(scope="module")
def data():
    return datasets.load("sample")


@pytest.fixture(scope="module")
def split(data):
    events = Interactions.from_frame(data.interactions)
    return leave_one_out(events.select(events.user_codes < 30).compact())


def test_a_list_of_the_truly_best_has_the_best_true_score(data, split):
    from benchmarks.side_information import true_score

    rng = np.random.default_rng(0)
    ids = data.items.ITEM_ID.to_numpy()
    for case in range(3):
        [history] = split.test.histories([case], split.test.interactions.items)
        scores = [
            true_score(data.world, split.test, case, history.context, np.array([item]))
            for item in ids
        ]
        best = ids[np.argsort(scores)[::-1][:10]]
        some = rng.permutation(ids)[:10]
        of_best, of_some = (
            true_score(data.world, split.test, case, history.context, ranked)
            for ranked in (best, some)
        )
        assert of_best == pytest.approx(np.sort(scores)[-10:].mean(), rel=1e-5)
        assert of_best > of_some


def test_a_report_has_a_row_for_each_question(data, split):
    from benchmarks.side_information import report
    from personalens.recipes.hrnn import HRNNMetadata
    from personalens.training.options import TrainingOptions

    model = HRNNMetadata(training=TrainingOptions(max_epochs=1)).fit(
        split.train_and_validation, users=data.users
    )
    without, told = (
        report(model, split.test, tell_context=tell, world=data.world) for tell in (False, True)
    )
    assert len(without) == len(told) == len(split.test)
    assert without[["USER_ID", "ITEM_ID"]].equals(told[["USER_ID", "ITEM_ID"]])
    assert not without["true score"].equals(told["true score"])
    assert without["NDCG@10"].between(0, 1).all()


def test_each_way_to_ask_is_compared_with_those_before_it():
    from benchmarks.side_information import summarise

    def table(hits):
        users = [f"u{row}" for row in range(4)]
        return pd.DataFrame({"USER_ID": users, "ITEM_ID": "0", "NDCG@10": np.array(hits, float)})

    means = {"a": table([0, 0, 1, 1]), "b": table([1, 1, 1, 1]), "c": table([0, 0, 0, 0])}
    assert summarise("a", means) == {"model": "a", "means": {"NDCG@10": 0.5}, "differences": []}
    row = summarise("c", means)
    assert [each["other"] for each in row["differences"]] == ["a", "b"]
    assert [each["difference"] for each in row["differences"]] == [-0.5, -1.0]
    assert row["differences"][1]["standard_error"] == 0.0
