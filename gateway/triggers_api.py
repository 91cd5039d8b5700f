"""Triggers over HTTP: `/lightswitch/v1/triggers`, signed like the Lambda API.

    POST   /triggers        {"kind", "function", "qualifier"?, "enabled"?, "settings"}   201
    GET    /triggers        ?kind=&function=&after=ID&limit=N    {"triggers": [...], "next": ID}
    GET    /triggers/{id}   ?secrets=true
    PUT    /triggers/{id}   {"function"?, "qualifier"?, "enabled"?, "settings"?}
    DELETE /triggers/{id}                                                                204

A trigger is shown with its `status` and without secrets, but when it is made or where they are asked for.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import APIRouter, Query, Request, Response
from msgspec.structs import replace

from broker.errors import TriggerNotFound
from broker.invocation import LATEST, now_ms
from broker.registry import changes
from broker.registry.interface import Registry
from broker.trigger_store.directory import Directory
from broker.trigger_store.interface import TriggerStore
from broker.trigger_store.model import TriggerRecord, TriggerStatus
from gateway.lambda_api.errors import conflict, invalid_parameter, not_found
from gateway.lambda_api.qualifiers import FunctionNames
from triggers.interface import TriggerSettings
from triggers.kinds import KINDS, UnknownKind, read_settings

MOST_LISTED = 1000

T = TypeVar("T")


class _New(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kind: str
    function: str
    settings: msgspec.Raw = msgspec.Raw(b"{}")
    qualifier: str = ""
    enabled: bool = True


class _Changed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    function: str | None = None
    qualifier: str | None = None
    enabled: bool | None = None
    settings: msgspec.Raw | None = None


class Shown(msgspec.Struct, frozen=True):
    """A trigger as callers see it."""

    id: str
    kind: str
    function: str
    qualifier: str
    enabled: bool
    settings: Any
    status: TriggerStatus
    created_ms: int
    modified_ms: int


class TriggersApi:
    """Handlers of the routes that `add_to` adds."""

    def __init__(
        self,
        store: TriggerStore,
        directory: Directory,
        registry: Registry,
        names: FunctionNames,
        kinds: Mapping[str, type[TriggerSettings]] = KINDS,
    ) -> None:
        self._store = store
        self._directory = directory
        self._registry = registry
        self._names = names
        self._kinds = kinds

    def add_to(self, signed: APIRouter) -> None:
        """Add the routes to a router whose requests are verified."""
        signed.post("/triggers")(self.create)
        signed.get("/triggers")(self.list_triggers)
        signed.get("/triggers/{trigger_id}")(self.get)
        signed.put("/triggers/{trigger_id}")(self.update)
        signed.delete("/triggers/{trigger_id}")(self.delete)

    async def create(self, request: Request) -> Response:
        """Add a trigger; it is served within moments."""
        new = _read(await request.body(), _New)
        settings = self._checked(new.kind, new.settings)
        name, qualifier = await self._function(new.function, new.qualifier)
        now = now_ms()
        record = TriggerRecord(
            id=str(uuid.uuid4()),
            kind=new.kind,
            function_name=name,
            settings=settings,
            qualifier=qualifier,
            enabled=new.enabled,
            created_ms=now,
            modified_ms=now,
        )
        await self._check_exclusive(record)
        stored = await self._store.create(record)
        await self._directory.refresh()
        return _json(self._shown(stored, TriggerStatus(), secrets=True), 201)

    async def get(self, trigger_id: str, secrets: bool = False) -> Response:
        """One trigger."""
        return await self._show(await self._existing(trigger_id), secrets=secrets)

    async def list_triggers(
        self,
        kind: str = "",
        function: str = "",
        after: str = "",
        limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 100,
    ) -> Response:
        """Triggers in the order of their ids."""
        await self._directory.refresh()
        found = sorted(
            (record for record in self._directory.records.values() if _wanted(record, kind, function, after)),
            key=lambda record: record.id,
        )
        page = found[:limit]
        statuses = await self._store.statuses([record.id for record in page])
        shown = [self._shown(record, statuses.get(record.id, TriggerStatus())) for record in page]
        more = {"next": page[-1].id} if len(found) > limit else {}
        return _json({"triggers": shown, **more})

    async def update(self, trigger_id: str, request: Request) -> Response:
        """Change a trigger; `settings` are replaced as a whole."""
        asked = _read(await request.body(), _Changed)
        record = await self._existing(trigger_id)
        members: dict[str, Any] = {"modified_ms": now_ms()}
        if asked.function is not None or asked.qualifier is not None:
            function = asked.function or record.function_name
            qualifier = record.qualifier if asked.qualifier is None else asked.qualifier
            members["function_name"], members["qualifier"] = await self._function(function, qualifier)
        if asked.enabled is not None:
            members["enabled"] = asked.enabled
        if asked.settings is not None:
            members["settings"] = self._checked(record.kind, asked.settings)
        await self._check_exclusive(replace(record, **members))
        stored = await self._store.update(trigger_id, lambda current: replace(current, **members))
        await self._directory.refresh()
        return await self._show(stored)

    async def delete(self, trigger_id: str) -> Response:
        """Forget a trigger."""
        await self._existing(trigger_id)
        await self._store.delete(trigger_id)
        await self._directory.refresh()
        return Response(status_code=204)

    async def _existing(self, trigger_id: str) -> TriggerRecord:
        """A trigger that is managed here. Raises ApiError."""
        try:
            return await self._store.get(trigger_id)
        except TriggerNotFound as error:
            raise not_found(f"There is no trigger {trigger_id}.") from error

    async def _function(self, function: str, qualifier: str) -> tuple[str, str]:
        """Name and qualifier of a function that exists. Raises ApiError, BrokerError."""
        name, qualifier = self._names.parse(function, qualifier)
        record = await self._registry.get(name)
        changes.check_qualifier(record, qualifier or LATEST)
        return name, qualifier

    def _checked(self, kind: str, settings: msgspec.Raw) -> msgspec.Raw:
        """The settings in full, defaults included. Raises ApiError."""
        try:
            return msgspec.Raw(msgspec.json.encode(read_settings(kind, settings, self._kinds)))
        except UnknownKind as error:
            raise invalid_parameter(f"{error} (mappings are made by the Lambda API)") from error
        except ValueError as error:
            raise invalid_parameter(str(error)) from error

    async def _check_exclusive(self, record: TriggerRecord) -> None:
        """Raises ApiError where another trigger of the kind has the same `exclusive_key`."""
        key = self._exclusive_key(record)
        if not key:
            return
        await self._directory.refresh()
        for other in self._directory.of_kind(record.kind):
            if other.id != record.id and self._exclusive_key(other) == key:
                raise conflict(f"Trigger {other.id} is there already for the {record.kind} {key}.")

    def _exclusive_key(self, record: TriggerRecord) -> str:
        return read_settings(record.kind, record.settings, self._kinds).exclusive_key

    async def _show(self, record: TriggerRecord, *, secrets: bool = False) -> Response:
        statuses = await self._store.statuses([record.id])
        return _json(self._shown(record, statuses.get(record.id, TriggerStatus()), secrets=secrets))

    def _shown(self, record: TriggerRecord, status: TriggerStatus, *, secrets: bool = False) -> Shown:
        settings: Any = record.settings
        if record.kind in self._kinds and not secrets:
            settings = read_settings(record.kind, record.settings, self._kinds).masked()
        return Shown(
            record.id,
            record.kind,
            record.function_name,
            record.qualifier,
            record.enabled,
            settings,
            status,
            record.created_ms,
            record.modified_ms,
        )


def _wanted(record: TriggerRecord, kind: str, function_name: str, after: str) -> bool:
    return (
        record.id > after
        and (not kind or record.kind == kind)
        and (not function_name or record.function_name == function_name)
    )


def _read(body: bytes, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=type_)
    except msgspec.DecodeError as error:
        raise invalid_parameter(f"The request is no such JSON object: {error}") from error


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json")
