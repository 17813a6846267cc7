"""Labs are written back as they are committed: what they show, and nothing of who executed them."""

from __future__ import annotations

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from tests.labs import lab_outputs


def write_lab(path, source):
    cell = new_code_cell(source, metadata={"tags": ["parameters"]})
    notebook = new_notebook(cells=[cell], metadata=lab_outputs.NOTEBOOK_METADATA)
    nbformat.write(notebook, path)
    return path


def test_notes_of_the_execution_go_and_the_last_state_of_a_bar_stays():
    bar = new_output("stream", name="stderr", text="0 %\r100 %\rdone")
    cell = new_code_cell("1", outputs=[bar], execution_count=3, metadata={"tags": []})
    cell.metadata["papermill"] = {"duration": 1.5}
    executed = new_notebook(cells=[cell], metadata={"papermill": {"version": "2"}})
    finished = lab_outputs.finished(executed)
    assert finished.metadata == lab_outputs.NOTEBOOK_METADATA
    assert finished.cells[0].metadata == {}
    assert finished.cells[0].outputs[0].text == "done"
    assert finished.cells[0].execution_count == 3


@pytest.mark.slow
def test_all_are_executed_and_those_asked_for_written(tmp_path, monkeypatch):
    monkeypatch.delenv("PERSONALENS_HOME", raising=False)
    first = write_lab(tmp_path / "00_a.ipynb", "open('seen', 'w').write('by the second')")
    second = write_lab(tmp_path / "01_b.ipynb", "print(open('seen').read())")
    before = first.read_text()
    tree = tmp_path / "tree"
    tree.mkdir()
    lab_outputs.execute([first, second], {"01"}, tree)
    assert first.read_text() == before
    [cell] = nbformat.read(second, as_version=4).cells
    assert cell.outputs[0].text == "by the second\n"
    assert cell.metadata == {"tags": ["parameters"]}
