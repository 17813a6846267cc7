"""The table of goals: what is compared with what, and when it counts as met."""

import re

import pytest

from benchmarks import goals, page


def accuracy(protocol, rows, differences=(), dataset="ml-100k"):
    return {
        "benchmark": "accuracy",
        "dataset": dataset,
        "protocol": protocol,
        "rows": [{"runs": 5, "sd": None, **row} for row in rows],
        "differences": [
            {"recipe": recipe, "other": other, "difference": more, "standard_error": error}
            for recipe, other, more, error in differences
        ],
    }


HRNN = {"model": "aws-hrnn", "NDCG@10": 0.13, "HR@10": 0.24}
BETTER = {"model": "aws-better", "NDCG@10": 0.136, "HR@10": 0.246}
PEERS = [("aws-hrnn", "EASE", 0.05, 0.01), ("aws-hrnn", "counts", 0.01, 0.004)]


def test_hrnn_the_best_recipe_and_the_nearest_peer():
    mine, best, ahead = goals.outcomes([accuracy("next-item", [HRNN, BETTER], PEERS)])
    assert (mine.what, mine.met) == ("ml-100k, next item: aws-hrnn", "yes")
    assert (best.what, best.met) == ("ml-100k, next item: aws-better, the best recipe", "yes")
    assert ahead.goal == "ahead of each of 2"
    assert ahead.measured == "+0.0100 ± 0.0040 to the nearest, counts"
    assert ahead.met == "yes"


@pytest.mark.parametrize(
    ("difference", "met"), [(0.007, "yes, within two standard errors"), (-0.1, "no, within")]
)
def test_a_lead_that_cannot_be_told_is_called_so(difference, met):
    result = accuracy("next-item", [HRNN], [("aws-hrnn", "counts", difference, 0.004)])
    assert goals.outcomes([result])[-1].met.startswith(met)


def test_our_own_recipes_are_no_peers():
    result = accuracy("next-item", [HRNN], [("aws-hrnn", "aws-better", -0.01, 0.001)])
    assert not any("peers" in row.what for row in goals.outcomes([result]))


def test_hits_below_the_goal_do_not_count():
    [row, _] = goals.outcomes([accuracy("next-item", [HRNN | {"HR@10": 0.234}])])
    assert row.met == "no"


@pytest.mark.parametrize("protocol", ["hold-out", "hold-out-tenths", "hold-out-known"])
def test_the_hold_out_is_judged_by_both_definitions(protocol):
    row = HRNN | {"NDCG@10": 0.21, "service NDCG@10": 0.44}
    papers, service = goals.outcomes([accuracy(protocol, [row])])
    assert "hold-out" in papers.what
    assert (papers.met, service.met) == ("no", "yes")


def test_the_draw_that_set_the_goal_is_judged_by_itself():
    row = HRNN | {"NDCG@10": 0.23, "service NDCG@10": 0.44, "first": {"NDCG@10": 0.25}}
    counts = row | {"model": "windowed transition counts", "first": {"NDCG@10": 0.21}}
    first, mean, _ = goals.outcomes([accuracy("hold-out-known", [row, counts])])
    assert (first.measured, first.met, mean.met) == (
        "0.2500, a single draw; transition counts 0.2100",
        "yes",
        "no",
    )


def test_metadata_are_to_be_no_worse_here_and_better_there():
    def result(dataset, difference):
        more = {"metric": "NDCG@10", "other": "aws-hrnn", "standard_error": 0.001}
        rows = [{"differences": []}]
        rows += [{"model": "aws-hrnn-metadata", "differences": [more | {"difference": difference}]}]
        return {"benchmark": "side information", "dataset": dataset, "rows": rows}

    results = [result("ml-100k", -0.001), result("ml-100k", -0.003)]
    assert [row.met for row in goals.outcomes(results)] == ["yes", "no"]
    results = [result("sample", 0.001), result("sample", 0.003)]
    assert [row.met for row in goals.outcomes(results)] == ["no", "yes"]


def test_other_data_sets_have_no_goal():
    assert goals.outcomes([accuracy("next-item", [HRNN], dataset="sample")]) == []


@pytest.mark.parametrize("number", range(len(goals.GOALS)))
def test_every_goal_has_rows_of_one_committed_result(number):
    goal = goals.GOALS[number]
    about = [result for result in page.load_results() if goals.is_about(goal, result)]
    rows = [row for result in about for row in goal.judge(result)]
    assert rows
    assert all(re.search(r"\d", row.measured) and row.goal for row in rows)
