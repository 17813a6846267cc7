"""The three service models that botocore ships: what may be asked, and how it is spelled.

Everything above reads operations, shapes and routes from here, so a new operation in a newer
botocore is known at once. A model takes some 50 ms to load and is loaded once per process. They are
botocore's own alone: what lies in ``~/.aws/models`` or ``AWS_DATA_PATH``, such as a preview's model
that a workshop of 2019 had its visitors add, changes nothing here.

Amazon Personalize: the APIs ``personalize``, ``personalize-runtime`` and ``personalize-events``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from botocore import xform_name
from botocore.loaders import Loader, create_loader
from botocore.model import OperationModel, ServiceModel
from botocore.session import Session

from personalens.service_errors import UnknownOperationException

CONTROL = "personalize"
RUNTIME = "personalize-runtime"
EVENTS = "personalize-events"
SERVICES = (CONTROL, RUNTIME, EVENTS)


@dataclass(frozen=True)
class Operation:
    """One operation of one service."""

    service: str
    name: str  # as the model spells it: "CreateSchema"
    method: str  # as boto3, and so a provider, spells it: "create_schema"
    model: OperationModel

    @property
    def is_control(self) -> bool:
        """Whether it speaks json-1.1 (one path, a target header) rather than rest-json."""
        return self.service == CONTROL


@cache
def own_loader() -> Loader:
    """Return a loader of what botocore ships, and of nothing else."""
    return Loader(
        extra_search_paths=[Loader.BUILTIN_DATA_PATH],
        include_default_search_paths=False,
        include_default_extras=False,
    )


@cache
def load_model(service: str) -> ServiceModel:
    """Return botocore's model of ``service``."""
    return ServiceModel(own_loader().load_service_model(service, "service-2"), service_name=service)


class OwnModels:
    """A session's loader that takes the three services from botocore's own data."""

    def __init__(self, theirs: Any) -> None:
        self.theirs = theirs

    def __getattr__(self, name: str) -> Any:
        return getattr(self.theirs, name)

    def load_service_model(self, service_name: str, *args: Any, **kwargs: Any) -> Any:
        loader = own_loader() if service_name in SERVICES else self.theirs
        return loader.load_service_model(service_name, *args, **kwargs)


def find_foreign_models() -> list[Path]:
    """Return the folders of this user that hold another model of one of the services, in the order
    in which botocore looks there."""
    search = create_loader(Session().get_config_variable("data_path")).search_paths
    return [
        Path(folder, service)
        for folder in dict.fromkeys(search)
        if folder != Loader.BUILTIN_DATA_PATH
        for service in SERVICES
        if Path(folder, service).is_dir()
    ]


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
    """Return an operation by its name in the model."""
    try:
        return operations(service)[name]
    except KeyError:
        raise UnknownOperationException(f"{service} has no operation {name!r}.") from None


def find_by_request(method: str, path: str, target: str | None) -> Operation:
    """Return the operation that an HTTP request asks for: by its path, without the query, or by its
    ``X-Amz-Target``, which names the operations of the control service."""
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
