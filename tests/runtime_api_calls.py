"""A client of the Runtime API that says exactly what a test wants."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path

from worker.environments.interface import EnvironmentSpec, HandlerFailed, Succeeded


@dataclass
class Answer:
    """A parsed HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error_type(self) -> str:
        error_type: str = json.loads(self.body)["errorType"]
        return error_type


@dataclass
class Caller:
    """A connection of a runtime or an extension."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def hear(self) -> Answer:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        body = await self.reader.readexactly(int(headers["content-length"]))
        return Answer(int(lines[0].split()[1]), headers, body)

    async def call(self, data: bytes) -> Answer:
        self.say(data)
        async with asyncio.timeout(10):
            return await self.hear()

    async def get(self, path: str, headers: str = "") -> Answer:
        return await self.call(get(path, headers))

    async def post(self, path: str, body: bytes = b"{}", headers: str = "") -> Answer:
        return await self.call(post(path, body, headers))


async def connected(address: str) -> Caller:
    """A new connection to `host:port`."""
    host, _, port = address.partition(":")
    return Caller(*await asyncio.open_connection(host, int(port), limit=1 << 24))


def post(path: str, body: bytes = b"{}", headers: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def get(path: str, headers: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode()


@dataclass
class Heard:
    """A listener that notes what it is told."""

    events: list[tuple[object, ...]] = field(default_factory=list)

    def runtime_ready(self, report: bytes = b"") -> None:
        self.events.append(("ready",))

    def runtime_init_failed(self, error_type: str, document: bytes) -> None:
        self.events.append(("init failed", error_type, document))

    def runtime_answered(self, outcome: Succeeded | HandlerFailed, peak_memory_kb: int, run_us: int) -> None:
        self.events.append(("answered", outcome))


@dataclass
class HeardOfExtensions:
    """The same for extensions."""

    events: list[tuple[str, ...]] = field(default_factory=list)

    def extensions_registered(self) -> None:
        self.events.append(("registered",))

    def extensions_quiet(self) -> None:
        self.events.append(("quiet",))

    def extension_reported(self, error_type: str) -> None:
        self.events.append(("reported", error_type))

    def extension_failed(self, error_type: str, cause: str) -> None:
        self.events.append(("failed", error_type, cause))


def environment_spec() -> EnvironmentSpec:
    """A function that nobody runs."""
    return EnvironmentSpec(
        function_name="tried",
        version="7",
        function_arn="arn:aws:lambda:eu-central-1:123456789012:function:tried",
        runtime="provided.al2023",
        handler="app.handler",
        timeout_seconds=3,
        memory_mb=128,
        ephemeral_storage_mb=512,
        variables={},
        task_root=Path("/"),
        region="eu-central-1",
        log_group="/aws/lambda/tried",
    )
