"""How much memory a Binder session needs: labs opened one after another, and a training.

    python benchmarks/binder_memory.py [--labs "00 01 02 03 04 05"] [--dataset ml-latest-small]

JupyterLab is started as Binder starts it, on a copy of the labs and a home of its own. Each lab is
opened, every cell of it is run, and its tab stays open. Then the last kernel trains an HRNN and
waits for it. This is a learner in a hurry, the worst case: no kernel is idle for long, and only the
rule for scarce memory in binder/jupyter shuts some down (with --keep-kernels: none).

Five times a second the memory of the server, its kernels and the worker is added up. It is PSS: a
page that several processes share counts once, as it does for the container's limit. So run it in an
environment that no other process uses. Exit status 1: the peak is above the limit.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.request import Request, urlopen

import psutil
from jupyter_client import BlockingKernelClient

ROOT = Path(__file__).resolve().parents[1]
HOME_VARIABLE = "PERSONALENS_HOME"
BINDER_LIMIT = 1.6e9
LABS = "00 01 02 03 04 05"
TRAINING = """
import boto3, personalens
personalens.activate()
_personalize = boto3.client("personalize")
_solutions = _personalize.get_paginator("list_solutions").paginate().search("solutions[]")
_arn = next(each["solutionArn"] for each in _solutions if "hrnn" in each.get("recipeArn", ""))
_version = _personalize.create_solution_version(solutionArn=_arn, trainingMode="FULL")
personalens.wait(_personalize, _version["solutionVersionArn"])
"""


class MemoryWatch(threading.Thread):
    """Adds up the memory of every process on ``home``, until it is told to stop.

    The worker leaves its parent, so processes are known by the home in their environment.
    """

    def __init__(self, home: Path) -> None:
        super().__init__(daemon=True)
        self.home = str(home)
        self.peak = 0
        self.at_peak: dict[str, int] = {}
        self.stage_peak = 0
        self.stopped = threading.Event()

    def run(self) -> None:
        processes: list[tuple[str, psutil.Process]] = []
        for count in itertools.count():
            if self.stopped.wait(0.2):
                return
            if count % 5 == 0:
                processes = self.processes()
            sizes = _sizes(processes)
            total = sum(sizes.values())
            self.stage_peak = max(self.stage_peak, total)
            if total > self.peak:
                self.peak, self.at_peak = total, sizes

    def processes(self) -> list[tuple[str, psutil.Process]]:
        """Return each process with a name that says what it is."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(HOME_VARIABLE) == self.home:
                    found.append((f"{_kind(process.cmdline())} {process.pid}", process))
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def take_stage_peak(self) -> int:
        """Return the most since the last call."""
        peak, self.stage_peak = self.stage_peak, 0
        return peak


def _sizes(processes: list[tuple[str, psutil.Process]]) -> dict[str, int]:
    """Return the bytes of each process that still runs."""
    sizes = {}
    for name, process in processes:
        try:
            sizes[name] = process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return sizes


def _kind(command: list[str]) -> str:
    line = " ".join(command)
    for mark, kind in (("ipykernel", "kernel"), ("worker", "worker"), ("jupyter", "server")):
        if mark in line:
            return kind
    return "other"


@contextmanager
def jupyterlab(tree: Path, environment: dict[str, str]) -> Iterator[str]:
    """Start JupyterLab as binder/start does; yield its address and end it."""
    runtime = Path(environment["JUPYTER_RUNTIME_DIR"])
    options = ["--no-browser", "--ip=127.0.0.1", "--port=0", "--IdentityProvider.token="]
    options += ["--allow-root", "--ServerApp.disable_check_xsrf=True"]
    server = subprocess.Popen(
        [str(ROOT / "binder" / "start"), sys.executable, "-m", "jupyterlab", *options],
        cwd=tree,
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield _address(runtime, server)
    finally:
        server.terminate()
        server.wait(timeout=60)


def _address(runtime: Path, server: subprocess.Popen[bytes]) -> str:
    end = time.monotonic() + 120
    while server.poll() is None and time.monotonic() < end:
        for file in runtime.glob("jpserver-*.json"):
            with suppress(OSError, ValueError):
                url = json.loads(file.read_text())["url"]
                urlopen(f"{url}api", timeout=10).close()
                return url
        time.sleep(0.2)
    raise SystemExit("JupyterLab did not start")


def open_kernel(url: str, runtime: Path, notebook: str) -> BlockingKernelClient:
    """Open a notebook's session on the server, as a tab does, and connect to its kernel."""
    body = {"path": notebook, "type": "notebook", "name": notebook, "kernel": {"name": "python3"}}
    request = Request(f"{url}api/sessions", data=json.dumps(body).encode(), method="POST")
    with urlopen(request, timeout=60) as answer:
        kernel = json.load(answer)["kernel"]["id"]
    client = BlockingKernelClient(connection_file=str(runtime / f"kernel-{kernel}.json"))
    client.load_connection_file()
    client.start_channels()
    client.kernel_info(reply=True, timeout=120)
    return client


def run_cells(client: BlockingKernelClient, cells: list[str]) -> None:
    """Run sources one after another; what an exercise raises is part of the lab."""
    for source in cells:
        client.execute_interactive(source, timeout=900, output_hook=lambda message: None)


def code_of(notebook: Path, dataset: str) -> list[str]:
    """Return a lab's code cells, the parameters replaced as papermill does."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = []
    for cell in cells:
        if cell["cell_type"] == "code":
            code.append("".join(cell["source"]))
            if "parameters" in cell["metadata"].get("tags", ()):
                code.append(f"DATASET = {dataset!r}")
    return code


def measure(numbers: list[str], dataset: str, keep_kernels: bool) -> MemoryWatch:
    """Tell the most memory that was in use at each stage, and return the watch."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        shutil.copytree(ROOT / "labs", tree / "labs")
        shutil.copy(ROOT / "pyproject.toml", tree)
        home, runtime = tree / "home", tree / "runtime"
        environment = os.environ | {
            HOME_VARIABLE: str(home),
            "JUPYTER_RUNTIME_DIR": str(runtime),
            "JUPYTER_PREFER_ENV_PATH": "1",
            "JUPYTER_CONFIG_PATH": "" if keep_kernels else str(ROOT / "binder" / "jupyter"),
            "PYTHONPATH": str(ROOT),
        }
        watch, clients = MemoryWatch(home), []
        watch.start()
        with jupyterlab(tree, environment) as url:
            for number in numbers:
                (lab,) = (tree / "labs").glob(f"{number}_*.ipynb")
                clients.append(open_kernel(url, runtime, f"labs/{lab.name}"))
                run_cells(clients[-1], code_of(lab, dataset))
                _tell(f"lab {number}", watch)
            run_cells(clients[-1], [TRAINING])
            _tell("training", watch)
            watch.stopped.set()
            watch.join()
            for client in clients:
                client.stop_channels()
        return watch


def _tell(stage: str, watch: MemoryWatch) -> None:
    peak = watch.take_stage_peak()
    sizes = ", ".join(
        f"{name} {size / 1e6:.0f}" for name, size in sorted(_sizes(watch.processes()).items())
    )
    print(f"{stage:<10} {peak / 1e6:6,.0f} MB at most; now {sizes}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labs", default=LABS, help="their numbers")
    parser.add_argument("--dataset", default="ml-latest-small")
    parser.add_argument("--keep-kernels", action="store_true", help="whatever memory is left")
    parser.add_argument("--limit", type=float, default=BINDER_LIMIT, help="bytes")
    options = parser.parse_args()
    watch = measure(options.labs.split(), options.dataset, options.keep_kernels)
    sizes = ", ".join(f"{name} {size / 1e6:.0f}" for name, size in sorted(watch.at_peak.items()))
    print(f"peak {watch.peak / 1e6:,.0f} MB of {options.limit / 1e6:,.0f}: {sizes}")
    return int(watch.peak > options.limit)


if __name__ == "__main__":
    raise SystemExit(main())
