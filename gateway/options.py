"""What one gateway process is told at its start, besides the shared settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """`credentials` maps access key ids to their secrets; never log or print it."""

    host: str = "127.0.0.1"
    port: int = 9000
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    drain_seconds: float = 20.0
    """After SIGTERM: how long callers that already wait may go on waiting for their replies."""
    image_directories: tuple[Path, ...] = ()
    """Where container images may come from; none: from nowhere."""
