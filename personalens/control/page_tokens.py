"""The opaque tokens by which a listing goes on.

Amazon Personalize: ``nextToken`` of every List operation.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from personalens.service_errors import InvalidNextTokenException


def make_token(after: int, listing: str) -> str:
    """Return the token that goes on after a row of a listing.

    Parameters
    ----------
    after
        The row's sequence number.
    listing
        What is listed, filters included: a token is good for one listing only.
    """
    text = f"{after}/{_digest(after, listing)}"
    return base64.urlsafe_b64encode(text.encode()).decode()


def read_token(token: str, listing: str) -> int:
    """Return the row after which a token goes on.

    Raises
    ------
    InvalidNextTokenException
        If this listing did not give it.
    """
    try:
        after, digest = base64.b64decode(token, altchars=b"-_", validate=True).decode().split("/")
        if digest == _digest(int(after), listing):
            return int(after)
    except (ValueError, binascii.Error):
        pass
    raise InvalidNextTokenException(
        f"The token {token!r} is not valid for this listing: give the nextToken of the previous"
        " answer with the same other parameters, or leave it out to start at the beginning."
    )


def _digest(after: int, listing: str) -> str:
    return hashlib.blake2b(f"{after}/{listing}".encode(), digest_size=8).hexdigest()
