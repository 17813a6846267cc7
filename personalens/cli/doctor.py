"""``personalens doctor``: is everything in place, and if not, what to do."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from personalens.datasets.releases import DATA_VARIABLE, RELEASES, SAMPLE, find_data
from personalens.durable_files import DamagedFiles
from personalens.home import HOME_VARIABLE, Home, default_home

DEFAULT_PORT = 8765
_LEAST_PYTHON = (3, 11)
_LEAST_FREE_MEMORY, _LEAST_FREE_DISK = 1.0, 0.5
_PIN = re.compile(r"([A-Za-z0-9._-]+)==([^\s;]+)")
REPORT = "run make to install afresh; if it stays, report it"
START_AFRESH = "restore a backup of the home, or start afresh: personalens reset"
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report. ``remedy`` says what to do and makes it a problem."""

    subject: str
    text: str
    remedy: str = ""

    @property
    def is_ok(self) -> bool:
        return not self.remedy

    def __str__(self) -> str:
        mark = "OK     " if self.is_ok else "PROBLEM"
        line = f"{mark}  {self.subject:<9} {self.text}"
        return line if self.is_ok else f"{line}\n         {'':<9} -> {self.remedy}"


def examine(home: Home | None = None, *, port: int = DEFAULT_PORT) -> Iterator[Finding]:
    """Yield a finding for each thing that a lab needs, in the order in which it would fail."""
    home = home or default_home()
    checks: dict[str, Callable[[], Finding]] = {
        "python": check_python,
        "packages": check_packages,
        "torch": check_torch,
        "memory": check_memory,
        "data": check_data,
        "home": lambda: check_home(home),
        "worker": lambda: check_worker(home),
        "kernel": check_kernel,
        "models": check_models,
        "port": lambda: check_port(port),
    }
    for subject, check in checks.items():
        try:
            yield check()
        except Exception as error:  # any fault is what the learner wants to know
            yield finding_of(subject, error)


def finding_of(subject: str, error: Exception) -> Finding:
    """Return the finding that a check could not be made, with advice that fits."""
    from personalens.storage.catalogue import DamagedFile, NewerFile, StorageError

    if isinstance(error, NewerFile):
        remedy = f"update PersonaLens, or set {HOME_VARIABLE} to another folder: nothing is lost"
    elif isinstance(error, DamagedFile | DamagedFiles):
        remedy = START_AFRESH
    elif isinstance(error, StorageError | OSError):
        remedy = "put right what it says, and look again"
    else:
        return Finding(subject, f"{type(error).__name__}: {error}", REPORT)
    return Finding(subject, str(error), remedy)


def check_python() -> Finding:
    """Python is new enough, and it is an environment of its own."""
    version = ".".join(map(str, sys.version_info[:3]))
    where = "in a virtual environment" if sys.prefix != sys.base_prefix else "outside any"
    text = f"{version} {where}, {os.path.relpath(sys.prefix)}"
    is_old = sys.version_info < _LEAST_PYTHON
    return Finding("python", text, "install Python 3.11 or newer, then run make" if is_old else "")


def check_packages(pins: Path | None = None) -> Finding:
    """The installed versions are the pinned ones; outside a checkout there are no pins."""
    pins = pins or Path(__file__).resolve().parents[2] / "requirements.txt"
    if not pins.is_file():
        return Finding("packages", "no requirements.txt beside the package: versions not compared")
    # A pin with a marker is for one version of Python only, maybe another one.
    wanted = dict(_PIN.findall(re.sub(r"#.*|.*;.*", "", pins.read_text(encoding="utf-8"))))
    different = []
    for name, version in wanted.items():
        try:
            installed = metadata.version(name).partition("+")[0]
        except metadata.PackageNotFoundError:
            installed = "missing"
        if installed != version:
            different.append(f"{name} {installed} (pinned {version})")
    if different:
        more = f" and {len(different) - 3} more" if len(different) > 3 else ""
        return Finding("packages", ", ".join(different[:3]) + more, "run make, which reinstalls")
    return Finding("packages", f"{len(wanted)} packages, all at their pinned versions")


def check_torch() -> Finding:
    """PyTorch computes, with how many threads and on which device."""
    import torch

    if not torch.equal(torch.ones(2, 2) @ torch.ones(2, 2), torch.full((2, 2), 2.0)):
        return Finding("torch", "computes wrongly", "reinstall it: make distclean, then make")
    device = "a CUDA device" if torch.cuda.is_available() else "the CPU"
    threads, cores = torch.get_num_threads(), os.cpu_count()
    return Finding("torch", f"{torch.__version__} on {device}, {threads} threads, {cores} cores")


def check_memory() -> Finding:
    """There is room for a training."""
    free = _free_memory()
    if free is None:
        return Finding("memory", "this system does not say how much is free")
    remedy = f"close something: a lab takes {_LEAST_FREE_MEMORY:g} GB"
    return Finding("memory", f"{free:.1f} GB free", remedy if free < _LEAST_FREE_MEMORY else "")


def check_data() -> Finding:
    """Which data sets are here; the sample always is, so only a wrong variable is a problem."""
    value = os.environ.get(DATA_VARIABLE)
    if value and not Path(value).expanduser().is_dir():
        text = f"{DATA_VARIABLE} is {value}, which is no folder"
        return Finding("data", text, "set it to the folder that holds ml-latest-small, or unset it")
    here = [name for name in RELEASES if find_data(name)]
    text = f"{', '.join([*here, SAMPLE])} at hand"
    if not here:
        text += "; the labs try to download ml-latest-small (1 MB), else they use the sample"
    return Finding("data", text)


def check_home(home: Home) -> Finding:
    """The home, or the folder it would be made in, can be written and is not full."""
    folder = next(path for path in (home.path, *home.path.parents) if path.exists())
    remedy = f"make it writable, or set {HOME_VARIABLE} to a folder that is"
    if not folder.is_dir():
        return Finding("home", f"{folder} is not a folder", remedy)
    is_full = f"free some space, or set {HOME_VARIABLE} to another disk"
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            file.write(b"x")
    except OSError as error:
        text = f"{home.path} cannot be written: {error.strerror}"
        return Finding("home", text, is_full if error.errno in _FULL else remedy)
    free = shutil.disk_usage(folder).free / 2**30
    text = f"{home.path}, {free:.1f} GB free"
    return Finding("home", text, is_full if free < _LEAST_FREE_DISK else "")


def check_worker(home: Home) -> Finding:
    """No job waits without a worker."""
    if not home.catalogue.exists():
        return Finding("worker", "none is needed yet: the home is empty")
    from personalens.storage.job_queue import JobQueue

    jobs = JobQueue(home)
    waiting, workers = jobs.waiting(), count_workers(home)
    text = f"{workers} running, {waiting} jobs waiting"
    if waiting and not workers:
        log = home.logs / "worker.log"
        return Finding("worker", text, f"describe the resource once more; if it stays, read {log}")
    return Finding("worker", text)


def count_workers(home: Home) -> int:
    """Return how many worker processes of this home are alive."""
    from personalens.storage.job_queue import ProcessIdentity
    from personalens.storage.resource_store import ResourceStore

    with ResourceStore(home).catalogue.reading() as connection:
        holders = [row[0] for row in connection.execute("SELECT holder FROM workers")]
    return sum(not ProcessIdentity.from_json(holder).is_gone() for holder in holders)


def check_kernel() -> Finding:
    """Notebooks run in this environment's Python."""
    from jupyter_client.kernelspec import KernelSpecManager

    command = KernelSpecManager().get_kernel_spec("python3").argv[0]
    if command.startswith("python") or Path(command).parent == Path(sys.executable).parent:
        return Finding("kernel", "notebooks run in this environment's Python")
    remedy = "set JUPYTER_PREFER_ENV_PATH=1, or start JupyterLab with make lab"
    return Finding("kernel", f"notebooks run in {command}", remedy)


def check_models() -> Finding:
    """No stale model of Amazon Personalize lies where botocore looks first."""
    from personalens.aws.service_models import find_foreign_models

    found = find_foreign_models()
    if not found:
        return Finding("models", "botocore's own of Amazon Personalize, and no other")
    folders = ", ".join(map(str, found))
    return Finding(
        "models",
        f"{folders}: PersonaLens ignores it, but the AWS CLI and boto3 without PersonaLens read it",
        f"move it away, unless it was put there on purpose: mv {found[0]} {found[0]}.old",
    )


def check_port(port: int) -> Finding:
    """The server's port is free."""
    try:
        with socket.create_server(("127.0.0.1", port)):
            return Finding("port", f"{port} is free for personalens serve")
    except OSError as error:
        text = f"{port} is taken ({error.strerror})"
        return Finding("port", text, f"stop what uses it, or personalens serve --port {port + 1}")


def _free_memory() -> float | None:
    """Return the memory that a new process can have, in GB; None where the system is silent."""
    with suppress(OSError):
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        if match := re.search(r"MemAvailable:\s+(\d+) kB", text):
            return int(match[1]) / 2**20
    return None
