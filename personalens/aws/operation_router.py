"""From an HTTP request, or an operation's name and parameters, to the provider method that answers.

There is no route table: botocore's model names the operations, and a provider answers the ones it
has a method for, spelled as boto3 spells it. Adding an operation is adding that method.
"""

from __future__ import annotations

import logging
import os
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

from personalens.arns import DEFAULT_REGION
from personalens.aws.request_validation import validate_request
from personalens.aws.service_models import (
    CONTROL,
    EVENTS,
    RUNTIME,
    Operation,
    find_by_request,
    find_operation,
)
from personalens.aws.wire_json import WireResponse, parse_params, render_error, render_result
from personalens.durable_files import DamagedFiles
from personalens.home import Home, default_home
from personalens.service_errors import DamagedHome, OperationNotImplemented, ServiceError
from personalens.storage.catalogue import StorageError
from personalens.storage.job_queue import JobQueue

log = logging.getLogger(__name__)

ProviderFactory = Callable[[Any], Any]
"""Makes a provider from the service context of one home and region: a provider class does."""

PROVIDER_CLASSES = {
    CONTROL: ("personalens.control.operations.provider", "PersonalizeProvider"),
    RUNTIME: ("personalens.runtime.provider", "PersonalizeRuntimeProvider"),
    EVENTS: ("personalens.events.provider", "PersonalizeEventsProvider"),
}


def load_provider_class(service: str) -> ProviderFactory | None:
    """Import the class that answers ``service``; ``None`` where there is none yet."""
    module_name, class_name = PROVIDER_CLASSES[service]
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name == module_name:
            return None
        raise
    return getattr(module, class_name)


class OperationRouter:
    """Answers operations of the three services from one home. Safe across threads and forks."""

    def __init__(
        self,
        home: Home | None = None,
        *,
        providers: Mapping[str, ProviderFactory] | None = None,
        open_context: Callable[[Home, str], Any] | None = None,
    ) -> None:
        self.home = home or default_home()
        self._factories = providers
        self._open_context = open_context or _open_service_context
        self._forget()

    def call(
        self,
        service: str,
        operation: str,
        params: Mapping[str, Any],
        *,
        region: str = DEFAULT_REGION,
        account: str | None = None,
        request_id: str | None = None,
    ) -> dict[str, Any]:
        """Validate ``params`` and return what the provider answers.

        Every failure is a ServiceError: the provider's own, InvalidInputException for parameters
        outside the model's limits, and for what nobody foresaw an InternalServerError with one
        plain sentence. Without ``account`` the resources are those of the home's own account.
        """
        found = find_operation(service, operation)
        try:
            validate_request(service, operation, params)
            method = self._provider_method(found, region, account)
            self._begin_due_work(region)
            known = found.model.input_shape.members if found.model.input_shape else ()
            arguments = {name: params[name] for name in params if name in known}
            return method(**arguments) or {}
        except ServiceError:
            raise
        except DamagedFiles as error:
            raise DamagedHome(str(error)) from error
        except OSError as error:  # the disk, not our code
            log.exception("%s.%s failed", service, operation)
            raise StorageError(
                f"PersonaLens cannot read or write {error.filename or self.home.path} "
                f"({os.strerror(error.errno) if error.errno else error}). Check the disk and who "
                "may use that folder, then try again."
            ) from error
        except Exception as error:
            request_id = request_id or str(uuid.uuid4())
            log.exception("%s.%s failed, request %s", service, operation, request_id)
            raise ServiceError(
                f"{operation} failed inside PersonaLens ({type(error).__name__}: {error}). "
                f"The log holds the details under request {request_id}."
            ) from error

    def is_quick(
        self,
        operation: Operation,
        params: Mapping[str, Any],
        region: str,
        account: str | None = None,
    ) -> bool:
        """Whether :meth:`call` needs nothing but what is in memory, as the provider says."""
        provider = self._providers.get((operation.service, region, account))
        if provider is None or self._process != os.getpid() or self._is_work_due(region):
            return False
        is_quick = getattr(provider, "is_quick", None)
        return is_quick is not None and is_quick(operation.method, params)

    def _provider_method(
        self, operation: Operation, region: str, account: str | None = None
    ) -> Callable[..., dict]:
        provider = self._provider(operation.service, region, account)
        method = getattr(provider, operation.method, None)
        if method is None:
            raise OperationNotImplemented(
                f"{operation.name} of {operation.service} is not implemented in PersonaLens yet. "
                "`python -m tests.aws.coverage` lists the operations that are."
            )
        return method

    def _begin_due_work(self, region: str) -> None:
        """Once a minute at most: there is no daemon, so requests see to what is due."""
        if self._is_work_due(region):
            from personalens.control.work.schedule import begin_due_trainings

            begin_due_trainings(self._contexts[region])

    def _is_work_due(self, region: str) -> bool:
        context = self._contexts.get(region)
        return (
            isinstance(getattr(context, "jobs", None), JobQueue) and context.jobs.is_time_to_look()
        )

    def _provider(self, service: str, region: str, account: str | None = None) -> Any:
        """Return the provider of a service, region and account, made on first use and kept."""
        if self._process != os.getpid():
            self._forget()
        key = service, region, account
        try:
            return self._providers[key]
        except KeyError:
            pass
        with self._lock:
            if key not in self._providers:
                self._providers[key] = self._make_provider(*key)
            return self._providers[key]

    def _make_provider(self, service: str, region: str, account: str | None) -> Any:
        if self._factories is not None:
            factory = self._factories.get(service)
        else:
            factory = load_provider_class(service)
        if factory is None:
            return None
        if region not in self._contexts:
            self._contexts[region] = self._open_context(self.home, region)
        context = self._contexts[region]
        # On the same connections: a class of thirty does not open thirty times as many files.
        return factory(context if account is None else context.of(region, account))

    def _forget(self) -> None:
        """Start without providers: at first, and in a forked child.

        A child must not use its parent's database connections, nor wait for a lock that a thread
        of the parent held at the moment of the fork.
        """
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._providers: dict[tuple[str, str, str | None], Any] = {}
        self._contexts: dict[str, Any] = {}


def _open_service_context(home: Home, region: str) -> Any:
    from personalens.jobs.opening import open_home

    return open_home(home, region=region)


@dataclass(frozen=True)
class WireRequest:
    """An HTTP request, whichever way it came. Headers have lower-case names."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    region: str = DEFAULT_REGION
    account: str | None = None

    @cached_property
    def call(self) -> tuple[Operation, dict[str, Any]]:
        """The operation that is asked for, and its parameters under boto3's names."""
        operation = find_by_request(self.method, self.path, self.headers.get("x-amz-target"))
        return operation, parse_params(operation, self.body)


def answer(
    router: OperationRouter, request: WireRequest, request_id: str | None = None
) -> WireResponse:
    """Route ``request`` and return the response: a result or an error, never an exception.

    Only what is no ``Exception``, such as the learner's interrupt, passes through. The request id
    is made up when left out.
    """
    request_id = request_id or str(uuid.uuid4())
    try:
        operation, params = request.call
        result = router.call(
            operation.service,
            operation.name,
            params,
            region=request.region,
            account=request.account,
            request_id=request_id,
        )
        return render_result(operation, result, request_id)
    except ServiceError as error:
        failure = error
    except Exception as error:
        log.exception("%s %s failed, request %s", request.method, request.path, request_id)
        failure = unforeseen(error, request_id)
    return render_error(failure, request_id, is_control="x-amz-target" in request.headers)


def is_quick(router: OperationRouter, request: WireRequest) -> bool:
    """Whether :func:`answer` does not have to wait, so that an event loop may call it itself."""
    try:
        operation, params = request.call
        return router.is_quick(operation, params, request.region, request.account)
    except ServiceError:
        return True  # an answer that says what is wrong
    except Exception:
        return False


def unforeseen(error: Exception, request_id: str) -> ServiceError:
    """Return what a client is told of a defect of ours."""
    return ServiceError(
        f"PersonaLens could not answer ({type(error).__name__}: {error}). "
        f"The log holds the details under request {request_id}."
    )
