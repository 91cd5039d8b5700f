"""A system beside the server of an event source, both for one scenario; and mappings of that source."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from tests.benchmarks.queue_clock import FUNCTION
from tests.live_system import LiveSystem
from tests.web_server import WebServer, running

S = TypeVar("S", bound=WebServer)

KEYS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}


@contextlib.contextmanager
def scratch_directory(name: str) -> Iterator[Path]:
    """Outside /tmp, for functions have one of their own; other users may pass through it."""
    with tempfile.TemporaryDirectory(prefix=f"lightswitch-{name}-", dir="/var/tmp") as directory:
        Path(directory).chmod(0o711)
        yield Path(directory)


@contextlib.contextmanager
def system_beside(
    make_server: Callable[[Path], S], variable: str, scratch: Path
) -> Iterator[tuple[LiveSystem, S]]:
    """Both run; the system and its functions find the server by the `variable`."""
    with (
        running(make_server(scratch)) as server,
        LiveSystem(scratch / "system", variables={**KEYS, variable: server.url}) as live,
    ):
        yield live, server


@contextlib.contextmanager
def mapped(live: LiveSystem, arn: str, **parameters: Any) -> Iterator[None]:
    """The source calls the clock meanwhile."""
    created = live.client.create_event_source_mapping(FunctionName=FUNCTION, EventSourceArn=arn, **parameters)
    try:
        yield
    finally:
        live.client.delete_event_source_mapping(UUID=created["UUID"])
