"""What all hooks share: the trigger behind a path, a bounded body, an answer."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from fastapi import Request, Response

from broker.errors import TriggerNotFound
from broker.trigger_store.directory import Directory
from broker.trigger_store.interface import TriggerStore
from broker.trigger_store.model import TriggerRecord
from gateway.errors import ApiError
from gateway.http_body import BodyTooLarge, read_body
from gateway.lambda_api.errors import not_found

T = TypeVar("T", bound=msgspec.Struct)

PREFIX = "/lightswitch/hooks"


class Triggers:
    """The triggers that hooks belong to."""

    def __init__(self, store: TriggerStore, directory: Directory) -> None:
        self._store = store
        self._directory = directory

    async def find(self, trigger_id: str, kind: str) -> TriggerRecord:
        """The trigger of that id and kind. Raises ApiError (404)."""
        record = self._directory.records.get(trigger_id)
        try:
            record = record or await self._store.get(trigger_id)
        except TriggerNotFound:
            record = None
        if record is None or record.kind != kind:
            raise not_found(f"There is no {kind} trigger {trigger_id[:100]}.")
        return record


def settings_of(record: TriggerRecord, type_: type[T]) -> T:
    """A trigger's settings."""
    return msgspec.json.decode(record.settings, type=type_)


def check_enabled(record: TriggerRecord) -> None:
    """Raises ApiError (503): who posted may try again later."""
    if not record.enabled:
        raise unavailable(f"Trigger {record.id} is disabled; nothing was taken.")


async def bounded_body(request: Request, limit_bytes: int) -> bytes:
    """Raises ApiError (413)."""
    try:
        return await read_body(request.receive, request.scope["headers"], limit_bytes)
    except BodyTooLarge as error:
        raise ApiError(
            "RequestTooLargeException", 413, f"The body has more than {limit_bytes} bytes; nothing was taken."
        ) from error


def malformed(reason: str) -> ApiError:
    """400: it will never be taken."""
    return ApiError("InvalidRequestContentException", 400, f"Nothing was taken: {reason}")


def forbidden(reason: str) -> ApiError:
    """403."""
    return ApiError("AccessDeniedException", 403, f"Nothing was taken: {reason}")


def unavailable(reason: str) -> ApiError:
    """503: it is to be posted again."""
    return ApiError("ServiceException", 503, reason, fault="Service", headers={"Retry-After": "1"})


def answer(**members: object) -> Response:
    """200 with a JSON object."""
    return Response(msgspec.json.encode(members), media_type="application/json")
