"""Batch recommendations with themes."""

import json

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.metadata import Metadata
from personalens.runtime.item_themes import ThemeWriter
from personalens.service_errors import InvalidInputException

NAMED = {"fieldsForThemeGeneration": {"itemName": "TITLE"}}
GENRES = ["noir", "space", "heist", "western"]  # of film n: n % 4


@pytest.fixture
def run(service, described_films, train, tmp_path):
    """Return a function that runs a job with themes on items: the job, and the output's lines."""
    version = train("aws-similar-items")

    def run(items, **options):
        source, target = tmp_path / "in.json", tmp_path / "out"
        source.write_text("".join(json.dumps({"itemId": item}) + "\n" for item in items))
        arn = service.create_batch_inference_job(
            jobName="themes",
            solutionVersionArn=version,
            jobInput={"s3DataSource": {"path": str(source)}},
            jobOutput={"s3DataDestination": {"path": f"{target}/"}},
            roleArn="arn:aws:iam::123456789012:role/personalize",
            **{"batchInferenceJobMode": "THEME_GENERATION", "themeGenerationConfig": NAMED}
            | options,
        )["batchInferenceJobArn"]
        job = service.describe_batch_inference_job(batchInferenceJobArn=arn)["batchInferenceJob"]
        written = target / "in.json.out"
        lines = written.read_text().splitlines() if written.exists() else []
        return job, [json.loads(line) for line in lines]

    return run


def test_a_list_s_theme_is_what_its_items_share(run):
    job, lines = run([f"film-{n}" for n in range(4)], numResults=8)
    assert job["status"] == "ACTIVE"
    assert job["batchInferenceJobMode"] == "THEME_GENERATION"
    assert job["themeGenerationConfig"] == NAMED
    for line, genre in zip(lines, GENRES, strict=True):
        output = line["output"]
        assert list(output) == ["recommendedItems", "theme", "itemsThemeRelevanceScores"]
        listed = [int(item.removeprefix("film-")) % 4 for item in output["recommendedItems"]]
        assert max(listed, key=listed.count) == GENRES.index(genre)
        assert output["theme"] == genre.capitalize()
        scores = output["itemsThemeRelevanceScores"]
        assert len(scores) == len(listed) == 8
        assert scores == sorted(scores, reverse=True)
        of_genre = [GENRES[n] == genre for n in listed]  # those for whom the theme is made lead
        assert of_genre == sorted(of_genre, reverse=True)
        assert min(s for s, own in zip(scores, of_genre, strict=True) if own) > 0


def test_the_items_are_those_of_get_recommendations_in_another_order(service, run):
    job, (line,) = run(["film-5"], numResults=10)
    version = job["solutionVersionArn"]
    campaign = service.create_campaign(name="plain", solutionVersionArn=version)["campaignArn"]
    plain = service.get_recommendations(campaignArn=campaign, itemId="film-5", numResults=10)
    listed = line["output"]["recommendedItems"]
    assert sorted(listed) == sorted(item["itemId"] for item in plain["itemList"])


def test_a_filter_counts_before_the_theme_is_made(service, described_films, run):
    arn = service.create_filter(
        name="heists",
        datasetGroupArn=described_films.group,
        filterExpression='INCLUDE ItemID WHERE Items.GENRE IN ("heist")',
    )["filterArn"]
    _, (line,) = run(["film-1"], filterArn=arn, numResults=5)
    assert {int(item.removeprefix("film-")) % 4 for item in line["output"]["recommendedItems"]} == {
        GENRES.index("heist")
    }
    assert line["output"]["theme"] == "Heist"


def test_more_than_a_hundred_lines_fail_the_job_and_write_nothing(run):
    job, lines = run(["film-1"] * 101)
    assert job["status"] == "CREATE FAILED"
    assert "more than 100 lines" in job["failureReason"]
    assert lines == []


def test_a_hundred_lines_are_answered(run):
    job, lines = run(["film-1"] * 100)
    assert job["status"] == "ACTIVE"
    assert len(lines) == 100


def test_a_bad_line_is_that_line_s_error(run):
    job, (good, bad) = run(["film-1", ""])
    assert job["status"] == "ACTIVE"
    assert good["error"] is None
    assert "itemId" in bad["error"]


@pytest.mark.parametrize("name", ["PLAYERS", "ITEM"])
def test_the_name_must_be_a_string_column_of_the_items(run, name):
    refused = {"fieldsForThemeGeneration": {"itemName": name}}
    with pytest.raises(InvalidInputException, match=f"itemName is {name}; the string columns"):
        run(["film-1"], themeGenerationConfig=refused)


def writer(**columns):
    size = len(next(iter(columns.values())))
    frame = pd.DataFrame({"ITEM_ID": [str(n) for n in range(size)], **columns})
    return ThemeWriter(Metadata.from_frame(frame, "ITEM_ID", text=["NAME", "PLOT"]), "NAME")


def test_words_of_descriptions_make_themes_and_years_do_not():
    plots = ["a robot in 1999", "the robot of 1999", "robot and child, 1999"]
    others = [f"the story number {n} of a child" for n in range(20)]
    names = [f"Film {n}" for n in range(23)]
    found = writer(NAME=names, PLOT=plots + others).theme(["0", "1", "2"], "0")
    assert found.text == "Robot"
    assert np.all(found.relevance > 0)


def test_a_word_that_is_a_category_too_is_named_once():
    plots = ["a western", "western tale", "old western"] + ["a tale"] * 9
    genres = ["Western"] * 3 + ["Drama"] * 9
    found = writer(NAME=["Film"] * 12, PLOT=plots, GENRE=genres).theme(["0", "1", "2"], "0")
    assert found.text == "Western"


def test_what_items_are_called_is_no_theme():
    names = [f"Lord of the rings, part {n}" for n in range(3)] + [f"Film {n}" for n in range(9)]
    genres = ["Fantasy"] * 3 + ["Drama"] * 9
    assert writer(NAME=names, GENRE=genres).theme(["0", "1", "2"], "0").text == "Fantasy"


def test_a_category_counts_twice_as_much_as_a_word_as_frequent():
    plots = ["dragon tale"] * 3 + ["tale"] * 9
    genres = ["Fantasy"] * 3 + ["Drama"] * 9
    found = writer(NAME=["Film"] * 12, PLOT=plots, GENRE=genres).theme(["0", "1", "2"], "0")
    assert found.text == "Fantasy and dragon"


def test_what_has_nothing_in_common_is_called_after_the_item_asked_about():
    theme = writer(NAME=["Up", "Cars", "Alien", None]).theme
    assert theme(["1", "2"], "0").text == "More like Up"
    assert theme(["1", "2"], "3").text == "More like 3"  # it has no name
    assert theme(["1"], "unheard of").text == "More like unheard of"
    assert theme([], "0").relevance.shape == (0,)


def test_what_is_not_in_the_catalogue_has_no_relevance():
    names, genres = ["a", "b", "c", "d"], ["War", "War", "Love", "Love"]
    found = writer(NAME=names, GENRE=genres).theme(["0", "gone", "1"], "2")
    assert found.text == "War"
    assert found.relevance[1] == 0.0
    assert found.relevance[0] == found.relevance[2] > 0.0
