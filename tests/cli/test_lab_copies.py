"""Learner copies: no output, no answer, and never over what a learner has written."""

import subprocess

import nbformat
import pytest

from personalens.cli.lab_copies import copy_labs, learner_copy, repository_url
from personalens.cli.lab_runner import all_labs

LABS = "labs"


@pytest.fixture
def labs(tmp_path):
    """A folder with one lab: text, a picture, a solution that ran, a cell for the instructor."""
    folder = tmp_path / "labs"
    folder.mkdir()
    ran = nbformat.v4.new_code_cell("# One way to do it\n6 * 7", id="ex1-solution")
    ran.metadata["tags"] = ["solution"]
    ran.outputs = [nbformat.v4.new_output("stream", text="42")]
    ran.execution_count = 3
    told = nbformat.v4.new_markdown_cell("Give them five minutes.", id="told")
    told.metadata["tags"] = ["instructor"]
    text = nbformat.v4.new_markdown_cell("# Lab 05 · Five\n![A chart](images/lab.png)", id="title")
    notebook = nbformat.v4.new_notebook(cells=[text, ran, told])
    nbformat.write(notebook, folder / "05_five.ipynb")
    return folder


def read(path):
    return nbformat.read(path, as_version=4)


def test_a_copy_shows_no_answer(labs, tmp_path):
    assert copy_labs(labs, tmp_path / "mine").made == ("05_five.ipynb",)
    copy = read(tmp_path / "mine" / "05_five.ipynb")
    (solution,) = [cell for cell in copy.cells if cell.id == "ex1-solution"]
    assert solution.outputs == []
    assert solution.execution_count is None
    assert solution.metadata["jupyter"] == {"source_hidden": True, "outputs_hidden": True}
    assert "told" not in [cell.id for cell in copy.cells]
    assert copy.cells[0].source.endswith("![A chart](../labs/images/lab.png)")
    assert copy.cells[-1].source.endswith("lab.close()")
    nbformat.validate(copy)


def test_what_a_learner_has_written_stays(labs, tmp_path):
    mine = tmp_path / "mine" / "05_five.ipynb"
    copy_labs(labs, mine.parent)
    copy = read(mine)
    copy.cells[1].source = "solution = 43"
    nbformat.write(copy, mine)
    written = mine.read_bytes()
    (labs / "06_six.ipynb").write_bytes((labs / "05_five.ipynb").read_bytes())
    copies = copy_labs(labs, mine.parent)
    assert copies.made == ("06_six.ipynb",)
    assert copies.kept == ("05_five.ipynb",)
    assert mine.read_bytes() == written


def test_a_file_that_is_not_our_copy_stays(labs, tmp_path):
    mine = tmp_path / "mine" / "05_five.ipynb"
    mine.parent.mkdir()
    mine.write_text("my notes")
    assert copy_labs(labs, mine.parent).kept == ("05_five.ipynb",)
    assert mine.read_text() == "my notes"


def test_an_untouched_copy_follows_its_source(labs, tmp_path):
    mine = tmp_path / "mine" / "05_five.ipynb"
    copy_labs(labs, mine.parent)
    source = read(labs / "05_five.ipynb")
    source.cells[0].source = "# Lab 05 · Five and a half"
    nbformat.write(source, labs / "05_five.ipynb")
    copy_labs(labs, mine.parent)
    assert read(mine).cells[0].source == "# Lab 05 · Five and a half"


def test_two_copies_of_the_same_lab_are_equal(labs, tmp_path):
    copy_labs(labs, tmp_path / "a")
    copy_labs(labs, tmp_path / "b")
    assert (tmp_path / "a/05_five.ipynb").read_bytes() == (
        tmp_path / "b/05_five.ipynb"
    ).read_bytes()


@pytest.mark.parametrize(
    ("remote", "url"),
    [
        ("https://github.com/someone/personalens.git", "https://github.com/someone/personalens"),
        ("https://token@github.com/someone/personalens", "https://github.com/someone/personalens"),
        ("git@github.com:someone/personalens.git", "https://github.com/someone/personalens"),
        ("ssh://git@gitlab.com/group/sub/lens.git", "https://gitlab.com/group/sub/lens"),
        ("/srv/git/personalens", None),
        (None, None),
    ],
)
def test_the_address_for_colab_comes_from_the_remote(labs, remote, url):
    subprocess.run(["git", "init", "--quiet", labs], check=True)
    if remote is not None:
        subprocess.run(["git", "-C", labs, "remote", "add", "origin", remote], check=True)
    assert repository_url(labs) == url
    copy = learner_copy(read(labs / "05_five.ipynb"), labs, labs.parent / "mine", url)
    installs = [cell.source for cell in copy.cells if "google.colab" in cell.source]
    assert len(installs) == (url is not None)
    assert url is None or f'"personalens @ git+{url}"' in installs[0]


def test_no_copy_of_our_labs_has_an_output_or_a_solution_in_sight(tmp_path, request):
    labs = request.config.rootpath / LABS
    copies = copy_labs(labs, tmp_path)
    assert len(copies.made) == len(all_labs(labs)) > 10
    for name in copies.made:
        copy = read(tmp_path / name)
        for cell in copy.cells:
            assert cell.get("outputs", []) == []
            if "solution" in cell.metadata.get("tags", []):
                assert cell.metadata["jupyter"]["source_hidden"], (name, cell.id)
                assert cell.source.startswith("# "), f"{name}: {cell.id} shows its first line"
