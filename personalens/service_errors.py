"""The errors that Amazon Personalize's service models declare, as Python exceptions.

Providers raise them; the transports turn them into the wire form that botocore maps back to its
own typed exceptions (``client.exceptions.ResourceNotFoundException``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class ServiceError(Exception):
    """Base of all errors that reach the client. ``str(error)`` is the message."""

    code = "InternalServerError"
    http_status = 500

    @property
    def message(self) -> str:
        return str(self)


class InvalidInputException(ServiceError):
    code = "InvalidInputException"
    http_status = 400


class ResourceNotFoundException(ServiceError):
    code = "ResourceNotFoundException"
    http_status = 404


class ResourceAlreadyExistsException(ServiceError):
    code = "ResourceAlreadyExistsException"
    http_status = 400


class ResourceInUseException(ServiceError):
    code = "ResourceInUseException"
    http_status = 409


class LimitExceededException(ServiceError):
    code = "LimitExceededException"
    http_status = 400


class InvalidNextTokenException(ServiceError):
    code = "InvalidNextTokenException"
    http_status = 400


class TooManyTagsException(ServiceError):
    code = "TooManyTagsException"
    http_status = 400


class TooManyTagKeysException(ServiceError):
    code = "TooManyTagKeysException"
    http_status = 400


class OperationNotImplemented(ServiceError):
    """An operation of the service model that PersonaLens does not answer yet."""

    code = "NotImplementedException"
    http_status = 501


class SerializationException(ServiceError):
    """A request whose body is not JSON, or holds a member of the wrong type."""

    code = "SerializationException"
    http_status = 400


class UnknownOperationException(ServiceError):
    """A request for an operation that no version of the service has."""

    code = "UnknownOperationException"
    http_status = 404


class DamagedHome(ServiceError):
    """Files of the home are not what was written; as for a full disk, 507 is not tried again."""

    code = "StorageError"
    http_status = 507


@contextmanager
def as_invalid_input(*kinds: type[Exception]) -> Iterator[None]:
    """Turn errors of these kinds, whose messages are for the user, into InvalidInputException."""
    try:
        yield
    except kinds as error:
        raise InvalidInputException(str(error)) from error
