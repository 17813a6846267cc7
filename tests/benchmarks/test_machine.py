"""What is said of a run, and how steps are run."""

import time

from benchmarks.machine import command_line, describe_run, fastest_runs, run_step, write_result
from benchmarks.peers.clock import timed


def test_the_command_is_one_to_repeat():

    arguments = ["/x/accuracy.py", "--work", "/tmp/w", "--peers", "implicit ALS", "--results", "r"]
    assert command_line(arguments) == "python -m benchmarks.accuracy --peers 'implicit ALS'"


def test_a_run_is_described():

    described = describe_run("accuracy")
    assert described["cores"] >= 1
    assert described["processor"]
    assert described["memory_gb"] >= 1
    assert "torch" in described["versions"]


def test_the_fastest_run_counts_and_the_most_memory_and_a_missing_peer_is_left_out():
    runs = iter([(3.0, 90.0), (1.0, 80.0), (2.0, 95.0)])

    def run(step):
        if step == "peer":
            return None
        seconds, peak = next(runs)
        return {"seconds": seconds, "cpu_seconds": 0.5, "peak_mb": peak}

    [row] = fastest_runs(["peer", "own"], run, repeats=3)
    assert (row["step"], row["seconds"], row["peak_mb"], row["runs"]) == ("own", 1.0, 95.0, 3)
    assert row["all_seconds"] == [3.0, 1.0, 2.0]


def test_a_step_in_an_environment_that_is_not_there_is_none():
    assert run_step("peers.bulk_tools", environment="no-such-environment") is None


def test_work_is_timed():
    measured = timed(lambda: time.sleep(0.01))
    assert measured["seconds"] >= 0.01 > measured["cpu_seconds"]
    assert measured["peak_mb"] > 1 > measured["added_mb"]


def test_results_are_written_where_they_are_asked_for(tmp_path):

    path = write_result({"benchmark": "x"}, "some-name", tmp_path / "new")
    assert path == tmp_path / "new" / "some-name.json"
    assert path.read_text() == '{\n "benchmark": "x"\n}\n'
