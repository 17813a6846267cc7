"""The table of targets: what is compared with what, and when it counts as met."""

import pytest


@pytest.fixture
def targets():
    import targets

    return targets


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


def test_hrnn_the_best_recipe_and_the_nearest_peer(targets):
    mine, best, ahead = targets.outcomes([accuracy("next-item", [HRNN, BETTER], PEERS)])
    assert (mine.what, mine.met) == ("ml-100k, next item: aws-hrnn", "yes")
    assert (best.what, best.met) == ("ml-100k, next item: aws-better, the best recipe", "yes")
    assert ahead.asked == "ahead of each of 2"
    assert ahead.measured == "+0.0100 ± 0.0040 to the nearest, counts"
    assert ahead.met == "yes"


@pytest.mark.parametrize(
    ("difference", "met"), [(0.007, "yes, within two standard errors"), (-0.1, "no, within")]
)
def test_a_lead_that_cannot_be_told_is_called_so(targets, difference, met):
    result = accuracy("next-item", [HRNN], [("aws-hrnn", "counts", difference, 0.004)])
    assert targets.outcomes([result])[-1].met.startswith(met)


def test_our_own_recipes_are_no_peers(targets):
    result = accuracy("next-item", [HRNN], [("aws-hrnn", "aws-better", -0.01, 0.001)])
    assert not any("peers" in row.what for row in targets.outcomes([result]))


def test_hits_below_the_target_do_not_count(targets):
    [row, _] = targets.outcomes([accuracy("next-item", [HRNN | {"HR@10": 0.234}])])
    assert row.met == "no"


@pytest.mark.parametrize("protocol", ["hold-out", "hold-out-tenths", "hold-out-known"])
def test_the_hold_out_is_judged_by_both_definitions(targets, protocol):
    row = HRNN | {"NDCG@10": 0.21, "service NDCG@10": 0.44}
    papers, service = targets.outcomes([accuracy(protocol, [row])])
    assert "hold-out" in papers.what
    assert (papers.met, service.met) == ("no", "yes")


def test_the_draw_that_set_the_target_is_judged_by_itself(targets):
    row = HRNN | {"NDCG@10": 0.23, "service NDCG@10": 0.44, "first": {"NDCG@10": 0.25}}
    counts = row | {"model": "windowed transition counts", "first": {"NDCG@10": 0.21}}
    first, mean, _ = targets.outcomes([accuracy("hold-out-known", [row, counts])])
    assert (first.measured, first.met, mean.met) == (
        "0.2500, a single draw; transition counts 0.2100",
        "yes",
        "no",
    )


def test_metadata_are_to_be_no_worse_here_and_better_there(targets):
    def result(dataset, difference):
        more = {"metric": "NDCG@10", "other": "aws-hrnn", "standard_error": 0.001}
        rows = [{"differences": []}]
        rows += [{"model": "aws-hrnn-metadata", "differences": [more | {"difference": difference}]}]
        return {"benchmark": "side information", "dataset": dataset, "rows": rows}

    results = [result("ml-100k", -0.001), result("ml-100k", -0.003)]
    assert [row.met for row in targets.outcomes(results)] == ["yes", "no"]
    results = [result("sample", 0.001), result("sample", 0.003)]
    assert [row.met for row in targets.outcomes(results)] == ["no", "yes"]


def test_other_data_sets_have_no_target(targets):
    assert targets.outcomes([accuracy("next-item", [HRNN], dataset="sample")]) == []


def test_the_committed_results_have_their_rows(targets):
    import report

    found = targets.outcomes(report.load_results())
    assert len(found) >= 10
    assert all(row.met.startswith(("yes", "no")) for row in found)
