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
from broker.registry.model import FunctionConfig, FunctionRecord, ImageConfig
from broker.settings import Settings
from worker.environments.interface import ContainerImage, EnvironmentSpec

_KNOWN = 4096
_TASK_ROOT_OF_IMAGES = Path("/")


class Code(Protocol):
    """Unpacked code by digest; `worker.code_cache` is the real one."""

    async def task_root(self, digest: str) -> Path: ...

    async def layers_root(self, name: str, digests: Sequence[str]) -> Path: ...


class Images(Protocol):
    """Root file systems by digest; `worker.image_cache` is the real one."""

    async def root(self, digest: str, layers: Sequence[str]) -> Path: ...


@dataclass(frozen=True, slots=True)
class Function:
    """A function version, ready to run. `key` names this configuration of it."""

    record: FunctionRecord
    config: FunctionConfig
    key: str
    spec: EnvironmentSpec


class Functions:
    """Resolves invocations; keeps what it resolved until the function changes."""

    def __init__(self, registry: Registry, code: Code, images: Images, settings: Settings) -> None:
        self._registry = registry
        self._code = code
        self._images = images
        self._settings = settings
        self._known: OrderedDict[tuple[str, str], Function] = OrderedDict()
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}

    async def resolve(self, invocation: Invocation) -> Function:
        """The function as the invocation's asker saw it, or newer.

        Raises FunctionNotFound (function or version), CodeNotFound, CodeCorrupt, BrokerUnavailable.
        """
        return await self.find(invocation.function_name, invocation.version, invocation.generation)

    async def find(self, name: str, version: str, generation: int = 0) -> Function:
        """A version of a function, no older than `generation`. Raises as `resolve`."""
        record = self._registry.cached(name)
        if record is None or record.generation < generation:
            record = await self._registry.at_least(name, generation)
        known = self._known.get((name, version))
        if known is not None and known.record is record:
            return known
        return await self._prepare(record, version)

    async def _prepare(self, record: FunctionRecord, version: str) -> Function:
        config = record.version(version)
        if config is None:
            raise FunctionNotFound(f"{record.name}:{version}")
        async with self._locks.setdefault((record.name, version), asyncio.Lock()):
            spec = await self._spec(record, config)
        function = Function(record, config, f"{record.name}:{version}:{config.revision_id}", spec)
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

    async def _image(self, config: FunctionConfig) -> ContainerImage | None:
        """The image with the function's ImageConfig applied, each member by itself, as AWS does."""
        if config.image is None:
            return None
        image, wanted = config.image, config.image_config or ImageConfig()
        return ContainerImage(
            root=await self._images.root(image.digest, image.layers),
            command=(wanted.entry_point or image.entry_point) + (wanted.command or image.command),
            working_directory=wanted.working_directory or image.working_directory or "/",
            environment=image.environment,
        )

    async def _task_root(self, config: FunctionConfig) -> Path:
        return _TASK_ROOT_OF_IMAGES if config.image else await self._code.task_root(config.code_digest)

    async def _spec(self, record: FunctionRecord, config: FunctionConfig) -> EnvironmentSpec:
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
            task_root=await self._task_root(config),
            region=self._settings.region,
            log_group=config.logging.group_of(record.name),
            log_format=config.logging.log_format,
            application_log_level=config.logging.application_log_level,
            system_log_level=config.logging.system_log_level,
            layers=await self._layers(config),
            snap_start=config.snap_start and config.version != LATEST,
            image=await self._image(config),
        )

    def _variables(self, config: FunctionConfig) -> Mapping[str, str]:
        """What the operator passes on, under what the function's owner set."""
        keys = self._settings.function_credentials
        named = dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), keys, strict=True)) if keys else {}
        return {**self._settings.endpoint_urls, **named, **config.environment}
