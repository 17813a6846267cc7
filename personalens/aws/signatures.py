"""Verify the SigV4 signature of a request, as the services' front end does.

botocore's own signer computes the signature that the request should carry, from the request as it
arrived and the secret that belongs to its access key. So whatever a client signs, it signs for us
as it does for AWS; nothing of the algorithm is repeated here.

References
----------
AWS, "Signature Version 4 for API requests" and "Troubleshoot AWS Signature Version 4" (IAM User
Guide): what must be signed, five minutes of clock skew, and the messages.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import string
import time
from collections.abc import Callable, Mapping
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials
from botocore.session import Session

from personalens.aws.service_models import CONTROL
from personalens.service_errors import ServiceError

SIGNING_NAME = CONTROL
"""All three services sign as "personalize"."""

SKEW_MINUTES = 5
_ALGORITHM = "AWS4-HMAC-SHA256"
_MOST_SIGNED_HEADERS = 100
"""botocore's signer takes the square of their number."""
_PARTS = ("Credential", "SignedHeaders", "Signature")
_INVALID_TOKEN = "The security token included in the request is invalid."
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS "
    "Secret Access Key and signing method. Consult the service documentation for details."
)


class AuthenticationError(ServiceError):
    """A request that is not, or not rightly, signed. The control service answers 400 instead."""

    http_status = 403


class MissingAuthenticationTokenException(AuthenticationError):
    code = "MissingAuthenticationTokenException"


class IncompleteSignatureException(AuthenticationError):
    code = "IncompleteSignatureException"


class UnrecognizedClientException(AuthenticationError):
    code = "UnrecognizedClientException"


class InvalidSignatureException(AuthenticationError):
    code = "InvalidSignatureException"


class _Claim(NamedTuple):
    """What an Authorization header says."""

    access_key: str
    day: str
    region: str
    service: str
    terminator: str
    signed_headers: list[str]
    signature: str


class Admission(NamedTuple):
    """What is left to be compared is the signature."""

    claim: _Claim
    moment: datetime
    credentials: Credentials


def read_credentials(path: Path) -> dict[str, Credentials]:
    """Return the credentials of a file by access key.

    The file is of the form of ``~/.aws/credentials``: sections with ``aws_access_key_id``,
    ``aws_secret_access_key`` and, for temporary ones, ``aws_session_token``. Every section counts.
    An ``aws_account_id`` gives who signs with the key an account of their own.
    """
    parser = ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ConfigParserError) as error:
        raise ValueError(f"The credentials file {path} cannot be read: {error}") from error
    found = {}
    for name in parser.sections():
        section = parser[name]
        key, secret = section.get("aws_access_key_id"), section.get("aws_secret_access_key")
        if not key or not secret:
            raise ValueError(
                f"The section [{name}] of {path} needs aws_access_key_id and aws_secret_access_key."
            )
        account = section.get("aws_account_id")
        if account is not None and not re.fullmatch(r"[0-9]{12}", account):
            raise ValueError(
                f"aws_account_id in the section [{name}] of {path} is {account!r}; an account id "
                "is exactly twelve digits."
            )
        token = section.get("aws_session_token")
        found[key] = Credentials(key, secret, token, account_id=account)
    if not found:
        raise ValueError(
            f"{path} holds no credentials. It should look like ~/.aws/credentials: a line [default]"
            ", then aws_access_key_id = ... and aws_secret_access_key = ..."
        )
    return found


class SignatureVerifier:
    """Lets through the requests that the holder of one of some credentials has signed."""

    def __init__(
        self, credentials: Mapping[str, Credentials], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._credentials = credentials
        self._clock = clock

    def admit(self, headers: Mapping[str, str]) -> Admission:
        """Return what a request claims, if its headers alone do not refute it. A stranger gets no
        further: neither is the body waited for, nor anything computed from it.

        Headers have lower-case names; several of one name are joined by commas.
        """
        claim = _read_claim(headers)
        moment = _read_moment(headers)
        _check_scope(claim, moment)
        self._check_time(moment)
        credentials = self._credentials.get(claim.access_key)
        token = headers.get("x-amz-security-token")
        if credentials is None or not _is_same(token, credentials.token):
            raise UnrecognizedClientException(_INVALID_TOKEN)
        _check_signed_headers(claim, headers)
        return Admission(claim, moment, credentials)

    def verify(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
        admission: Admission | None = None,
    ) -> None:
        """Return if the signature is right, else raise AuthenticationError.

        Path, query and headers are as they were sent, bytes beyond ASCII as Latin-1.
        """
        claim, moment, credentials = admission or self.admit(headers)
        if headers.get("x-amz-content-sha256", "") not in ("", hashlib.sha256(body).hexdigest()):
            raise InvalidSignatureException(_MISMATCH)
        # The name in the address counts for nothing: Host is one of the signed headers.
        target = f"{_as_text(path)}?{quote(_as_text(query), safe=string.printable)}"
        request = AWSRequest(method, f"http://localhost/{target.removeprefix('/')}", data=body)
        request.context["timestamp"] = moment.strftime(SIGV4_TIMESTAMP)
        for name in claim.signed_headers:
            request.headers[name] = _as_text(headers.get(name, ""))
        signer = _Signer(credentials, SIGNING_NAME, claim.region)
        text = signer.string_to_sign(request, signer.canonical_request(request))
        if not _is_same(claim.signature, signer.signature(text, request)):
            raise InvalidSignatureException(_MISMATCH)

    def _check_time(self, moment: datetime) -> None:
        now = datetime.fromtimestamp(self._clock(), UTC)
        seconds = (moment - now).total_seconds()
        shown = moment.strftime(SIGV4_TIMESTAMP), now.strftime(SIGV4_TIMESTAMP)
        if seconds < -60 * SKEW_MINUTES:
            raise InvalidSignatureException(
                f"Signature expired: {shown[0]} is more than {SKEW_MINUTES} min. earlier than "
                f"{shown[1]}."
            )
        if seconds > 60 * SKEW_MINUTES:
            raise InvalidSignatureException(
                f"Signature not yet current: {shown[0]} is more than {SKEW_MINUTES} min. later "
                f"than {shown[1]}."
            )


class _Signer(SigV4Auth):
    """botocore's signer, for exactly the headers that the client says it signed."""

    def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
        return request.headers


def _is_same(given: str | None, wanted: str | None) -> bool:
    """Compare a secret, or something made with one, in a time that tells nothing of it."""
    if given is None or wanted is None:
        return given is wanted
    return hmac.compare_digest(given.encode(), wanted.encode())


def _as_text(sent: str) -> str:
    """Return the text whose UTF-8 the signature covers: what was sent, if it is UTF-8, else its
    Latin-1, for so Python's HTTP client sends what it has signed as UTF-8."""
    try:
        return sent.encode("latin-1").decode()
    except UnicodeError:
        return sent


def _read_claim(headers: Mapping[str, str]) -> _Claim:
    text = headers.get("authorization", "").strip()
    if not text:
        raise MissingAuthenticationTokenException("Missing Authentication Token")
    algorithm, _, rest = text.partition(" ")
    named = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    lacking = [f"Authorization header requires '{name}' parameter." for name in _PARTS]
    lacking = [text for name, text in zip(_PARTS, lacking, strict=True) if not named.get(name)]
    if algorithm != _ALGORITHM:
        lacking.insert(0, f"Only {_ALGORITHM} is accepted, not '{algorithm}'.")
    if lacking:
        raise IncompleteSignatureException(" ".join(lacking))
    scope = named["Credential"].split("/")
    if len(scope) != 5:
        raise IncompleteSignatureException(
            "Credential must have exactly 5 slash-delimited elements, e.g. "
            f"keyid/date/region/service/term, got '{named['Credential']}'"
        )
    signed = list(dict.fromkeys(named["SignedHeaders"].lower().split(";")))
    if len(signed) > _MOST_SIGNED_HEADERS:
        raise IncompleteSignatureException(
            f"SignedHeaders names {len(signed)} headers; at most {_MOST_SIGNED_HEADERS} are taken."
        )
    return _Claim(*scope, signed, named["Signature"])


def _read_moment(headers: Mapping[str, str]) -> datetime:
    """Return when the request was signed: X-Amz-Date, else Date."""
    try:
        if text := headers.get("x-amz-date"):
            return datetime.strptime(text, SIGV4_TIMESTAMP).replace(tzinfo=UTC)
        moment = parsedate_to_datetime(headers.get("date", ""))
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        raise IncompleteSignatureException(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header, "
            "with a valid date."
        ) from None


def _check_scope(claim: _Claim, moment: datetime) -> None:
    day = moment.strftime("%Y%m%d")
    if claim.day != day:
        raise InvalidSignatureException(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from "
            f"HTTP: '{claim.day}' != '{day}', from '{moment.strftime(SIGV4_TIMESTAMP)}'."
        )
    if claim.region not in _regions():
        raise InvalidSignatureException("Credential should be scoped to a valid region.")
    if claim.service != SIGNING_NAME:
        raise InvalidSignatureException(
            f"Credential should be scoped to correct service: '{SIGNING_NAME}'."
        )
    if claim.terminator != "aws4_request":
        raise InvalidSignatureException(
            "Credential should be scoped with a valid terminator: 'aws4_request'."
        )


def _check_signed_headers(claim: _Claim, headers: Mapping[str, str]) -> None:
    """What decides the answer must be signed, or someone between could change it."""
    needed = {"host", *(name for name in headers if re.match(r"x-amz-|content-type$", name))}
    # The token is a secret itself; some clients add it only after they have signed.
    needed -= {"x-amz-user-agent", "x-amz-security-token"}
    if "x-amz-date" not in headers:
        needed.add("date")
    for name in sorted(needed - set(claim.signed_headers)):
        raise InvalidSignatureException(
            f"'{name}' must be a 'SignedHeader' in the AWS Authorization."
        )


@cache
def _regions() -> frozenset[str]:
    """Return the regions that have Amazon Personalize."""
    session = Session()
    return frozenset(
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions(SIGNING_NAME, partition)
    )
