"""A child process under strace: what it calls is written down, or fails on demand.

strace counts calls by thread from the moment when it attaches, so a child of ``fork()`` with
everything imported calls little but what the work itself needs.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

PR_SET_PTRACER, ANYBODY = 0x59616D61, ctypes.c_ulong(2**64 - 1)
ATTACH_SECONDS = 20.0


class CannotTrace(RuntimeError):
    """strace is not installed, or this system does not let it look at a process."""


def traced(work: Callable[[], object], options: Sequence[str], output: Path) -> str | None:
    """Do work in a child under strace, whose report goes to a file; return the child's error.

    Raises
    ------
    CannotTrace
        If there is no strace, or it cannot attach.
    """
    if shutil.which("strace") is None:
        raise CannotTrace("strace is not installed: apt-get install strace")
    begin_reader, begin = os.pipe()
    failure_reader, failure = os.pipe()
    if (child := os.fork()) == 0:
        status = 1
        try:
            ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANYBODY, 0, 0, 0)  # Debian's default needs it
            os.read(begin_reader, 1)
            work()
            status = 0
        except BaseException:
            os.write(failure, traceback.format_exc()[-4000:].encode())
        os._exit(status)
    os.close(failure)
    command = ["strace", "-f", "-qq", *options, "-o", str(output), "-p", str(child)]
    strace = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        _wait_until_attached(child, strace)
        os.write(begin, b"!")
        with os.fdopen(failure_reader, "rb") as file:
            said = file.read().decode()
    finally:
        os.close(begin)  # a child that still waits goes on, and its parent does not wait for ever
        os.close(begin_reader)
        _, status = os.waitpid(child, 0)
        strace.communicate()
    return said or (f"it ended with {status}" if status else None)


def _wait_until_attached(child: int, strace: subprocess.Popen[str]) -> None:
    status, deadline = Path(f"/proc/{child}/status"), time.monotonic() + ATTACH_SECONDS
    while "TracerPid:\t0\n" in status.read_text():
        if strace.poll() is not None or time.monotonic() > deadline:
            os.kill(child, 9)
            strace.kill()
            raise CannotTrace(f"strace cannot attach: {strace.communicate()[1].strip()}")
        time.sleep(0.002)
