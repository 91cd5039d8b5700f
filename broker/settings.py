"""Settings that all processes share, read once at the edge from the environment."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

DEFAULT_ACCOUNT_ID = "123456789012"
DEFAULT_REGION = "us-east-1"

UNIX_SOCKET_PATH_BYTES = 104
"""Longest path that a unix socket may have everywhere (Linux allows 107 bytes)."""


def embedded_redis_socket(data_dir: Path) -> Path:
    """Where the embedded Redis of a data directory listens.

    Inside the directory; where that path is too long for a unix socket, in a short directory of its own
    whose name every process derives from the data directory.
    """
    socket = data_dir / "redis" / "redis.sock"
    if len(os.fsencode(socket)) <= UNIX_SOCKET_PATH_BYTES:
        return socket
    digest = hashlib.sha256(os.fsencode(os.path.realpath(data_dir))).hexdigest()
    return Path("/tmp") / f"lightswitch-{digest[:16]}" / "redis.sock"


@dataclass(frozen=True, slots=True)
class Settings:
    """What every process of one installation agrees on.

    `redis_url`: `unix:///path` or `redis://host:port/db`. `data_dir`: this machine's files. `code_store_url`:
    `file:///dir` or `s3://bucket/prefix` (any URL that obstore knows). `endpoint_urls`: the
    `AWS_ENDPOINT_URL*` variables, used by the platform and passed on to functions.
    """

    redis_url: str
    data_dir: Path
    code_store_url: str
    account_id: str = DEFAULT_ACCOUNT_ID
    region: str = DEFAULT_REGION
    namespace: str = "lightswitch"
    lanes: int = 16
    retry_step_seconds: float = 60.0
    """A failed async invocation is run again after one step, then after two (AWS: minutes)."""
    endpoint_urls: Mapping[str, str] = field(default_factory=dict)
    function_credentials: tuple[str, str] | None = field(default=None, repr=False)
    """Access key id and secret that functions sign with, as with an execution role's; the gateway accepts
    them too, so that functions can call functions."""

    @classmethod
    def from_environ(
        cls,
        environ: Mapping[str, str] = os.environ,
        *,
        redis_url: str | None = None,
        data_dir: Path | None = None,
    ) -> Settings:
        """Read `LIGHTSWITCH_*` and `AWS_ENDPOINT_URL*`; arguments win over the environment."""
        directory = data_dir or Path(environ.get("LIGHTSWITCH_DATA_DIR") or Path.home() / ".lightswitch")
        directory = directory.expanduser().absolute()
        return cls(
            redis_url=redis_url
            or environ.get("LIGHTSWITCH_REDIS_URL")
            or f"unix://{embedded_redis_socket(directory)}",
            data_dir=directory,
            code_store_url=environ.get("LIGHTSWITCH_CODE_STORE_URL") or f"file://{directory / 'code'}",
            account_id=environ.get("LIGHTSWITCH_ACCOUNT_ID") or DEFAULT_ACCOUNT_ID,
            region=environ.get("LIGHTSWITCH_REGION") or DEFAULT_REGION,
            namespace=environ.get("LIGHTSWITCH_NAMESPACE") or "lightswitch",
            retry_step_seconds=float(environ.get("LIGHTSWITCH_RETRY_STEP_SECONDS") or 60.0),
            endpoint_urls={k: v for k, v in environ.items() if k.startswith("AWS_ENDPOINT_URL") and v},
            function_credentials=_function_credentials(environ),
        )

    def function_arn(self, function_name: str, qualifier: str = "") -> str:
        """The ARN of a function, qualified where a qualifier is given."""
        arn = f"arn:aws:lambda:{self.region}:{self.account_id}:function:{function_name}"
        return f"{arn}:{qualifier}" if qualifier else arn


def _function_credentials(environ: Mapping[str, str]) -> tuple[str, str] | None:
    key_id = environ.get("LIGHTSWITCH_FUNCTION_ACCESS_KEY_ID", "")
    secret = environ.get("LIGHTSWITCH_FUNCTION_SECRET_ACCESS_KEY", "")
    return (key_id, secret) if key_id and secret else None
