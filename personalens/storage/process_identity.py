"""Who runs a job: a process, so precisely that a recycled process number is not mistaken for it."""

from __future__ import annotations

import functools
import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class ProcessIdentity:
    """A process on a machine.

    Attributes
    ----------
    host
        Machine, boot and process namespace: process numbers mean something only inside one.
    pid
        The process number.
    started
        When it started, in the kernel's ticks; None where the system does not tell (macOS).
    """

    host: str
    pid: int
    started: int | None = None

    @classmethod
    def of_self(cls) -> ProcessIdentity:
        """Return this process's identity."""
        state = _read_state(os.getpid())
        return cls(this_host(), os.getpid(), None if state is None else state[1])

    @classmethod
    def from_json(cls, text: str) -> ProcessIdentity:
        """Read what :meth:`to_json` wrote."""
        return cls(**json.loads(text))

    def to_json(self) -> str:
        """Write for the catalogue."""
        return json.dumps(asdict(self))

    @property
    def is_here(self) -> bool:
        """Whether it belongs to this machine, so that its end can be seen."""
        return self.host == this_host()

    def is_gone(self) -> bool:
        """Whether it is known to have ended. False for other machines: only its lease can tell."""
        if not self.is_here:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
        state = _read_state(self.pid)
        if state is None:
            return _PROC.joinpath("self").exists()  # ended between the two looks
        letter, started = state
        return letter in "ZX" or (self.started is not None and started != self.started)

    def lease_is_over(self, *, wall: float, monotonic: float) -> bool:
        """Whether a lease that ends at these times is over.

        On its own machine the monotonic clock decides: it stands still while a laptop sleeps, so
        that nobody loses a job for having been asleep.
        """
        return time.monotonic() > monotonic if self.is_here else time.time() > wall


@functools.cache
def this_host() -> str:
    """Return what distinguishes this machine, boot and process namespace from every other."""
    parts = [socket.gethostname()]
    try:
        parts.append((_PROC / "sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink(_PROC / "self/ns/pid"))
    except OSError:
        pass
    return "/".join(parts)


def _read_state(pid: int) -> tuple[str, int] | None:
    """Return (state letter, start tick) from /proc, or None."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before may hold spaces and brackets
    return fields[0], int(fields[19])
