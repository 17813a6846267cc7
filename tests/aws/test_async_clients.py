"""Clients whose calls are coroutines are refused, and never let through to AWS."""

from __future__ import annotations

import asyncio
import re

import boto3
import botocore.session
import pytest
from botocore.client import BaseClient
from botocore.hooks import HierarchicalEmitter

from personalens.aws.in_process import AsynchronousClientRefused


class AsynchronousClient(BaseClient):
    """As aiobotocore's: its calls are coroutines."""

    async def _make_api_call(self, operation_name, api_params):
        await asyncio.sleep(0)
        self.meta.events.emit_until_response("before-call.personalize.ListSchemas")
        return "AWS has answered"


def asynchronous(service="personalize"):
    """Return an asynchronous client of a service, made from an ordinary one's parts."""
    plain = boto3.client(
        service, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    kind = type("Personalize", (AsynchronousClient,), {})
    parts = ("serializer", "endpoint", "response_parser", "request_signer", "loader")
    given = {name: getattr(plain, f"_{name}") for name in parts}
    return kind(
        **given,
        event_emitter=HierarchicalEmitter(),
        service_model=plain.meta.service_model,
        client_config=plain.meta.config,
        partition="aws",
        exceptions_factory=plain._exceptions_factory,
    )


class LaterSession(botocore.session.Session):
    """As aiobotocore's: it makes clients without Session.create_client."""

    def create_client(self, *args, **kwargs):
        raise AssertionError("it would look for credentials, and go to AWS")

    async def _create_client(self, *args, **kwargs):
        raise AssertionError


def test_an_asynchronous_session_is_refused_before_it_begins(active):
    class NewerSession(LaterSession):
        def create_client(self, *args, **kwargs):
            raise AssertionError("it would look for credentials, and go to AWS")

    for session in (LaterSession(), NewerSession()):
        for service in ("personalize", "personalize-runtime", "personalize-events"):
            with pytest.raises(AsynchronousClientRefused, match="personalens serve"):
                session.create_client(service)
        name = type(session).__qualname__
        with pytest.raises(AsynchronousClientRefused, match=re.escape(f"tests ({name})")):
            session.create_client(service_name="personalize")
        with pytest.raises(AssertionError, match="it would look"):
            session.create_client("s3")
    active.turn_off()
    with pytest.raises(AssertionError, match="it would look"):
        LaterSession().create_client("personalize")


def test_a_session_that_returns_something_else_than_a_client_is_refused(active):
    class Lazy(botocore.session.Session):
        def create_client(self, *args, **kwargs):
            async def create():
                raise AssertionError

            return create()

    with pytest.raises(AsynchronousClientRefused, match="personalens serve"):
        Lazy().create_client("personalize")


def test_a_session_that_only_adds_to_botocores_own_is_answered(active):
    class Named(botocore.session.Session):
        def create_client(self, *args, **kwargs):
            return super().create_client(*args, **kwargs)

    assert Named().create_client("personalize").list_schemas()["schemas"] == []


def test_an_asynchronous_client_is_refused_whoever_makes_it_and_whenever(active):
    with pytest.raises(AsynchronousClientRefused, match="personalens serve"):
        asynchronous()
    asynchronous("s3")
    active.turn_off()
    client = asynchronous()
    assert asyncio.run(client._make_api_call("ListSchemas", {})) == "AWS has answered"
    active.turn_on()
    with pytest.raises(AsynchronousClientRefused, match="personalens serve"):
        asyncio.run(client._make_api_call("ListSchemas", {}))
