"""The installer: which PyTorch, whose settings, what is said, and what happens without uv."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.setup_scripts import ROOT, load_script

FAKE_UV = """#!{python}
# Writes down how it was called; asked which PyTorch there is, answers as a file beside it says.
import json, os, sys
from pathlib import Path
here = Path(__file__).parent
with open(here / "calls", "a") as calls:
    kept = {{k: v for k, v in os.environ.items() if k.startswith(("UV_", "SSL_"))}}
    calls.write(json.dumps([sys.argv[1:], kept]) + "\\n")
if "compile" in sys.argv:
    sys.exit(0 if (here / "answers").exists() else 1)
print("Using Python 3.11 environment at: x", file=sys.stderr)
print("Resolved 3 packages in 2ms", file=sys.stderr)
print("Installed 3 packages in 2ms", file=sys.stderr)
print(" + numpy==1", file=sys.stderr)
sys.exit(0 if not (here / "fails").exists() else 2)
"""


@pytest.fixture
def install(monkeypatch):
    module = load_script("install")
    monkeypatch.delenv("TORCH_BACKEND", raising=False)
    monkeypatch.setattr(module, "gpu_answers", lambda: False)
    monkeypatch.setattr(module, "pip_settings", lambda: {"UV_FIND_LINKS": "/wheels"})
    monkeypatch.setattr(module.sys, "platform", "linux")
    return module


@pytest.fixture
def uv(tmp_path, install, monkeypatch):
    """A uv that can only be asked what it was asked; its index of PyTorch answers."""
    path = tmp_path / "uv"
    path.write_text(FAKE_UV.format(python=sys.executable))
    path.chmod(0o755)
    (tmp_path / "answers").touch()
    monkeypatch.setattr(install, "get_uv", lambda: str(path))
    return tmp_path


def calls(folder: Path) -> list[tuple[list[str], dict[str, str]]]:
    return [json.loads(line) for line in (folder / "calls").read_text().splitlines()]


def test_the_cpu_s_build_is_taken_where_no_gpu_answers(install, uv, capfd):
    assert install.install("python", ["-r", "requirements.txt"], "torch==1") == 0
    _, (command, environment) = calls(uv)
    assert command[:4] == ["pip", "install", "--python", "python"]
    assert command[-1] == "--torch-backend=cpu"
    assert environment["UV_FIND_LINKS"] == "/wheels"
    assert "PyTorch: the CPU build" in capfd.readouterr().out


def test_a_gpu_gets_the_build_that_its_driver_takes(install, uv, monkeypatch):
    monkeypatch.setattr(install, "gpu_answers", lambda: True)
    install.install("python", [], "torch==1")
    assert calls(uv)[-1][0][-1] == "--torch-backend=auto"


def test_what_the_package_index_offers_is_taken_where_pytorch_s_own_is_out_of_reach(
    install, uv, capfd
):
    (uv / "answers").unlink()
    assert install.install("python", [], "torch==1") == 0
    assert not [word for word in calls(uv)[-1][0] if word.startswith("--torch-backend")]
    assert "comes from the package index" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("wished", "options"), [("cu130", ["--torch-backend=cu130"]), ("index", [])]
)
def test_the_build_can_be_chosen(install, uv, monkeypatch, wished, options):
    monkeypatch.setenv("TORCH_BACKEND", wished)
    install.install("python", [], "torch==1")
    ((command, _),) = calls(uv)  # nothing is tried out
    assert command[4:] == options


def test_outside_linux_the_package_index_has_the_build_without_cuda(install, uv, monkeypatch):
    monkeypatch.setattr(install.sys, "platform", "darwin")
    install.install("python", [], "torch==1")
    assert len(calls(uv)) == 1


def test_each_step_is_a_plain_line_and_the_long_list_is_left_out(install, uv, capfd):
    install.install("python", [], "torch==1")
    lines = capfd.readouterr().out.splitlines()
    assert lines[1:] == ["  Resolved 3 packages in 2ms", "  Installed 3 packages in 2ms"]


def test_a_failure_is_handed_on(install, uv):
    (uv / "fails").touch()
    assert install.install("python", [], "torch==1") == 2


def test_pip_does_the_work_where_uv_cannot_be_had(install, monkeypatch, capfd):
    ran = []
    monkeypatch.setattr(install, "get_uv", lambda: None)
    monkeypatch.setattr(install.subprocess, "call", lambda command: ran.append(command) or 0)
    assert install.install("python", ["-r", "x.txt"], "torch==1") == 0
    assert ran[0][:3] == ["python", "-m", "pip"]
    assert ran[0][-2:] == ["-r", "x.txt"]
    assert "uv cannot be had" in capfd.readouterr().out


def test_uv_hears_of_pip_s_settings_as_pip_ranks_them(install):
    listing = "\n".join(
        [
            ":env:.find-links='/env'",
            "global.cert='/x/ca.crt'",
            "global.extra-index-url='https://a/simple https://b/simple'",
            "global.find-links='/one\\n/two'",
            "global.index-url='https://global/simple'",
            "install.index-url='https://install/simple'",
            "wheel.timeout='3'",
            "global.progress-bar='off'",
        ]
    )
    assert install.uv_variables(listing, {"SSL_CERT_FILE": "mine"}) == {
        "UV_DEFAULT_INDEX": "https://install/simple",
        "UV_FIND_LINKS": "/env",
        "UV_INDEX": "https://a/simple https://b/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }
    assert install.uv_variables("global.find-links='/one\\n/two'", {}) == {
        "UV_FIND_LINKS": "/one,/two"
    }


def test_pins_and_pytorch_are_read_from_the_requirements(install, tmp_path):
    pins = install.pins_of(ROOT / "requirements.txt")
    assert "-e" not in pins.split()
    peers = tmp_path / "requirements.txt"
    peers.write_text("implicit==1\n")
    assert install.torch_pin(peers) == pins.splitlines()[0]
    peers.write_text("implicit==1\ntorch==2.5.1\n")
    assert install.torch_pin(peers) == "torch==2.5.1"


def test_the_labs_settings_reach_every_jupyterlab_of_the_environment(install, tmp_path):
    (tmp_path / "etc" / "jupyter").mkdir(parents=True)
    install.configure_jupyter(tmp_path)
    path = tmp_path / "etc" / "jupyter" / "jupyter_lab_config.json"
    opened = json.loads(path.read_text())["LabApp"]["default_url"]
    assert (ROOT / opened.removeprefix("/lab/tree/my_")).is_file()


@pytest.mark.parametrize(
    ("remote", "place"),
    [
        ("git@github.com:someone/films.git", "gh/someone/films"),
        ("https://github.com/someone/films", "gh/someone/films"),
        ("https://someone:secret@github.com/someone/films.git", "gh/someone/films"),
        ("ssh://git@gitlab.com:22/group/sub/films.git", "gl/group%2Fsub%2Ffilms"),
        ("https://git.example:8443/someone/films.git",
         "git/https%3A%2F%2Fgit.example%3A8443%2Fsomeone%2Ffilms"),
    ],
)  # fmt: skip
def test_binder_s_address_is_that_of_the_remote(remote, place):
    link = load_script("binder_link").binder_link(remote)
    assert link == (
        f"https://mybinder.org/v2/{place}/HEAD?urlpath=lab/tree/my_labs/00_start_here.ipynb"
    )


def test_binder_s_address_is_written_where_one_stands(tmp_path):
    old = "https://mybinder.org/v2/gh/someone/else/HEAD?urlpath=lab/tree/labs/01_old.ipynb"
    page = tmp_path / "page.md"
    page.write_text(f"[open]({old}), or `{old}`.\n")
    script = [sys.executable, ROOT / "binder" / "setup" / "binder_link.py"]
    command = [*script, "git@github.com:someone/films.git", "--write", page]
    link = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert page.read_text() == f"[open]({link}), or `{link}`.\n"


def test_a_remote_that_binder_cannot_clone_is_refused_with_the_next_step():
    command = [sys.executable, ROOT / "binder" / "setup" / "binder_link.py", "/srv/films.git"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "https://github.com/you/name" in done.stderr
