"""The three service models that botocore ships: what may be asked, and how it is spelled.

Everything above reads operations, shapes and routes from here, so a new operation in a newer
botocore is known at once. A model takes some 50 ms to load and is loaded once per process.

Amazon Personalize: the APIs ``personalize``, ``personalize-runtime`` and ``personalize-events``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from botocore import xform_name
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel

from personalens.service_errors import UnknownOperationException

CONTROL = "personalize"
RUNTIME = "personalize-runtime"
EVENTS = "personalize-events"
SERVICES = (CONTROL, RUNTIME, EVENTS)


@dataclass(frozen=True)
class Operation:
    """One operation of one service.

    Attributes
    ----------
    service
        One of :data:`SERVICES`.
    name
        As the model spells it: ``CreateSchema``.
    method
        As boto3, and so a provider, spells it: ``create_schema``.
    model
        botocore's description, with the input and output shapes.
    """

    service: str
    name: str
    method: str
    model: OperationModel

    @property
    def is_control(self) -> bool:
        """Whether it speaks json-1.1 (one path, a target header) rather than rest-json."""
        return self.service == CONTROL


@cache
def load_model(service: str) -> ServiceModel:
    """Return botocore's model of ``service``."""
    return ServiceModel(Loader().load_service_model(service, "service-2"), service_name=service)


@cache
def operations(service: str) -> dict[str, Operation]:
    """Return the operations of ``service`` by name, in the model's order.

    >>> operations("personalize-runtime")["GetRecommendations"].method
    'get_recommendations'
    """
    model = load_model(service)
    return {
        name: Operation(service, name, xform_name(name), model.operation_model(name))
        for name in model.operation_names
    }


def find_operation(service: str, name: str) -> Operation:
    """Return an operation by its name in the model.

    Raises
    ------
    UnknownOperationException
        If ``service`` has none of that name.
    """
    try:
        return operations(service)[name]
    except KeyError:
        raise UnknownOperationException(f"{service} has no operation {name!r}.") from None


def find_by_request(method: str, path: str, target: str | None) -> Operation:
    """Return the operation that an HTTP request asks for.

    Parameters
    ----------
    method, path
        From the request line, the path without its query.
    target
        The ``X-Amz-Target`` header, which names the operations of the control service.
    """
    if target is not None:
        prefix, _, name = target.partition(".")
        if method == "POST" and prefix == load_model(CONTROL).metadata["targetPrefix"]:
            return find_operation(CONTROL, name)
    elif operation := _routes().get((method, path.rstrip("/"))):
        return operation
    raise UnknownOperationException(
        f"No operation of Amazon Personalize answers {method} {path}"
        + (f" with X-Amz-Target {target!r}." if target is not None else ".")
    )


@cache
def _routes() -> dict[tuple[str, str], Operation]:
    return {
        (operation.model.http["method"], operation.model.http["requestUri"]): operation
        for service in (RUNTIME, EVENTS)
        for operation in operations(service).values()
    }
