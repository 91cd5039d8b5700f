"""From an invocation to what runs it: the function's configuration, its code on disk, its spec."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from broker.errors import FunctionNotFound
from broker.invocation import LATEST, Invocation
from broker.registry.interface import Registry
from broker.registry.model import FunctionConfig, FunctionRecord
from broker.settings import Settings
from worker.environments.interface import EnvironmentSpec

_KNOWN = 4096


class Code(Protocol):
    """Unpacked code by digest; `worker.code_cache` is the real one."""

    async def task_root(self, digest: str) -> Path: ...

    async def layers_root(self, name: str, digests: Sequence[str]) -> Path: ...


@dataclass(frozen=True, slots=True)
class Function:
    """A function version, ready to run. `key` names this configuration of it."""

    record: FunctionRecord
    config: FunctionConfig
    key: str
    spec: EnvironmentSpec


class Functions:
    """Resolves invocations; keeps what it resolved until the function changes."""

    def __init__(self, registry: Registry, code: Code, settings: Settings) -> None:
        self._registry = registry
        self._code = code
        self._settings = settings
        self._known: OrderedDict[tuple[str, str], Function] = OrderedDict()
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}

    async def resolve(self, invocation: Invocation) -> Function:
        """The function as the invocation's asker saw it, or newer.

        Raises FunctionNotFound (function or version), CodeNotFound, CodeCorrupt, BrokerUnavailable.
        """
        name, version = invocation.function_name, invocation.version
        record = self._registry.cached(name)
        if record is None or record.generation < invocation.generation:
            record = await self._registry.at_least(name, invocation.generation)
        known = self._known.get((name, version))
        if known is not None and known.record is record:
            return known
        return await self._prepare(record, version)

    async def _prepare(self, record: FunctionRecord, version: str) -> Function:
        config = record.version(version)
        if config is None:
            raise FunctionNotFound(f"{record.name}:{version}")
        async with self._locks.setdefault((record.name, version), asyncio.Lock()):
            task_root = await self._code.task_root(config.code_digest)
            layers = await self._layers(config)
        key = f"{record.name}:{version}:{config.revision_id}"
        function = Function(record, config, key, self._spec(record, config, task_root, layers))
        self._remember((record.name, version), function)
        return function

    def _remember(self, key: tuple[str, str], function: Function) -> None:
        self._known[key] = function
        self._known.move_to_end(key)
        if len(self._known) > _KNOWN:
            forgotten, _ = self._known.popitem(last=False)
            self._locks.pop(forgotten, None)

    async def _layers(self, config: FunctionConfig) -> Path | None:
        if not config.layers:
            return None
        digests = [layer.code_digest for layer in config.layers]
        return await self._code.layers_root(config.layers_digest, digests)

    def _spec(
        self, record: FunctionRecord, config: FunctionConfig, task_root: Path, layers: Path | None
    ) -> EnvironmentSpec:
        return EnvironmentSpec(
            function_name=record.name,
            version=config.version,
            function_arn=self._settings.function_arn(record.name),
            runtime=config.runtime,
            handler=config.handler,
            timeout_seconds=config.timeout_seconds,
            memory_mb=config.memory_mb,
            ephemeral_storage_mb=config.ephemeral_storage_mb,
            variables=self._variables(config),
            task_root=task_root,
            region=self._settings.region,
            log_group=f"/aws/lambda/{record.name}",
            layers=layers,
            snap_start=config.snap_start and config.version != LATEST,
        )

    def _variables(self, config: FunctionConfig) -> Mapping[str, str]:
        """What the operator passes on, under what the function's owner set."""
        keys = self._settings.function_credentials
        named = dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), keys, strict=True)) if keys else {}
        return {**self._settings.endpoint_urls, **named, **config.environment}
