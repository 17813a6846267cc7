"""Requests that must not wait: a server answers those itself that need no more than memory.

Whatever is about to read a file or to compute for long says so by :func:`about_to_wait`. Inside
:func:`without_waiting` that ends the attempt, and the caller makes another one in a thread, where
it may last. So an attempt must not have changed anything, nor drawn any chance, before it waits.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_of_thread = threading.local()


class WouldWait(BaseException):
    """The request cannot be answered at once. No Exception, for it is no failure to be handled."""


@contextmanager
def without_waiting() -> Iterator[None]:
    """Have whatever would wait in this thread raise :class:`WouldWait` instead.

    >>> with without_waiting():
    ...     about_to_wait()
    Traceback (most recent call last):
    ...
    personalens.runtime.waiting.WouldWait
    >>> about_to_wait()
    """
    _of_thread.must_not = True
    try:
        yield
    finally:
        _of_thread.must_not = False


def about_to_wait() -> None:
    """Say that what follows may take milliseconds."""
    if getattr(_of_thread, "must_not", False):
        raise WouldWait
