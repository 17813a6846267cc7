"""binder/ builds: the pins agree, and the very steps of mybinder.org end in a JupyterLab on lab 00.

The build installs everything again, which takes minutes: it runs where PERSONALENS_TEST_INSTALLS=1,
as in CI.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager

from tests.docs.setup_scripts import load_script

ROOT = Path(__file__).resolve().parents[2]
BINDER = ROOT / "binder"
NAME = re.compile(r"^([\w.-]+)==(\S+)$", re.MULTILINE)


def pins(path: Path) -> dict[str, str]:
    return dict(NAME.findall(path.read_text(encoding="utf-8")))


def test_the_python_is_one_that_the_package_supports():
    version = (BINDER / "runtime.txt").read_text().strip().removeprefix("python-")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f">={version}" == project["requires-python"]


def test_its_uv_is_the_one_that_installs():
    (uv,) = pins(BINDER / "requirements.txt").items()
    assert uv == ("uv", load_script("install").UV_VERSION)


@pytest.fixture
def kernels(monkeypatch):
    """Binder's manager of kernels, with four that were used one after another: busy, idle, idle,
    idle; ``shut`` is what it has shut down, 300 MB each."""
    settings = SimpleNamespace(ServerApp=SimpleNamespace(), MemoryKernelManager=SimpleNamespace())
    names = {"get_config": lambda: settings}
    exec((BINDER / "jupyter" / "jupyter_server_config.py").read_text(), names)
    manager = settings.ServerApp.kernel_manager_class()
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    for number, state in enumerate(("busy", "idle", "idle", "idle")):
        kernel = SimpleNamespace(
            execution_state=state, last_activity=begun + timedelta(seconds=number)
        )
        manager._kernels[str(number)] = kernel
    manager.shut = []

    async def shut_down(kernel_id):
        manager.shut.append(kernel_id)

    async def by_age(manager):
        """No kernel is old."""

    monkeypatch.setattr(manager, "shutdown_kernel", shut_down)
    monkeypatch.setattr(AsyncMappingKernelManager, "cull_kernels", by_age)
    names["session_memory"] = lambda: manager.used - 300e6 * len(manager.shut)
    monkeypatch.setenv("MEM_LIMIT", str(2 * 10**9))
    return manager


@pytest.mark.parametrize(
    ("used", "shut"), [(800e6, []), (1000e6, ["1"]), (1300e6, ["1", "2"]), (1900e6, ["1", "2"])]
)
def test_where_memory_is_scarce_the_longest_idle_kernels_go_and_never_the_last(kernels, used, shut):
    kernels.used = used
    asyncio.run(kernels.cull_kernels())
    assert kernels.shut == shut


def test_a_session_s_memory_is_that_of_its_server_and_what_its_kernels_started():
    names = {"get_config": MagicMock}
    exec((BINDER / "jupyter" / "jupyter_server_config.py").read_text(), names)
    alone = names["session_memory"]()
    environment = {**os.environ, "JPY_PARENT_PID": str(os.getpid())}
    code = "import sys; data = bytearray(50_000_000); print(flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, **pipes) as worker:
        worker.stdout.readline()
        assert names["session_memory"]() > alone + 40e6
        worker.communicate()


def test_the_scripts_can_be_executed_and_parsed():
    for script in ("postBuild", "start"):
        assert os.access(BINDER / script, os.X_OK)
        subprocess.run(["bash", "-n", str(BINDER / script)], check=True)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """A checkout and an environment, built by Binder's steps; its bin folder is first on PATH."""
    if os.environ.get("PERSONALENS_TEST_INSTALLS") != "1":
        pytest.skip("installs everything again: set PERSONALENS_TEST_INSTALLS=1")
    folder = tmp_path_factory.mktemp("binder")
    checkout, python = folder / "repository", folder / "env" / "bin" / "python"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(checkout)], check=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder / "env")], check=True)
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PERSONALENS_", "OMP_"))
    }
    environment["PATH"] = f"{python.parent}{os.pathsep}{environment['PATH']}"

    def run(*command: str) -> None:
        done = subprocess.run(
            command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=900
        )
        assert done.returncode == 0, f"{command}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"

    run(str(python), "-m", "pip", "install", "--quiet", "-r", "binder/requirements.txt")
    run("binder/postBuild")
    yield checkout, environment, run
    shutil.rmtree(folder)


@pytest.mark.slow
def test_the_image_has_the_package_the_cpu_s_torch_and_few_threads(image):
    _, _, run = image
    run(
        "binder/start",
        "python",
        "-c",
        "import torch, personalens\n"
        "assert not torch.cuda.is_available() and torch.get_num_threads() <= 2\n"
        "frame = personalens.datasets.load('sample').interactions\n"
        "assert len(personalens.SIMS().fit(frame).similar([frame['ITEM_ID'][0]], k=5)) == 5",
    )


@pytest.mark.slow
def test_jupyterlab_opens_the_first_lab(image):
    checkout, environment, _ = image
    options = ["--no-browser", "--ip=127.0.0.1", "--port=0", "--IdentityProvider.token="]
    if os.geteuid() == 0:
        options.append("--allow-root")
    runtime = checkout / "runtime"
    server = subprocess.Popen(
        ["binder/start", "jupyter", "lab", *options],
        cwd=checkout,
        env={**environment, "JUPYTER_RUNTIME_DIR": str(runtime)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = wait_for_url(runtime)
        with urlopen(url, timeout=30) as page:
            assert page.url.endswith("/lab/tree/my_labs/00_start_here.ipynb")
            settings = re.search(
                r'id="jupyter-config-data"[^>]*>(.*?)</script>', page.read().decode()
            )
        assert json.loads(settings.group(1))["news"] == {"disabled": True}
        with urlopen(f"{url}api/metrics/v1", timeout=30) as answer:
            assert json.load(answer)["rss"] > 0  # the status bar's
        request = Request(f"{url}api/contents/my_labs/00_start_here.ipynb?content=0")
        with urlopen(request, timeout=30) as answer:
            assert json.load(answer)["type"] == "notebook"
    finally:
        server.terminate()
        server.wait(timeout=30)


def wait_for_url(runtime: Path, seconds: float = 60) -> str:
    """Return the server's address once it has written it down and answers."""
    end = time.monotonic() + seconds
    while True:
        for file in runtime.glob("jpserver-*.json"):
            url = json.loads(file.read_text())["url"]
            try:
                urlopen(f"{url}api", timeout=5).close()
                return url
            except (URLError, ConnectionError):
                pass
        assert time.monotonic() < end, "JupyterLab did not start"
        time.sleep(0.2)
