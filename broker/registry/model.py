"""A function as the registry knows it: one aggregate holding its versions, aliases and settings.

The aggregate is immutable; `broker.registry.changes` makes new ones. Names follow the Lambda API.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Literal

import msgspec

from broker.invocation import LATEST

State = Literal["Pending", "Active", "Inactive", "Failed"]
UpdateStatus = Literal["Successful", "Failed", "InProgress"]


class LayerUse(msgspec.Struct, frozen=True):
    """A layer version that a function was given; it goes on to work when that version is deleted."""

    arn: str
    code_sha256: str
    code_size: int
    unzipped_bytes: int

    @property
    def code_digest(self) -> str:
        """Hex form of `code_sha256`: the code store's key."""
        return base64.b64decode(self.code_sha256).hex()


class Image(msgspec.Struct, frozen=True, omit_defaults=True):
    """A container image, and what it says about running it."""

    uri: str
    """As the caller gave it."""
    resolved_uri: str
    digest: str
    """SHA-256 of its manifest in hexadecimal."""
    layers: tuple[str, ...]
    """Their keys in the code store, lowest first."""
    entry_point: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    working_directory: str = ""
    environment: dict[str, str] = {}


class ImageConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a function says instead of its image; empty where the image's own counts."""

    entry_point: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    working_directory: str = ""


LogFormat = Literal["Text", "JSON"]


class LoggingConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a function's log is written. Levels are AWS's names, and count with JSON alone."""

    log_format: LogFormat = "Text"
    application_log_level: str = "INFO"
    system_log_level: str = "INFO"
    log_group: str = ""
    """What the function is told; empty for the group named after it."""

    def group_of(self, function_name: str) -> str:
        """The name of the log group."""
        return self.log_group or f"/aws/lambda/{function_name}"


AS_TEXT = LoggingConfig()
"""Of functions that chose nothing."""


class FunctionConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """One version of a function: `$LATEST` or a published, immutable number."""

    version: str
    runtime: str
    handler: str
    role: str
    code_sha256: str
    """Base64 of the SHA-256 of the zip, as the API shows it; of an image its digest in hexadecimal."""
    code_size: int
    last_modified: str
    """`2026-11-23T09:30:00.000+0000`"""
    revision_id: str
    description: str = ""
    timeout_seconds: int = 3
    memory_mb: int = 128
    ephemeral_storage_mb: int = 512
    environment: dict[str, str] = {}
    architectures: tuple[str, ...] = ("x86_64",)
    package_type: str = "Zip"
    state: State = "Active"
    state_reason: str = ""
    state_reason_code: str = ""
    last_update_status: UpdateStatus = "Successful"
    layers: tuple[LayerUse, ...] = ()
    """In the order of merging: files of a later one replace those of an earlier one."""
    image: Image | None = None
    """For package type Image; such a function has neither runtime, handler nor layers."""
    image_config: ImageConfig | None = None
    snap_start: bool = False
    """Published versions are initialised once; their environments are copies of that one."""
    dead_letter_arn: str = ""
    """Queue or topic for events that failed; that of `$LATEST` counts for all versions."""
    logging: LoggingConfig = AS_TEXT
    extra: dict[str, msgspec.Raw] = {}
    """Accepted and echoed members without an effect yet (TracingConfig)."""

    @property
    def code_digest(self) -> str:
        """Hex form of `code_sha256`: the code store's key of a zip, the digest of an image."""
        if self.image is not None:
            return self.image.digest
        return base64.b64decode(self.code_sha256).hex()

    @property
    def layers_digest(self) -> str:
        """What names all layers together, merged in their order; empty where there are none."""
        digests = "\n".join(layer.code_digest for layer in self.layers)
        return hashlib.sha256(digests.encode()).hexdigest() if digests else ""


class Alias(msgspec.Struct, frozen=True, omit_defaults=True):
    """A name for a version, with an optional second version that gets a share of the calls."""

    name: str
    function_version: str
    revision_id: str
    description: str = ""
    additional_version_weights: dict[str, float] = {}


class EventInvokeConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """What happens to asynchronous invocations; AWS's defaults where a member is None."""

    last_modified: float
    """Epoch seconds."""
    maximum_retry_attempts: int | None = None
    maximum_event_age_seconds: int | None = None
    on_success: str = ""
    on_failure: str = ""


AuthType = Literal["NONE", "AWS_IAM"]
UpdateRuntimeOn = Literal["Auto", "Manual", "FunctionUpdate"]
InvokeMode = Literal["BUFFERED", "RESPONSE_STREAM"]


class Cors(msgspec.Struct, frozen=True, omit_defaults=True):
    """What pages of other origins may do with a function URL."""

    allow_credentials: bool = False
    allow_headers: tuple[str, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: int | None = None
    """Seconds."""


class FunctionUrlConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """A function's (or an alias's) own HTTP address. Times are ISO 8601."""

    url_id: str
    auth_type: AuthType
    created: str
    last_modified: str
    invoke_mode: InvokeMode = "BUFFERED"
    cors: Cors | None = None


class ProvisionedConcurrency(msgspec.Struct, frozen=True):
    """How many environments of a version, or of the version behind an alias, are kept initialised."""

    requested: int
    last_modified: str
    """`2026-11-23T09:30:00+0000`"""
    revision_id: str
    """New with every request."""


class Policy(msgspec.Struct, frozen=True, omit_defaults=True):
    """Resource policy of a function, version or alias: statements as plain JSON objects, by Sid."""

    revision_id: str
    statements: dict[str, msgspec.Raw]
    id: str = "default"
    """Empty for a document without one."""
    version: str = "2012-10-17"
    """Of the policy language."""


class FunctionRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that belongs to one function name.

    `generation` counts up with every change; an invocation carries it, so that no worker runs an older
    configuration than its asker saw.
    """

    name: str
    generation: int
    latest: FunctionConfig
    versions: dict[str, FunctionConfig] = {}
    next_version: int = 1
    aliases: dict[str, Alias] = {}
    event_invoke_configs: dict[str, EventInvokeConfig] = {}
    """By qualifier; `$LATEST` for the unqualified function."""
    url_configs: dict[str, FunctionUrlConfig] = {}
    """By qualifier: an alias, or `$LATEST` for the unqualified function."""
    reserved_concurrency: int | None = None
    provisioned: dict[str, ProvisionedConcurrency] = {}
    """By qualifier: a published version or an alias."""
    recursive_loop: Literal["Terminate", "Allow"] = "Terminate"
    """What becomes of a call that continues a recursive loop (`broker.lineage`)."""
    update_runtime_on: dict[str, UpdateRuntimeOn] = {}
    """By version, `$LATEST` among them; `Auto` where nothing was chosen."""
    policies: dict[str, Policy] = {}
    """By qualifier; `$LATEST` for the unqualified function."""
    tags: dict[str, str] = {}
    published_description: str = ""
    """Description of `$LATEST` when it was last published; the version may have got one of its own."""

    def version(self, version: str) -> FunctionConfig | None:
        """A version by its number or `$LATEST`."""
        return self.latest if version == LATEST else self.versions.get(version)

    @property
    def provisioned_in_all(self) -> int:
        """What all configurations of provisioned concurrency ask for together."""
        return sum(asked.requested for asked in self.provisioned.values())

    @property
    def code_bytes(self) -> int:
        """Zipped size of the code of all versions, each counted as AWS does."""
        return self.latest.code_size + sum(version.code_size for version in self.versions.values())
