"""The layers of a function: what a request's Layers become, and how large all may be together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from broker import code_package
from broker.registry.model import LayerUse
from gateway.lambda_api.context import Context
from gateway.lambda_api.errors import invalid_parameter
from gateway.lambda_api.layer_names import parse_version_arn

MOST_LAYERS = 5


async def used_layers(context: Context, arns: Sequence[str]) -> tuple[LayerUse, ...]:
    """The versions that the ARNs name, in their order. Raises ApiError."""
    if len(arns) > MOST_LAYERS:
        raise invalid_parameter(f"Cannot reference more than {MOST_LAYERS} layers.")
    parsed = [parse_version_arn(context.names, arn) for arn in arns]
    if len({name for name, _ in parsed}) < len(parsed):
        raise invalid_parameter(
            "Two different versions of the same layer are not allowed to be referenced in the same function."
            f" Layers given: {', '.join(arns)}"
        )
    return tuple([await _use(context, arn, *key) for arn, key in zip(arns, parsed, strict=True)])


async def check_unzipped_size(context: Context, code_digest: str, layers: Sequence[LayerUse]) -> None:
    """Raises ApiError where code and layers together are larger than AWS allows."""
    if not layers:
        return
    package = await context.code_store.get(code_digest)
    size = await asyncio.to_thread(code_package.unzipped_bytes, package)
    size += sum(layer.unzipped_bytes for layer in layers)
    most = code_package.MOST_UNZIPPED_BYTES
    if size > most:
        raise invalid_parameter(
            f"Function code combined with layers exceeds the maximum allowed size of {most} bytes. The actual"
            f" size is {size} bytes."
        )


async def _use(context: Context, arn: str, name: str, version: int) -> LayerUse:
    layer = await context.layers.get(name, version)
    if layer is None:
        raise invalid_parameter(f"Layer version {arn} does not exist.")
    return LayerUse(arn, layer.code_sha256, layer.code_size, layer.unzipped_bytes)
