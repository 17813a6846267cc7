"""The progress board: which self-checks are done, lab by lab; and the end of a lab."""

from __future__ import annotations

import re
import threading
import urllib.request
from contextlib import suppress
from typing import Any

from personalens.notebook.checks import CHECKS, load_checks, say
from personalens.notebook.lab_data import read_done

_BLOCKS = 20


def lab_of(name: str) -> int:
    """Return the number of a check's lab.

    >>> lab_of("5.1"), lab_of("12b")
    (5, 12)
    """
    return int(re.match(r"\d+", name)[0])


def board() -> str:
    """Return a line for each lab that has been begun, and how many checks are done in all."""
    load_checks()
    done, labs = read_done() & set(CHECKS), sorted({lab_of(name) for name in CHECKS})
    lines = []
    for number in labs:
        own = [name for name in CHECKS if lab_of(name) == number]
        count = len(done.intersection(own))
        if count:
            bar = "■" * count + "□" * (len(own) - count)
            lines.append(f"Lab {number:02d}  {bar:<{_BLOCKS}} {count} of {len(own)}")
    return "\n".join([*lines, f"{len(done)} of {len(CHECKS)} checks done."])


def close(number: int) -> None:
    """Say which checks of a lab are done, show the board, and offer to end the kernel."""
    load_checks()
    own = [name for name in CHECKS if lab_of(name) == number]
    left = [name for name in own if name not in read_done()]
    say(f"Lab {number:02d}: {len(own) - len(left)} of {len(own)} checks done.")
    if left:
        say(f"Still open: {', '.join(left)}.")
    print(board())
    _offer_to_end_the_kernel()


def _offer_to_end_the_kernel() -> None:
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return
    from IPython.display import display
    from ipywidgets import Button

    button = Button(description="End this kernel", icon="power-off")
    button.tooltip = "Frees the memory of this notebook. What you have written stays."
    button.on_click(_end)
    display(button)


def _end(button: Any) -> None:
    """Ask the Jupyter server to end this kernel. A kernel that ended by itself would be started
    again."""
    button.disabled, button.description = True, "The kernel has ended"
    # In a thread: the server waits until the kernel, which runs this, answers.
    threading.Thread(target=_ask_the_server, args=[button], daemon=True).start()


def _ask_the_server(button: Any) -> None:
    from ipykernel.connect import get_connection_file
    from jupyter_server.serverapp import list_running_servers

    kernel = re.search(r"kernel-(.+)\.json", get_connection_file())[1]
    for server in list_running_servers():
        request = urllib.request.Request(
            f"{server['url']}api/kernels/{kernel}",
            headers={"Authorization": f"token {server['token']}"},
            method="DELETE",
        )
        with suppress(OSError):  # another server's kernel, or a server that is gone
            urllib.request.urlopen(request, timeout=30)
            return
    button.description = "Choose Kernel > Shut Down Kernel"
