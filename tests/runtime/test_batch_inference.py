"""Batch inference: the same lists as GetRecommendations gives, line by line."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest

from personalens.datasets.csv_blocks import CsvSource
from personalens.runtime import batch_lines
from personalens.runtime.answering import softmax
from personalens.runtime.batch_jobs import shares_of
from personalens.runtime.batch_lines import LONGEST_LINE, LineFault

pytestmark = pytest.mark.usefixtures("taste_recipes")

ROLE = "arn:aws:iam::123456789012:role/personalize"
USERS = [f"viewer-{number}" for number in range(60)] + ["nobody"]


@pytest.fixture
def batch(service, tmp_path):
    """Return a function that runs a batch inference job on lines: the output's lines."""

    def run(version, lines, name="job", **options):
        source = tmp_path / f"{name}.json"
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        source.write_text("\n".join(texts) + "\n", encoding="utf-8")
        job = service.create_batch_inference_job(
            jobName=name,
            solutionVersionArn=version,
            jobInput={"s3DataSource": {"path": str(source)}},
            jobOutput={"s3DataDestination": {"path": f"{tmp_path}/{name}-out/"}},
            roleArn=ROLE,
            **options,
        )["batchInferenceJobArn"]
        described = service.describe_batch_inference_job(batchInferenceJobArn=job)
        assert described["batchInferenceJob"]["status"] == "ACTIVE", described
        folder = tmp_path / f"{name}-out"
        assert sorted(f.name for f in folder.iterdir()) == ["_CHECK", f"{name}.json.out"]
        written = (folder / f"{name}.json.out").read_text(encoding="utf-8")
        return [json.loads(line) for line in written.splitlines()]

    return run


@pytest.fixture
def make_filter(service, films):
    def make(expression):
        return service.create_filter(
            name="filter", datasetGroupArn=films.group, filterExpression=expression
        )["filterArn"]

    return make


def same_lists(service, version, outputs, **request):
    """Whether each line has what GetRecommendations answers for its user."""
    campaign = service.create_campaign(name="same", solutionVersionArn=version)["campaignArn"]
    assert len(outputs) == len(USERS)
    for user, line in zip(USERS, outputs, strict=True):
        answer = service.get_recommendations(campaignArn=campaign, userId=user, **request)
        listed = answer["itemList"]
        assert line["input"]["userId"] == user
        assert line["error"] is None
        assert line["output"]["recommendedItems"] == [item["itemId"] for item in listed]
        scores = [item["score"] for item in listed]
        np.testing.assert_allclose(line["output"]["scores"], scores, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("recipe", ["test-taste", "test-hiding"])
def test_lists_and_scores_are_those_of_get_recommendations(service, train, batch, recipe):
    version = train(recipe)
    outputs = batch(version, [{"userId": user} for user in USERS])
    same_lists(service, version, outputs)


def test_a_network_s_lists_are_those_of_get_recommendations(service, train, batch, monkeypatch):
    monkeypatch.setenv("PERSONALENS_TRAINING_MAX_EPOCHS", "1")
    config = {"algorithmHyperParameters": {"hidden_dimension": "32"}}
    version = train("aws-hrnn", solutionConfig=config)
    outputs = batch(version, [{"userId": user} for user in USERS], numResults=7)
    same_lists(service, version, outputs, numResults=7)


def test_a_filter_and_its_values_come_with_the_lines(service, train, batch, make_filter):
    version = train("test-taste")
    arn = make_filter("EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ($TYPE)")
    values = {"TYPE": '"watch"'}
    lines = [{"userId": user, "filterValues": values} for user in USERS]
    outputs = batch(version, lines, filterArn=arn)
    assert outputs[0]["input"] == lines[0]
    same_lists(service, version, outputs, filterArn=arn, filterValues=values)


def test_live_events_of_known_users_count(service, films, train, batch):
    version = train("test-taste")
    (before,) = batch(version, [{"userId": "viewer-0"}])
    last = before["output"]["recommendedItems"][-1]
    tracker = service.create_event_tracker(name="clicks", datasetGroupArn=films.group)["trackingId"]
    clicks = [
        {"eventType": "click", "itemId": last, "sentAt": 1_700_000_000 + n} for n in range(10)
    ]
    service.put_events(trackingId=tracker, sessionId="s", userId="viewer-0", eventList=clicks)
    outputs = batch(version, [{"userId": user} for user in USERS], name="after")
    assert outputs[0]["output"]["recommendedItems"][0] == last
    same_lists(service, version, outputs)


def test_one_missing_filter_value_is_that_line_s_error(train, batch, make_filter):
    version = train("test-taste")
    arn = make_filter("INCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ($TYPE)")
    good = {"userId": "viewer-1", "filterValues": {"TYPE": '"click"'}}
    first, second = batch(version, [{"userId": "viewer-1"}, good], filterArn=arn)
    assert first["output"] is None
    assert "$TYPE" in first["error"]
    assert second["error"] is None


def test_related_items_have_no_scores(service, train, batch):
    version = train("aws-sims")
    campaign = service.create_campaign(name="same", solutionVersionArn=version)["campaignArn"]
    known, unknown = batch(version, [{"itemId": "film-1"}, {"itemId": "never"}], numResults=5)
    for line in (known, unknown):
        answer = service.get_recommendations(
            campaignArn=campaign, itemId=line["input"]["itemId"], numResults=5
        )
        assert line["output"] == {"recommendedItems": [i["itemId"] for i in answer["itemList"]]}


def test_popularity_lists_items_only(train, batch):
    (line,) = batch(train("aws-popularity-count"), [{"userId": "nobody"}], numResults=3)
    assert list(line["output"]) == ["recommendedItems"]
    assert len(line["output"]["recommendedItems"]) == 3


def test_a_ranking_ranks_its_item_list_the_unknown_last_without_a_score(service, train, batch):
    version = train("test-ranking")
    campaign = service.create_campaign(name="same", solutionVersionArn=version)["campaignArn"]
    wanted = ["never", "film-1", "film-2", "film-3"]
    (line,) = batch(version, [{"userId": "viewer-1", "itemList": wanted}])
    answer = service.get_personalized_ranking(
        campaignArn=campaign, userId="viewer-1", inputList=wanted
    )["personalizedRanking"]
    assert line["output"]["recommendedItems"] == [item["itemId"] for item in answer]
    assert line["output"]["recommendedItems"][-1] == "never"
    np.testing.assert_allclose(
        line["output"]["scores"], [item["score"] for item in answer[:-1]], atol=1e-7
    )


BAD_LINES = [
    ("no json", "not JSON"),
    ('{"userId": NaN}', "NaN is no JSON number"),
    ("[1]", "no JSON object"),
    ('"viewer-1"', "no JSON object"),
    ("[" * 100_000, "not JSON"),
    ({}, "userId is missing"),
    ({"itemId": "film-1"}, "userId is missing"),
    ({"userId": ""}, "userId is missing"),
    ({"userId": 1}, "userId is 1, not a string"),
    ({"userId": None}, "userId is missing"),
    ({"userId": "a", "filterValues": [1]}, "filterValues is not an object"),
    ({"userId": "a", "filterValues": {"a": 1}}, "filterValues is not an object"),
    ('{"userId": "' + "a" * LONGEST_LINE + '"}', "longer than"),
]


def test_a_bad_line_has_an_error_and_the_others_an_answer(train, batch):
    good = {"userId": "viewer-1", "note": "é \U0001f600 </script>"}
    lines = [line for bad, _ in BAD_LINES for line in (bad, good)]
    outputs = batch(train("test-taste"), lines)
    assert len(outputs) == len(lines)
    for (line, reason), bad, answered in zip(BAD_LINES, outputs[::2], outputs[1::2], strict=True):
        assert bad["output"] is None
        assert reason in bad["error"], line
        assert answered["input"] == good
        assert answered["error"] is None
        assert answered["output"] == outputs[1]["output"]


def test_a_file_of_bad_lines_alone_has_their_errors(train, batch):
    outputs = batch(train("test-taste"), ["no json", "[1]"])
    assert [line["output"] for line in outputs] == [None, None]
    assert "not JSON" in outputs[0]["error"]


def test_bytes_that_are_no_text_are_a_bad_line():
    line = batch_lines.read_line(b'{"userId": "\xff"}')
    assert isinstance(line.fault, LineFault)
    assert json.loads(line.text) == '{"userId": "\ufffd"}'


def test_half_a_surrogate_pair_in_a_line_is_repeated_and_no_fault(train, batch):
    asked = '{"userId": "viewer-1", "note": "\\ud83d"}'
    (line,) = batch(train("test-taste"), [asked])
    assert (line["error"], line["input"]) == (None, json.loads(asked))
    assert json.loads(batch_lines.json_bytes("\ud83d")) == "\ud83d"


def test_blank_lines_have_no_answer_and_a_byte_order_mark_is_no_error(train, batch):
    lines = ['\ufeff{"userId": "viewer-1"}', "", "  ", {"userId": "viewer-2"}]
    outputs = batch(train("test-taste"), lines)
    assert [line["input"] for line in outputs] == [{"userId": "viewer-1"}, {"userId": "viewer-2"}]


def test_a_folder_gives_a_file_for_each_and_a_second_run_the_same(service, train, tmp_path):
    version = train("test-taste")
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for name in ("a.json", "b.jsonl", ".hidden", "_CHECK"):
        (source / name).write_text('{"userId": "viewer-1"}\n')
    contents = []
    for number in range(2):
        service.create_batch_inference_job(
            jobName=f"job-{number}",
            solutionVersionArn=version,
            jobInput={"s3DataSource": {"path": f"{source.as_uri()}/"}},
            jobOutput={"s3DataDestination": {"path": target.as_uri()}},  # no / at its end
            roleArn=ROLE,
        )
        contents.append({path.name: path.read_bytes() for path in target.iterdir()})
    assert sorted(contents[0]) == ["_CHECK", "a.json.out", "b.jsonl.out"]
    assert contents[0]["_CHECK"] == b""
    assert contents[0] == contents[1]


def test_memory_does_not_grow_with_the_number_of_lines(tmp_path):
    def peak(lines):
        path = tmp_path / "long.json"
        with path.open("w") as file:
            file.writelines('{"userId": "viewer"}\n' for _ in range(lines))
        tracemalloc.start()
        size = 0
        source = CsvSource.from_path(path)
        for block, _ in batch_lines._answered(source, lambda asked: [b"{}"] * len(asked), 64):
            size += len(block)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest, size

    (few, small), (many, large) = peak(2_000), peak(20_000)
    assert large == 10 * small
    assert many < 1.2 * few + 200_000


@pytest.mark.parametrize("highest", [0, 1000, -1000])
def test_shares_are_the_softmax_of_the_whole_catalogue(highest):
    rng = np.random.default_rng(0)
    scores = rng.normal(highest, 3, (5, 200)).astype(np.float32)
    scores[1, ::2] = -np.inf
    scores[2] = -np.inf
    codes = np.array([[0, 1, 199]] * 5)
    expected = [softmax(row)[[0, 1, 199]] for row in scores]
    np.testing.assert_allclose(shares_of(scores, codes), expected, atol=1e-7)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :3]
    expected = [softmax(row)[first] for row, first in zip(scores, best, strict=True)]
    np.testing.assert_allclose(shares_of(scores, best, best_first=True), expected, atol=1e-7)
