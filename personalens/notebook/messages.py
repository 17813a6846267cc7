"""Lines of text below a cell: they break between words, where a page is too narrow for them."""

from __future__ import annotations

import textwrap

_WIDTH = 100
"""Characters; what JupyterLab shows beside its file browser on a small screen."""


def say(text: str) -> None:
    """Print a message. JupyterLab breaks a long line wherever the page ends, even within a word, so
    it is broken here; an ARN or an address stays whole. A message of several lines is laid out
    already, such as one that points at a place in the line above, and stays as it is.

    Examples
    --------
    >>> say("Training began. " * 7)
    Training began. Training began. Training began. Training began. Training began. Training began.
    Training began.
    """
    if "\n" not in text:
        text = textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
    print(text)
