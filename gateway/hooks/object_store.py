"""Object stores post their events here: `/lightswitch/hooks/object-store/{trigger id}`."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections import Counter

from fastapi import APIRouter, Request, Response

from broker.invocation import now_ms
from gateway.hooks.finding import (
    PREFIX,
    Triggers,
    answer,
    bounded_body,
    check_enabled,
    forbidden,
    malformed,
    settings_of,
    unavailable,
)
from triggers.object_store.envelopes import MalformedEvent, read
from triggers.object_store.intake import Intake, ObjectBusy
from triggers.object_store.settings import ObjectStoreSettings

PATH = f"{PREFIX}/object-store"
KIND = "object_store"
MOST_BODY_BYTES = 1_048_576


class ObjectStoreHook:
    """Handlers of the routes that `router` lists."""

    def __init__(self, triggers: Triggers, intake: Intake) -> None:
        self._triggers = triggers
        self._intake = intake

    def router(self) -> APIRouter:
        """The routes, for an application to include."""
        routes = APIRouter(tags=["hooks"])
        routes.head("/", include_in_schema=False)(self.probe)  # RustFS asks the endpoint's origin
        routes.head(f"{PATH}/{{trigger_id}}", include_in_schema=False)(self.probe)
        routes.post(f"{PATH}/{{trigger_id}}")(self.receive)
        routes.put(f"{PATH}/{{trigger_id}}", include_in_schema=False)(self.receive)
        return routes

    async def probe(self) -> Response:
        """Stores ask whether somebody is there."""
        return Response()

    async def receive(self, trigger_id: str, request: Request) -> Response:
        """Take the events of one post. 4xx: none was, and none will be; 503: post it again."""
        record = await self._triggers.find(trigger_id, KIND)
        settings = settings_of(record, ObjectStoreSettings)
        if not _brings(request, settings.token):
            raise forbidden("the token is missing or wrong; send it as Authorization: Bearer TOKEN")
        body = await bounded_body(request, MOST_BODY_BYTES)
        try:
            events = read(body, now_ms(), settings.key_encoding)
        except MalformedEvent as error:
            raise malformed(str(error)) from error
        if events:
            check_enabled(record)
        taken: Counter[str] = Counter()
        try:
            for event in events:
                taken[await self._intake.take(record, settings, event)] += 1
        except ObjectBusy as error:
            raise unavailable(str(error)) from error
        return answer(**taken)


def _brings(request: Request, token: str) -> bool:
    """Compared in constant time, wherever a store can put it: not every one can set a header."""
    given = [
        request.headers.get("x-lightswitch-token", ""),
        request.query_params.get("token", ""),
        *_from_authorization(request.headers.get("authorization", "")),
    ]
    matches = [hmac.compare_digest(one.encode(), token.encode()) for one in given]
    return any(matches)


def _from_authorization(header: str) -> list[str]:
    """Of `Bearer TOKEN`, of `TOKEN` alone, and the password of `Basic`."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "basic":
        try:
            return [base64.b64decode(rest, validate=True).decode().partition(":")[2]]
        except (binascii.Error, UnicodeDecodeError):
            return []
    return [rest.strip() if scheme.lower() == "bearer" else header]
