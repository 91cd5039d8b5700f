"""What every operation is given besides its request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, Protocol

from broker.caller import Caller
from broker.interface import Broker
from broker.layer_store.interface import LayerStore
from broker.provisioning.interface import ProvisioningStore
from broker.registry.interface import Registry
from broker.settings import Settings
from broker.trigger_store.directory import Directory
from broker.trigger_store.interface import TriggerStore
from gateway.code_links import CodeLinks
from gateway.container_images.intake import ImageIntake
from gateway.lambda_api.qualifiers import FunctionNames
from gateway.lambda_api.runtimes import Runtimes
from triggers.aws_calls.client import Clients


class CodeStore(Protocol):
    """Code packages by the hexadecimal SHA-256 of their bytes."""

    async def put(self, package: bytes) -> str:
        """Keep a package and return its digest; one that is there already is no error."""

    async def get(self, digest: str) -> bytes:
        """The package. Raises CodeNotFound, CodeCorrupt."""

    async def put_layer(self, digest: str, layer: IO[bytes]) -> None:
        """Keep an image's layer, which was found to have that digest."""


class ObjectReader(Protocol):
    """Where code given by bucket and key is read from."""

    async def read(self, bucket: str, key: str, version_id: str | None, limit_bytes: int) -> bytes:
        """The whole object. Raises ApiError."""


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of the installation that operations work with, the same for every request."""

    settings: Settings
    registry: Registry
    broker: Broker
    code_store: CodeStore
    objects: ObjectReader
    names: FunctionNames
    runtimes: Runtimes
    code_links: CodeLinks
    layers: LayerStore
    provisioning: ProvisioningStore
    images: ImageIntake
    trigger_store: TriggerStore
    directory: Directory
    """Of the same store."""
    aws_clients: Clients
    caller: Caller
    base_url: str = ""
    """Scheme and host by which the caller reached us."""
    request_id: str = ""
    """What the answer calls the request."""
