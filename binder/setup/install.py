"""Install the pinned packages with uv into the environment of the Python that runs this file.

`make`, Binder, the development container and CI all install with this file, which needs nothing but
Python. uv comes through pip; it links packages from its cache, so a second environment on the same
machine takes seconds. Where uv cannot be had, pip does the work.

PyTorch for Linux brings CUDA, 2 GB and more, unless its CPU build is asked for, which PyTorch's own
index has. That build is taken where no GPU answers; where that index cannot be reached, whatever
build the package index offers. TORCH_BACKEND=cpu|cu130|... decides by hand, TORCH_BACKEND=index
takes the package index's.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UV_VERSION = "0.13.9"
PIP = ("-m", "pip", "--disable-pip-version-check")
OF_PIP = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "constraint": "UV_CONSTRAINT",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "proxy": "ALL_PROXY",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "timeout": "UV_HTTP_TIMEOUT",
}
"""pip's settings and the variables that say the same to uv, which does not read pip's."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="the environment to install into")
    parser.add_argument("-r", "--requirements", type=Path, default=ROOT / "requirements.txt")
    parser.add_argument("--extras", help="of the package, at the pinned versions; nothing else")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wanted = ["-r", str(options.requirements)]
        if options.extras:
            pins = Path(folder) / "pins.txt"
            pins.write_text(pins_of(options.requirements), encoding="utf-8")
            wanted = ["-e", f"{ROOT}[{options.extras}]", "-c", str(pins)]
        status = install(options.python, wanted, torch_pin(options.requirements))
    if status == 0 and options.python == sys.executable:
        configure_jupyter(Path(sys.prefix))
    return status


def pins_of(requirements: Path) -> str:
    """Return a requirements file without the package itself, to be used as constraints."""
    lines = requirements.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("-e"))


def torch_pin(requirements: Path) -> str:
    """Return the line that pins PyTorch, in this file or, for a file without one, in the main."""
    for path in (requirements, ROOT / "requirements.txt"):
        if found := re.search(r"^torch==\S+", path.read_text(encoding="utf-8"), re.MULTILINE):
            return found.group()
    raise SystemExit(f"no pin of torch in {requirements}")


def install(python: str, wanted: Sequence[str], torch: str) -> int:
    """Install ``wanted`` into the environment of ``python``; return the exit status."""
    uv = get_uv()
    if uv is None:
        say("uv cannot be had: pip installs the packages, which takes some minutes")
        return subprocess.call([python, *PIP, "install", "--progress-bar", "off", *wanted])
    settings = pip_settings()
    environment = {**os.environ, **settings}
    backend = torch_backend(uv, python, torch, environment)
    command = [uv, "pip", "install", "--python", python, *wanted]
    return run_plainly(command + backend, environment)


def get_uv() -> str | None:
    """Return the path of the pinned uv in this environment; None if pip cannot install it."""
    try:
        installed = metadata.version("uv") == UV_VERSION
    except metadata.PackageNotFoundError:
        installed = False
    if not installed:
        command = [sys.executable, *PIP, "install", "--quiet", f"uv=={UV_VERSION}"]
        if subprocess.call(command, stderr=subprocess.DEVNULL):
            return None
    return shutil.which("uv", path=sysconfig.get_path("scripts"))


def pip_settings() -> dict[str, str]:
    """Return uv's variables for what this machine has configured for pip."""
    command = [sys.executable, *PIP, "config", "list"]
    listing = subprocess.run(command, capture_output=True, text=True).stdout
    return uv_variables(listing, os.environ)


def uv_variables(listing: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return uv's variables for the lines of ``pip config list``; those that are set already stay.

    >>> uv_variables("global.index-url='https://x/simple'\\nglobal.timeout='9'", {})
    {'UV_DEFAULT_INDEX': 'https://x/simple', 'UV_HTTP_TIMEOUT': '9'}
    """
    found = re.findall(r"^(global|install|:env:)\.([\w-]+)=(.+)$", listing, re.MULTILINE)
    variables = {}
    for section in ("global", "install", ":env:"):  # pip's order: the last one holds
        for place, key, value in found:
            if place == section and key in OF_PIP and OF_PIP[key] not in environment:
                words = str(ast.literal_eval(value)).split()
                glue = "," if key == "find-links" else " "
                variables[OF_PIP[key]] = glue.join(words)
    if "UV_INDEX" in variables and "UV_INDEX_STRATEGY" not in environment:
        variables["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # all indexes alike, as pip does
    return variables


def torch_backend(uv: str, python: str, torch: str, environment: Mapping[str, str]) -> list[str]:
    """Return uv's option for PyTorch's build; none where the package index's own is taken."""
    wished = os.environ.get("TORCH_BACKEND")
    if wished:
        return [] if wished == "index" else [f"--torch-backend={wished}"]
    if sys.platform != "linux":
        return []  # elsewhere the package index has the build without CUDA
    backend = "auto" if gpu_answers() else "cpu"
    option = f"--torch-backend={backend}"
    command = [uv, "pip", "compile", "--quiet", "--no-deps", "--python", python, option, "-"]
    asked = subprocess.run(
        command, input=torch, env={**environment, "UV_HTTP_RETRIES": "1"}, text=True,
        capture_output=True,
    )  # fmt: skip
    if asked.returncode == 0:
        say("PyTorch: " + ("the build for this GPU" if backend == "auto" else "the CPU build"))
        return [option]
    say("PyTorch: its own index does not answer, so the build comes from the package index")
    return []


def gpu_answers() -> bool:
    """Return whether NVIDIA's driver reports a GPU."""
    try:
        command = ["nvidia-smi", "--list-gpus"]
        found = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return found.returncode == 0 and "GPU" in found.stdout


def run_plainly(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run uv, with a line for each step and no bars, so that a log file can be read, and without
    the list of all that it installed."""
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if not line.startswith((" + ", " - ", " ~ ", "Using Python")):
                say(line.strip())
    return process.returncode


def configure_jupyter(prefix: Path) -> None:
    """Give every JupyterLab of this environment the labs' settings: see binder/setup/jupyter."""
    shutil.copytree(
        ROOT / "binder" / "setup" / "jupyter", prefix / "etc" / "jupyter", dirs_exist_ok=True
    )


def say(text: str) -> None:
    print(f"  {text}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
