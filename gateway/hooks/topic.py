"""SNS-like topics post their messages here: `/lightswitch/hooks/topic/{trigger id}`."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from gateway.errors import ApiError
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
from triggers.topics.https import FetchFailed
from triggers.topics.messages import Forged, MalformedMessage
from triggers.topics.settings import TopicSettings
from triggers.topics.subscription import InProgress, Subscription

PATH = f"{PREFIX}/topic"
KIND = "topic"
MOST_BODY_BYTES = 2_097_152
"""A message has up to 256 KB; JSON may write a byte of it as six."""


class TopicHook:
    """Handlers of the routes that `router` lists."""

    def __init__(self, triggers: Triggers, subscription: Subscription) -> None:
        self._triggers = triggers
        self._subscription = subscription

    def router(self) -> APIRouter:
        """The routes, for an application to include."""
        routes = APIRouter(tags=["hooks"])
        routes.post(f"{PATH}/{{trigger_id}}")(self.receive)
        return routes

    async def receive(self, trigger_id: str, request: Request, token: str = "") -> Response:
        """Take one message. 4xx: it was not, and will not be; 5xx: post it again."""
        record = await self._triggers.find(trigger_id, KIND)
        settings = settings_of(record, TopicSettings)
        check_enabled(record)
        body = await bounded_body(request, MOST_BODY_BYTES)
        try:
            result = await self._subscription.receive(record, settings, request.headers, token, body)
        except MalformedMessage as error:
            raise malformed(str(error)) from error
        except Forged as error:
            raise forbidden(str(error)) from error
        except InProgress as error:
            raise unavailable(str(error)) from error
        except FetchFailed as error:
            raise ApiError("ServiceException", 502, str(error), fault="Service") from error
        return answer(result=result)
