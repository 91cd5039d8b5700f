"""A function's configuration as the registry keeps it, for tests that care about a member or two."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from broker.invocation import LATEST
from broker.registry.model import FunctionConfig

_ORDINARY = FunctionConfig(
    version=LATEST,
    runtime="python3.12",
    handler="app.handler",
    role="arn:aws:iam::123456789012:role/r",
    code_sha256="3q2+7w==",
    code_size=1,
    last_modified="2026-01-01T00:00:00.000+0000",
    revision_id="rev-latest",
)


def config(version: str = LATEST, **members: Any) -> FunctionConfig:
    """An ordinary one with these members."""
    return replace(_ORDINARY, version=version, **members)
