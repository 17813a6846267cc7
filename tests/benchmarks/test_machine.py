"""What is said of a run."""


def test_the_command_is_one_to_repeat():
    from machine import command_line

    arguments = ["/x/accuracy.py", "--work", "/tmp/w", "--peers", "implicit ALS", "--results", "r"]
    assert command_line(arguments) == "python benchmarks/accuracy.py --peers 'implicit ALS'"


def test_a_run_is_described():
    from machine import describe_run

    described = describe_run("accuracy")
    assert described["cores"] >= 1
    assert described["processor"]
    assert described["memory_gb"] >= 1
    assert "torch" in described["versions"]


def test_results_are_written_where_they_are_asked_for(tmp_path):
    from machine import write_result

    path = write_result({"benchmark": "x"}, "some-name", tmp_path / "new")
    assert path == tmp_path / "new" / "some-name.json"
    assert path.read_text() == '{\n "benchmark": "x"\n}\n'
