"""Functions from container images (PackageType Image): what is said about them, and their image taken in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from broker.container_image.errors import ImageRefused
from broker.registry.model import FunctionConfig, ImageConfig
from gateway.container_images.found_image import MOST_RUN_BYTES
from gateway.lambda_api.context import Context
from gateway.lambda_api.errors import invalid_parameter

_OF_ZIPS = ("Handler", "Runtime", "Layers")
_ZIP_SOURCES = ("ZipFile", "S3Bucket", "S3Key")


async def new_image(context: Context, request: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of FunctionConfig for a new function of an image. Raises ApiError."""
    check_image_settings(request)
    code = request["Code"]
    if not code.get("ImageUri") or any(code.get(member) for member in _ZIP_SOURCES):
        raise invalid_parameter("Please provide ImageUri when creating a function with packageType Image.")
    await context.runtimes.check_images()
    taken = await _taken(context, code["ImageUri"], request.get("Architectures", ("x86_64",)))
    return {"package_type": "Image", **taken}


async def updated_image(
    context: Context, request: Mapping[str, Any], current: FunctionConfig
) -> dict[str, Any]:
    """Fields of FunctionConfig for new code of a function of an image. Raises ApiError."""
    if not request.get("ImageUri") or any(request.get(member) for member in _ZIP_SOURCES):
        raise invalid_parameter("Please provide ImageUri when updating a function with packageType Image.")
    architectures = request.get("Architectures", current.architectures)
    return await _taken(context, request["ImageUri"], architectures, keep=not request.get("DryRun"))


def check_image_settings(request: Mapping[str, Any]) -> None:
    """Raises ApiError where a request says of an image what only a zip can have."""
    if any(request.get(member) for member in _OF_ZIPS):
        raise invalid_parameter(
            "Please don't provide Handler or Runtime or Layer when the intended function PackageType is"
            " Image."
        )


def check_zip_settings(request: Mapping[str, Any]) -> None:
    """Raises ApiError where a request says of a zip what only an image can have."""
    if request.get("ImageUri"):
        raise invalid_parameter(
            "Please don't provide ImageUri when updating a function with packageType Zip."
        )
    if any(request.get("ImageConfig", {}).values()):
        raise invalid_parameter(
            "Please don't provide ImageConfig when the intended function PackageType is Zip."
        )


def image_config_of(config: Mapping[str, Any]) -> ImageConfig | None:
    """A request's ImageConfig; None where it says nothing. Raises ApiError."""
    chosen = ImageConfig(
        entry_point=tuple(config.get("EntryPoint", ())),
        command=tuple(config.get("Command", ())),
        working_directory=config.get("WorkingDirectory", ""),
    )
    said = (*chosen.entry_point, *chosen.command, chosen.working_directory)
    if any("\0" in each for each in said) or sum(len(each.encode()) + 1 for each in said) > MOST_RUN_BYTES:
        raise invalid_parameter(
            f"ImageConfig must be without NUL characters and have at most {MOST_RUN_BYTES} bytes in all."
        )
    return chosen if chosen != ImageConfig() else None


def describe_image_config(config: FunctionConfig) -> dict[str, Any] | None:
    """ImageConfigResponse, as it was asked for."""
    chosen = config.image_config
    if chosen is None:
        return None
    members = {
        "EntryPoint": list(chosen.entry_point) or None,
        "Command": list(chosen.command) or None,
        "WorkingDirectory": chosen.working_directory or None,
    }
    return {"ImageConfig": members}


async def _taken(
    context: Context, uri: str, architectures: tuple[str, ...], *, keep: bool = True
) -> dict[str, Any]:
    try:
        image = await context.images.take(uri, architectures[0], keep=keep)
    except ImageRefused as error:
        raise invalid_parameter(
            f"Source image {uri} is not valid. Provide a valid source image: {error}"
        ) from error
    return {"image": image, "code_sha256": image.digest, "code_size": 0}
