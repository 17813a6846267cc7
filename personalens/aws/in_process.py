"""Answer boto3's Personalize clients inside the process: no port, no credentials, no network.

botocore emits ``before-send`` just before it opens a connection, and takes a response that a
handler returns instead. So request validation, serialisation, parsing, paginators and exceptions
are botocore's own; only the wire is replaced. The handlers sit on each client of the three services
and look up at every call whether PersonaLens is on; no other service's client is touched.

Why ``Session.create_client`` is wrapped besides: botocore wants a region, and looks for
credentials (on a laptop it asks the EC2 metadata address and waits), before it emits any event that
a handler could answer.

References
----------
botocore's ``endpoint.py`` (``before-send``, ``needs-retry``) and ``signers.py``
(``choose-signer``). moto answers requests through the same event.
"""

from __future__ import annotations

import functools
import gc
import inspect
import io
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from botocore import UNSIGNED
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.session import Session
from botocore.utils import get_service_module_name

from personalens.arns import DEFAULT_REGION
from personalens.aws.gateway import WireRequest, answer
from personalens.aws.operation_router import OperationRouter
from personalens.aws.service_models import CONTROL, SERVICES, load_model
from personalens.aws.wire_json import WireResponse, render_error
from personalens.service_errors import ServiceError

CurrentRouter = Callable[[], OperationRouter | None]
"""Returns the router that answers now, or ``None`` while PersonaLens is off."""

_ANSWERED_URL = "personalens://answered-in-this-process"
_install_lock = threading.Lock()
_current_router: CurrentRouter | None = None


class PersonaLensIsOff(BotoCoreError):
    """A client that was made while PersonaLens was on is used after it was turned off."""

    fmt = (
        "PersonaLens is off, and this {service_name} client was made while it was on, without "
        "credentials. Call personalens.activate() again, or make a new client to talk to AWS."
    )


class InProcessResponse(AWSResponse):
    """A response that no network saw."""

    def __init__(self, url: str, wire: WireResponse) -> None:
        super().__init__(url, wire.status, wire.headers, io.BytesIO(wire.body))
        self._content = wire.body


class ClientHandlers:
    """The event handlers of one client.

    Parameters
    ----------
    client
        A client of one of the three services.
    was_made_here
        Whether it was made while PersonaLens was on, hence without credentials.
    """

    def __init__(self, client: BaseClient, *, was_made_here: bool) -> None:
        self._service = client.meta.service_model.service_name
        self._region = client.meta.region_name or DEFAULT_REGION
        self._base_path = urlsplit(client.meta.endpoint_url).path.rstrip("/")
        self._was_made_here = was_made_here
        events, event_id = client.meta.events, client.meta.service_model.service_id.hyphenize()
        for event, handler in {
            "before-send": self.answer_request,
            "choose-signer": self.choose_signer,
            "needs-retry": self.refuse_retry,
        }.items():
            events.register_first(f"{event}.{event_id}", handler, unique_id=f"personalens-{event}")

    def answer_request(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse | None:
        """Answer instead of the network while PersonaLens is on, whatever happens."""
        router = _current_router() if _current_router else None
        if router is None:
            if self._was_made_here:
                raise PersonaLensIsOff(service_name=self._service)
            return None
        url = request.url
        try:
            wire = answer(router, self._read_request(request))
        except Exception as error:
            failure = ServiceError(f"PersonaLens could not read the request: {error}")
            is_control = self._service == CONTROL
            wire = render_error(failure, str(uuid.uuid4()), is_control=is_control)
        # botocore asks every before-send handler, also after one has answered. moto's would
        # answer by URL a second time, or fail on operations it lacks: leave it no URL of AWS.
        request.url = _ANSWERED_URL
        return InProcessResponse(url, wire)

    def _read_request(self, request: AWSPreparedRequest) -> WireRequest:
        """Return botocore's prepared request in the form that the gateway takes."""
        body = request.body or b""
        if isinstance(body, str):
            body = body.encode("utf-8")
        elif hasattr(body, "read"):
            body = body.read()
        target = request.headers.get("X-Amz-Target")  # nothing else of the headers is asked for
        target = target.decode() if isinstance(target, bytes) else target
        headers = {} if target is None else {"x-amz-target": target}
        path = urlsplit(request.url).path.removeprefix(self._base_path) or "/"
        return WireRequest(request.method, path, headers, bytes(body), self._region)

    def choose_signer(self, **_: Any) -> Any:
        """Sign nothing while PersonaLens is on, so that no credentials are needed."""
        is_on = _current_router is not None and _current_router() is not None
        return UNSIGNED if is_on or self._was_made_here else None

    def refuse_retry(self, response: Any = None, caught_exception: Any = None, **_: Any) -> Any:
        """Keep botocore from repeating a request, with pauses, that would fail the same way."""
        was_ours = response is not None and isinstance(response[0], InProcessResponse)
        return False if was_ours or isinstance(caught_exception, PersonaLensIsOff) else None


def install(current_router: CurrentRouter) -> None:
    """Have every Personalize client of this process, old or new, ask ``current_router``.

    Once is enough; what it installs stays, and does nothing while ``current_router`` returns
    ``None``.
    """
    global _current_router
    with _install_lock:
        if _current_router is None:
            Session.create_client = _wrap_create_client(Session.create_client)
            for client in _existing_clients():
                ClientHandlers(client, was_made_here=False)
        _current_router = current_router


def _wrap_create_client(create_client: Callable[..., BaseClient]) -> Callable[..., BaseClient]:
    """Return botocore's ``Session.create_client`` with our handlers on the clients we answer."""
    signature = inspect.signature(create_client)

    @functools.wraps(create_client)
    def create_client_with_handlers(session: Session, *args: Any, **kwargs: Any) -> BaseClient:
        call = signature.bind(session, *args, **kwargs)
        if call.arguments["service_name"] not in SERVICES:
            return create_client(session, *args, **kwargs)
        is_on = _current_router is not None and _current_router() is not None
        if is_on:
            _need_neither_region_nor_credentials(session, call.arguments)
        client = create_client(*call.args, **call.kwargs)
        ClientHandlers(client, was_made_here=is_on)
        return client

    return create_client_with_handlers


def _need_neither_region_nor_credentials(session: Session, arguments: dict[str, Any]) -> None:
    config = arguments.get("config") or Config()
    ours = Config(signature_version=UNSIGNED)
    if config.user_agent is None:  # nobody reads it here, and each call would put it together anew
        ours = Config(signature_version=UNSIGNED, user_agent="PersonaLens")
    arguments["config"] = config.merge(ours)
    defaults = session.get_default_client_config() or Config()
    if not (arguments.get("region_name") or config.region_name or defaults.region_name):
        region = session.get_config_variable("region")
        arguments["region_name"] = region or DEFAULT_REGION


def _existing_clients() -> Iterator[BaseClient]:
    """Find the clients that were made before: each is the one instance of a class of its own."""
    names = {get_service_module_name(load_model(service)) for service in SERVICES}
    classes = [kind for kind in BaseClient.__subclasses__() if kind.__name__ in names]
    for found in gc.get_referrers(*classes) if classes else ():
        if type(found) in classes:
            yield found
