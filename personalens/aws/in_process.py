"""Answer boto3's Personalize clients inside the process: no port, no credentials, no network.

botocore emits ``before-call`` when a call's parameters are checked and written as a request, and
takes what a handler returns in place of everything that follows: signing, sending, retries. So
request validation, serialisation, parsing, paginators and exceptions are botocore's own; only the
wire is left out. The handler sits on each client of the three services and looks up at every call
whether PersonaLens is on; no other service's client is touched.

Why ``Session.create_client`` is wrapped too: botocore wants a region, and looks for credentials (on
a laptop it asks the EC2 metadata address and waits), before it emits any event that a handler could
answer; and it would take a stale model of a service from the user's ``~/.aws``.

A session that makes clients in a way of its own, such as aiobotocore's, whose calls are coroutines,
is refused while PersonaLens is on.

References
----------
botocore's ``client.py`` (``before-call``) and ``endpoint.py`` (how a response is parsed).
"""

from __future__ import annotations

import functools
import gc
import inspect
import io
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NoReturn

from botocore import UNSIGNED
from botocore.awsrequest import AWSResponse
from botocore.client import BaseClient
from botocore.config import Config
from botocore.endpoint import convert_to_response_dict
from botocore.exceptions import BotoCoreError
from botocore.model import OperationModel
from botocore.session import Session

from personalens.arns import DEFAULT_REGION
from personalens.aws.operation_router import OperationRouter, WireRequest, answer
from personalens.aws.service_models import CONTROL, SERVICES, OwnModels, load_model
from personalens.aws.wire_json import WireResponse, render_error
from personalens.service_errors import ServiceError

CurrentRouter = Callable[[], OperationRouter | None]
"""Returns the router that answers now, or ``None`` while PersonaLens is off."""

_HANDLER_ID = "personalens-before-call"
_install_lock = threading.Lock()
_current_router: CurrentRouter | None = None


class PersonaLensIsOff(BotoCoreError):
    """A client that was made while PersonaLens was on is used after it was turned off."""

    fmt = (
        "PersonaLens is off, and this {service_name} client was made while it was on, without "
        "credentials. Call personalens.activate() again, or make a new client to talk to AWS."
    )


class AsynchronousClientRefused(BotoCoreError):
    """A client whose calls are coroutines is made or used while PersonaLens is on."""

    fmt = (
        "PersonaLens is on and answers boto3's own clients inside this process. This "
        "{service_name} client is made by {maker}. Start `personalens serve` in a terminal, set "
        "the AWS_ENDPOINT_URL variables that it prints, and leave out personalens.activate()."
    )


class InProcessResponse(AWSResponse):
    """A response that no network saw."""

    def __init__(self, url: str, wire: WireResponse) -> None:
        super().__init__(url, wire.status, wire.headers, io.BytesIO(wire.body))
        self._content = wire.body


class ClientHandler:
    """The event handler of one client."""

    # A client that was made while PersonaLens was on has no credentials to ask AWS with.
    def __init__(self, client: BaseClient, *, was_made_here: bool) -> None:
        model = client.meta.service_model
        self._service = model.service_name
        self._region = client.meta.region_name or DEFAULT_REGION
        self._was_made_here = was_made_here
        # The client's own factory: a session may have its timestamps parsed as text, as the CLI.
        parsers = client._endpoint._response_parser_factory
        self._parser = parsers.create_parser(model.resolved_protocol)
        # Last of all: a script's own handlers are heard, and a Stubber's answer comes before ours.
        client.meta.events.register_last("before-call", self.answer_call, unique_id=_HANDLER_ID)

    def answer_call(
        self, model: OperationModel, params: dict[str, Any], **_: Any
    ) -> tuple[InProcessResponse, dict[str, Any]] | None:
        """Answer instead of the network while PersonaLens is on, whatever happens."""
        router = _current_router() if _current_router else None
        if router is None:
            if self._was_made_here:
                raise PersonaLensIsOff(service_name=self._service)
            return None
        try:
            wire = answer(router, self._read_request(model, params))
        except Exception as error:
            failure = ServiceError(f"PersonaLens could not read the request: {error}")
            is_control = self._service == CONTROL
            wire = render_error(failure, str(uuid.uuid4()), is_control=is_control)
        response = InProcessResponse(params["url"], wire)
        return response, self._parse(response, model)

    def _read_request(self, model: OperationModel, params: dict[str, Any]) -> WireRequest:
        """Return what botocore serialised in the form that the gateway takes."""
        body = params["body"]
        if isinstance(body, str):
            body = body.encode("utf-8")
        headers = {}
        if self._service == CONTROL:  # the name, for an old client's model may have another prefix
            prefix = load_model(CONTROL).metadata["targetPrefix"]
            headers["x-amz-target"] = f"{prefix}.{model.name}"
        return WireRequest(params["method"], params["url_path"], headers, body, self._region)

    def _parse(self, response: InProcessResponse, model: OperationModel) -> dict[str, Any]:
        """Return ``response`` as botocore parses one that came over the network."""
        raw = convert_to_response_dict(response, model)
        parsed = self._parser.parse(raw, model.output_shape)
        if response.status_code >= 300:
            code = parsed.get("Error", {}).get("Code")
            error_shape = model.service_model.shape_for_error_code(code)
            if error_shape is not None:
                parsed.update(self._parser.parse(raw, error_shape))
        parsed["ResponseMetadata"]["RetryAttempts"] = 0
        return parsed


def install(current_router: CurrentRouter) -> None:
    """Have every Personalize client of this process, old or new, ask ``current_router``.

    What it installs stays, and does nothing while ``current_router`` returns ``None``.
    """
    global _current_router
    with _install_lock:
        if _current_router is None:
            Session.create_client = _wrap_create_client(Session.create_client)
            _refuse_other_sessions()
            for client in _existing_clients():
                if _is_asynchronous(type(client)):
                    _refuse_calls(client)
                else:
                    ClientHandler(client, was_made_here=False)
        _current_router = current_router


def _is_on() -> bool:
    return _current_router is not None and _current_router() is not None


def _wrap_create_client(create_client: Callable[..., BaseClient]) -> Callable[..., BaseClient]:
    """Return botocore's ``Session.create_client`` with our handler on the clients we answer."""
    signature = inspect.signature(create_client)

    @functools.wraps(create_client)
    def create_client_with_handler(session: Session, *args: Any, **kwargs: Any) -> BaseClient:
        call = signature.bind(session, *args, **kwargs)
        if call.arguments["service_name"] not in SERVICES:
            return create_client(session, *args, **kwargs)
        is_on = _is_on()
        if is_on:
            _need_neither_region_nor_credentials(session, call.arguments)
        with _own_models(session) if is_on else nullcontext():
            client = create_client(*call.args, **call.kwargs)
        ClientHandler(client, was_made_here=is_on)
        return client

    return create_client_with_handler


@contextmanager
def _own_models(session: Session) -> Iterator[None]:
    """Have a session load our services' models from botocore's own data, for as long as it makes a
    client; what the user has in ~/.aws/models goes on serving every other service."""
    loader = session.get_component("data_loader")
    theirs = loader.theirs if isinstance(loader, OwnModels) else loader  # another thread's
    session.register_component("data_loader", OwnModels(theirs))
    try:
        yield
    finally:
        session.register_component("data_loader", theirs)


def _need_neither_region_nor_credentials(session: Session, arguments: dict[str, Any]) -> None:
    config = arguments.get("config") or Config()
    ours = Config(signature_version=UNSIGNED)
    if config.user_agent is None:  # nobody reads it, and each call would put it together again
        ours = Config(signature_version=UNSIGNED, user_agent="PersonaLens")
    arguments["config"] = config.merge(ours)
    defaults = session.get_default_client_config() or Config()
    if not (arguments.get("region_name") or config.region_name or defaults.region_name):
        region = session.get_config_variable("region")
        arguments["region_name"] = region or DEFAULT_REGION


def _existing_clients() -> Iterator[BaseClient]:
    """Find the clients that were made before: each is the one instance of a class of its own."""
    classes = list(_subclasses(BaseClient))
    for found in gc.get_referrers(*classes) if classes else ():
        if type(found) in classes and found.meta.service_model.service_name in SERVICES:
            yield found


def _subclasses(kind: type) -> Iterator[type]:
    for each in kind.__subclasses__():
        yield each
        yield from _subclasses(each)


# -- clients whose calls are coroutines -------------------------------------------------------


def _is_asynchronous(kind: type) -> bool:
    """Whether the calls of a client class are coroutines."""
    return inspect.iscoroutinefunction(getattr(kind, "_make_api_call", None))


def _refuse_calls(client: BaseClient) -> None:
    """Have every call of a client fail while PersonaLens is on."""
    service, maker = client.meta.service_model.service_name, _name(type(client).__mro__[1])

    def refuse_call(**_: Any) -> None:
        if _is_on():
            raise AsynchronousClientRefused(service_name=service, maker=maker)

    client.meta.events.register_last("before-call", refuse_call, unique_id=_HANDLER_ID)


def _refuse_other_sessions() -> None:
    """Guard the sessions that make clients in a way of their own, those of classes to come too, and
    the asynchronous clients, whatever makes them."""
    for kind in _subclasses(Session):
        _guard(kind)

    def guard_new_class(kind: type[Session], **options: Any) -> None:
        super(Session, kind).__init_subclass__(**options)
        _guard(kind)

    Session.__init_subclass__ = classmethod(guard_new_class)
    make = BaseClient.__init__

    @functools.wraps(make)
    def make_client(client: BaseClient, *args: Any, **kwargs: Any) -> None:
        make(client, *args, **kwargs)
        if _is_asynchronous(type(client)) and client.meta.service_model.service_name in SERVICES:
            if _is_on():
                _refuse_now(client.meta.service_model.service_name, type(client).__mro__[1])
            _refuse_calls(client)

    BaseClient.__init__ = make_client


def _guard(kind: type) -> None:
    """Wrap the ``create_client`` of a session class, if it has one of its own."""
    create_client = vars(kind).get("create_client")
    if create_client is None:
        return

    @functools.wraps(create_client)
    def create_client_guarded(session: Session, *args: Any, **kwargs: Any) -> Any:
        service = kwargs.get("service_name", args[0] if args else None)
        if service not in SERVICES or not _is_on():
            return create_client(session, *args, **kwargs)
        if _makes_coroutines(kind):  # before it looks for credentials and a region
            _refuse_now(service, kind)
        made = create_client(session, *args, **kwargs)
        if not isinstance(made, BaseClient):
            if inspect.iscoroutine(made):
                made.close()
            _refuse_now(service, kind)
        return made

    kind.create_client = create_client_guarded


def _makes_coroutines(kind: type) -> bool:
    names = ("create_client", "_create_client")
    return any(inspect.iscoroutinefunction(getattr(kind, name, None)) for name in names)


def _refuse_now(service: str, maker: type) -> NoReturn:
    raise AsynchronousClientRefused(service_name=service, maker=_name(maker))


def _name(kind: type) -> str:
    return f"{kind.__module__.partition('.')[0]} ({kind.__qualname__})"
