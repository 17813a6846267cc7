"""Refuse clients that PersonaLens cannot answer inside the process, while it is on.

aiobotocore's session builds its clients without ``Session.create_client``, and their calls are
coroutines. Let through, they would reach AWS with the learner's own credentials. The server answers
them like every other client.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, NoReturn

from botocore.client import BaseClient
from botocore.exceptions import BotoCoreError
from botocore.session import Session

from personalens.aws.service_models import SERVICES

IsOn = Callable[[], bool]


class AsynchronousClientRefused(BotoCoreError):
    """A client whose calls are coroutines is made or used while PersonaLens is on."""

    fmt = (
        "PersonaLens is on and answers boto3's own clients inside this process. This "
        "{service_name} client is made by {maker}. Start `personalens serve` in a terminal, set "
        "the AWS_ENDPOINT_URL variables that it prints, and leave out personalens.activate()."
    )


def is_asynchronous(kind: type) -> bool:
    """Whether the calls of a client class are coroutines."""
    return inspect.iscoroutinefunction(getattr(kind, "_make_api_call", None))


def refuse(client: BaseClient, is_on: IsOn) -> None:
    """Have every call of a client fail while PersonaLens is on."""
    service, maker = client.meta.service_model.service_name, _name(type(client).__mro__[1])

    def refuse_call(**_: Any) -> None:
        if is_on():
            raise AsynchronousClientRefused(service_name=service, maker=maker)

    client.meta.events.register_last(
        "before-call", refuse_call, unique_id="personalens-before-call"
    )


def refuse_other_sessions(is_on: IsOn) -> None:
    """Guard the sessions that make clients in a way of their own, those of classes to come too, and
    the asynchronous clients, whoever makes them. For good: once is enough."""
    _guard_subclasses(Session, is_on)

    def guard_new_class(kind: type[Session], **options: Any) -> None:
        super(Session, kind).__init_subclass__(**options)
        _guard(kind, is_on)

    Session.__init_subclass__ = classmethod(guard_new_class)
    make = BaseClient.__init__

    @functools.wraps(make)
    def make_client(client: BaseClient, *args: Any, **kwargs: Any) -> None:
        make(client, *args, **kwargs)
        if is_asynchronous(type(client)) and client.meta.service_model.service_name in SERVICES:
            if is_on():
                _refuse_now(client.meta.service_model.service_name, type(client).__mro__[1])
            refuse(client, is_on)

    BaseClient.__init__ = make_client


def _guard_subclasses(kind: type, is_on: IsOn) -> None:
    for each in kind.__subclasses__():
        _guard(each, is_on)
        _guard_subclasses(each, is_on)


def _guard(kind: type, is_on: IsOn) -> None:
    """Wrap the ``create_client`` of a session class, if it has one of its own."""
    create_client = vars(kind).get("create_client")
    if create_client is None:
        return

    @functools.wraps(create_client)
    def create_client_guarded(session: Session, *args: Any, **kwargs: Any) -> Any:
        service = kwargs.get("service_name", args[0] if args else None)
        if service not in SERVICES or not is_on():
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
