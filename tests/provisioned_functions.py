"""A function with two versions and provisioned concurrency, as the registry keeps it."""

from __future__ import annotations

from msgspec.structs import replace

from broker.registry.model import Alias, FunctionRecord, ProvisionedConcurrency
from tests.function_configs import config


def asked(requested: int, revision: str = "put-1") -> ProvisionedConcurrency:
    """What a request asks for."""
    return ProvisionedConcurrency(requested, "2026-01-01T00:00:00+0000", revision)


def function(
    name: str = "f",
    *,
    points_to: str = "1",
    weights: dict[str, float] | None = None,
    reserved: int | None = None,
    memory_mb: int = 128,
    snap_start: bool = False,
    **provisioned: int,
) -> FunctionRecord:
    """Versions 1 and 2, aliases `live` (to 1) and `other` (to 2); `provisioned` by qualifier, `v1` for 1."""
    latest = config(memory_mb=memory_mb, snap_start=snap_start)
    versions = {number: replace(latest, version=number, revision_id=f"rev-{number}") for number in "12"}
    aliases = {
        "live": Alias("live", points_to, "rev-a", "", weights or {}),
        "other": Alias("other", "2", "rev-b"),
    }
    configured = {
        qualifier.removeprefix("v"): asked(count, f"put-{qualifier}")
        for qualifier, count in provisioned.items()
    }
    return FunctionRecord(
        name, 1, latest, versions, 3, aliases, reserved_concurrency=reserved, provisioned=configured
    )
